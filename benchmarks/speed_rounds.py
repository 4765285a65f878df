"""Subjects that take turns: one process each, all alive at once, only one of them computing.

In each round every subject has a turn, so that whatever else the machine does, and a clock that
rises or falls, hits all alike. The order moves on by one from round to round.
"""

import json
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from speed_list import Subject

TURN_S = 0.25
"""A turn makes calls until they have taken this long together, one at least."""
LEAST_ROUNDS, MOST_ROUNDS = 3, 15
_PAUSE_S = 0.05
"""Before each turn, so that the threads of the one before it have gone to sleep."""
_PATIENCE_S = 900.0
WORKER = Path(__file__).with_name("speed_worker.py")


class Measured(Protocol):
    """A subject that is alive.

    Attributes:
        about: what it said when it was ready; a ``reason`` where it cannot be measured.
    """

    about: dict[str, Any]

    def turn(self, batch: int, seconds: float) -> dict[str, Any]:
        """Seconds of each call, or a ``reason`` why there are none any more."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Worker:
    """A subject in a process of its own.

    Args:
        job: what ``speed_worker.py`` is told.
        environment: of the process.
        log: file for whatever it prints.
    """

    def __init__(self, job: Mapping[str, Any], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("w", encoding="utf-8") as file:
            self._process = subprocess.Popen(
                [sys.executable, str(WORKER), json.dumps({**job, "spawned": time.time()})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=dict(environment),
                text=True,
            )
        self.about = self._answer()

    def turn(self, batch: int, seconds: float) -> dict[str, Any]:
        """Seconds of each call, or a ``reason`` why there are none any more."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"batch": batch, "seconds": seconds}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return {"reason": self._last_words(), "failed": True}
        return self._answer()

    def close(self) -> None:
        """End it: with its input it ends by itself, else it is killed."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> dict[str, Any]:
        pipe = self._process.stdout
        assert pipe is not None
        ready, _, _ = select.select([pipe], [], [], _PATIENCE_S)
        if not ready:
            self._process.kill()
            return {"reason": f"no answer within {_PATIENCE_S:g} s", "failed": True}
        line = pipe.readline()
        return json.loads(line) if line else {"reason": self._last_words(), "failed": True}

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "nothing said")
        return f"the process ended ({self._process.poll()}): {last.strip()[:200]}"


def measure(
    subjects: Sequence[Subject],
    start: Callable[[Subject], Measured],
    seconds: float,
    least: int = LEAST_ROUNDS,
) -> list[dict[str, Any]]:
    """Results in the order of the subjects.

    Args:
        subjects: of one group.
        start: brings one to life; returns when it is ready.
        seconds: how long the rounds may take together, once the least number is done.
        least: number of rounds.
    """
    alive = [start(subject) for subject in subjects]
    try:
        results = [_Result(subject, one) for subject, one in zip(subjects, alive, strict=True)]
        started, done = time.monotonic(), 0
        while done < least or (done < MOST_ROUNDS and time.monotonic() - started < seconds):
            first = done % max(1, len(results))
            for result in results[first:] + results[:first]:
                result.take_turns()
            done += 1
            if all("reason" in result.fields for result in results):
                break
        return [result.to_dict() for result in results]
    finally:
        for one in alive:
            one.close()


class _Result:
    """What was measured of a subject so far."""

    def __init__(self, subject: Subject, one: Measured) -> None:
        self._subject, self._one = subject, one
        self.fields = {name: value for name, value in one.about.items() if name != "ready"}
        self._rounds: dict[int, list[list[float]]] = {batch: [] for batch in subject.batches}
        self._peaks: dict[int, float] = {}

    def take_turns(self) -> None:
        """One with each of its batches."""
        for batch in self._subject.batches:
            if "reason" in self.fields:
                return
            time.sleep(_PAUSE_S)
            answer = self._one.turn(batch, TURN_S)
            if "reason" in answer:
                self.fields |= answer
                return
            self._rounds[batch].append(answer["seconds"])
            self._peaks.setdefault(batch, round(answer["peak_mib"]))

    def to_dict(self) -> dict[str, Any]:
        """Its row's fields: ``batches`` by their size, or a ``reason``."""
        if "reason" in self.fields:
            return self.fields
        found = {
            str(batch): {**summary(batch, rounds), "peak_mib": self._peaks[batch]}
            for batch, rounds in self._rounds.items()
        }
        return {**self.fields, "batches": found}


def summary(batch: int, rounds: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Images a second by round, and milliseconds a call, of the seconds of calls by round."""
    speeds = [batch * len(calls) / sum(calls) for calls in rounds]
    calls = sorted(1000 * seconds for some in rounds for seconds in some)
    return {
        "images_per_s": {
            "median": statistics.median(speeds),
            "low": min(speeds),
            "high": max(speeds),
        },
        "ms": {"p50": statistics.median(calls), "p95": calls[round(0.95 * (len(calls) - 1))]},
        "rounds": len(rounds),
        "calls": len(calls),
    }

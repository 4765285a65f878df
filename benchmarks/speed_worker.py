"""One subject of ``speed.py`` in a process of its own, which computes only when it is its turn.

    python benchmarks/speed_worker.py JOB

``JOB`` is what ``speed_start.py`` writes, in JSON: ``subject``, ``settings``, ``data``, ``models``
and ``paths``. One line of JSON on the standard output says that the subject is ready, or why it
cannot be measured. Then each line ``{"batch": 1, "seconds": 0.5}`` on the standard input is a turn,
which a line with the seconds of its calls answers. The end of the input is the end of the process.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

LONG_S = 1.0
"""A call of more than this needs no call before it that brings its data back into the caches."""


class UnavailableError(Exception):
    """Why a subject cannot be measured here."""


class Turns:
    """The worker's side of the two pipes."""

    def __init__(self, commands: Iterable[str], answers: TextIO) -> None:
        self._commands, self._answers = iter(commands), answers

    def say(self, **fields: Any) -> None:
        """One line to whoever measures."""
        self._answers.write(json.dumps(fields) + "\n")
        self._answers.flush()

    def wait(self) -> tuple[int, float]:
        """Batch and seconds of the next turn.

        Raises:
            SystemExit: there is none.
        """
        line = next(self._commands, "")
        if not line:
            raise SystemExit(0)
        turn = json.loads(line)
        return int(turn["batch"]), float(turn["seconds"])

    def answer(self, seconds: list[float]) -> None:
        """The seconds of a turn's calls, and the process's largest memory so far, in MiB."""
        self.say(seconds=seconds, peak_mib=peak_mib())


def serve(call: Callable[[int], object], turns: Turns) -> None:
    """Answer turns for ever with calls of some batch; the first of a turn is not counted."""
    longest: dict[int, float] = {}
    while True:
        batch, seconds = turns.wait()
        if longest.get(batch, 0.0) < LONG_S:
            longest[batch] = max(longest.get(batch, 0.0), _seconds_of(call, batch))
        found = [_seconds_of(call, batch)]
        while sum(found) < seconds:
            found.append(_seconds_of(call, batch))
        turns.answer(found)


def _seconds_of(call: Callable[[int], object], batch: int) -> float:
    started = time.perf_counter()
    call(batch)
    return time.perf_counter() - started


class PausedSteps:
    """Progress of a training that stands still after a step until its next turn.

    Attributes:
        rates: pictures a second of the parts of the work before the first step, by label.
    """

    def __init__(self, turns: Turns, ready: Callable[["PausedSteps"], None]) -> None:
        self._turns, self._ready = turns, ready
        self._steps: list[float] = []
        self._left = 0.0
        self._first: dict[str, tuple[float, int]] = {}
        self.rates: dict[str, float] = {}
        self._resumed = time.perf_counter()

    def __call__(self, label: str, done: int, total: int) -> None:
        """Keep how fast it is; after a step, wait where the turn is over."""
        now = time.perf_counter()
        if label != "training":
            began, had = self._first.setdefault(label, (now, done))
            self.rates[label] = (done - had) / (now - began) if done > had else 0.0
            return
        if done == 1:  # the step that warms up
            self._ready(self)
            self._left = self._turns.wait()[1]
        else:
            self._steps.append(now - self._resumed)
            if sum(self._steps) >= self._left:
                self._turns.answer(self._steps)
                self._steps, self._left = [], self._turns.wait()[1]
        self._resumed = time.perf_counter()


def peak_mib() -> float:
    """The largest memory of this process so far, in MiB.

    Linux's ``ru_maxrss`` starts from what the parent had, so the kernel's own mark is read there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        mark = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(mark.split()[1]) / 1024
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def main() -> None:
    """Build the subject and answer turns."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    turns = Turns(sys.stdin, answers)
    from speed_subjects import run

    try:
        run(json.loads(sys.argv[1]), turns)
    except UnavailableError as error:
        turns.say(reason=str(error))
    except Exception as error:  # whatever a library raises belongs in the row
        reason = " ".join(str(error).split())[:200]
        turns.say(reason=f"{type(error).__name__}: {reason}", failed=True)
        raise


if __name__ == "__main__":
    sys.modules["speed_worker"] = sys.modules["__main__"]  # one class UnavailableError, not two
    main()

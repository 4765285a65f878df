"""Whole commands as a user waits for them: start-up, a first prediction, a training from cold.

Each is a new process of ``python -m snlad``; its files lie in the operating system's cache.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from speed_list import DEFAULT, ONNX, OPENVINO, PRECISIONS, START, TORCH, Subject
from speed_models import RUN, export_name

HELP, FIRST = "snlad --help", "first prediction"


class Command:
    """A command that is run anew at each turn.

    Args:
        words: after ``python``; ``{out}`` stands for a folder that does not exist yet.
        environment: of the process.
        reason: why it cannot be run, or "".
    """

    def __init__(self, words: list[str], environment: Mapping[str, str], reason: str = "") -> None:
        self._words, self._environment = words, dict(environment)
        self.about: dict[str, Any] = {"reason": reason} if reason else {}
        if not reason and "reason" in (first := self.turn(1, 0.0)):  # its files are cached then
            self.about = first

    def turn(self, batch: int, seconds: float) -> dict[str, Any]:
        """Run it until so many seconds are over, once at least."""
        del batch
        found: list[float] = []
        peak = 0.0
        while not found or sum(found) < seconds:
            answer = run_once(self._words, self._environment)
            if "reason" in answer:
                return answer
            found.append(answer["seconds"])
            peak = max(peak, answer["peak_mib"])
        return {"seconds": found, "peak_mib": peak}

    def close(self) -> None:
        """Nothing is left of it."""


def run_once(words: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Seconds and largest memory of one run, or a ``reason`` where it fails."""
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        filled = [word.replace("{out}", f"{folder}/out") for word in words]
        with log.open("w", encoding="utf-8") as file:
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *filled], stdout=file, stderr=file, env=dict(environment)
            )
            _, status, usage = os.wait4(process.pid, 0)
            took = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            last = log.read_text(errors="replace").strip().split("\n")[-1][:200]
            return {"reason": f"exit code {process.returncode}: {last}", "failed": True}
        return {"seconds": took, "peak_mib": usage.ru_maxrss / 1024}


def subjects() -> list[Subject]:
    """Commands that take turns."""
    first = Subject(name=FIRST, task=START, architecture=DEFAULT)
    exports = [
        replace(first, runtime=runtime, precision=precision)
        for runtime in (ONNX, OPENVINO)
        for precision in PRECISIONS
    ]
    return [replace(first, name=HELP, runtime="-", precision="-"), first, *exports]


def words(subject: Subject, models: Path, picture: str) -> list[str]:
    """The command of a subject, after ``python``."""
    if subject.name == HELP:
        return ["-m", "snlad", "--help"]
    name = RUN if subject.runtime == TORCH else export_name(subject.runtime, subject.precision)
    return ["-m", "snlad", "predict", str(models / name), picture, "--out", "{out}"]


def train_whole(data: Path, config: Path | None, environment: Mapping[str, str]) -> dict[str, Any]:
    """Train the default recipe on all pictures, from a cold process to a calibrated model."""
    settings = ["--config", str(config)] if config else []
    return run_once(
        ["-m", "snlad", "train", str(data), "--out", "{out}", "--quiet", *settings], environment
    )

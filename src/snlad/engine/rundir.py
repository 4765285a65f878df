"""The run folder: what was asked, with what, how it went.

RUN/config.json       resolved configuration
RUN/versions.json     software and hardware
RUN/pictures.jsonl    which pictures train and which are set aside for the thresholds
RUN/log.jsonl         one row every few steps
RUN/curves.png        the same as a picture
RUN/checkpoint/       while training; gone when the model is saved
RUN/model/            the model, complete
RUN/calibration.json  the thresholds in force, for reading
RUN/probes.json       whether the model notices where classes are mixed
RUN/probes.png        the same by pairs of classes as a picture
RUN/scores.json       written by evaluate, like the next
RUN/review/           written by data review
RUN/test_pictures.jsonl   score and decisions of each test picture
RUN/report.html       written by report
"""

import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from snlad import __version__
from snlad.artifacts import write_atomically
from snlad.config import Config, parse_config
from snlad.errors import (
    ArtifactError,
    ConfigError,
    SnladError,
    TrainingError,
    UsageError,
)

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "pillow", "safetensors", "pydantic")


class RunFolder:
    """Paths and small files of one run.

    Args:
        path: the folder; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.json"
        self.log_file = path / "log.jsonl"
        self.curves_file = path / "curves.png"
        self.checkpoint = path / "checkpoint"
        self.model = path / "model"

    def start(self, config: Config, hardware: Mapping[str, Any], *, resume: bool) -> None:
        """Open the folder for training; nothing that is there is overwritten.

        Raises:
            UsageError: the folder holds a run and ``resume`` is false, or none and it is true.
            ConfigError: the run that is resumed has another configuration.
        """
        exists = self.config_file.exists()
        if exists and not resume:
            raise UsageError(f"{self.path} already holds a run; add --resume or give another --out")
        if resume and not exists:
            raise UsageError(f"{self.path} holds no run to resume; leave --resume out to start one")
        if exists:
            self._require_same(config)
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.path / "versions.json", {**_versions(), **hardware})
            write_json(self.config_file, config.model_dump(mode="json"))
        except OSError as error:
            raise UsageError(f"--out {self.path} cannot be written: {error.strerror}") from None

    def require_outside(self, data: Path) -> None:
        """Refuse a run inside the data set, where its pictures would be trained on one day.

        Raises:
            UsageError: it is.
        """
        if self.path.resolve().is_relative_to(data.resolve()):
            raise UsageError(f"--out {self.path} lies inside the data set {data}; put it elsewhere")

    @contextmanager
    def forgotten_on_error(self, *, unless: bool) -> Iterator[None]:
        """Leave no run behind, unless it is resumed, when something is wrong before the first step.

        What the user interrupts stays, to be resumed.
        """
        try:
            yield
        except TrainingError:
            raise
        except SnladError:
            if not unless:
                for path in (self.config_file, self.path / "versions.json"):
                    path.unlink(missing_ok=True)
                with suppress(OSError):
                    self.path.rmdir()  # only where nothing else is in it
            raise

    @property
    def is_finished(self) -> bool:
        """Whether the model is saved and nothing is left to do after it."""
        return (self.model / "model.json").exists() and not has_checkpoint(self.checkpoint)

    def discard_checkpoint(self) -> None:
        """Remove the checkpoint, its manifest first: that alone marks the run as finished."""
        (self.checkpoint / "checkpoint.json").unlink(missing_ok=True)
        shutil.rmtree(self.checkpoint, ignore_errors=True)

    def append_log(self, row: Mapping[str, Any]) -> None:
        """Add one row to the log."""
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """The log's rows; a last line cut off by a crash is left out."""
        if not self.log_file.exists():
            return []
        lines = self.log_file.read_text(encoding="utf-8").splitlines(keepends=True)
        return [_read_json(self.log_file, line) for line in lines if line.endswith("\n")]

    def rewind_log(self, step: int) -> None:
        """Drop the rows after ``step``, which training is about to write again."""
        rows = [row for row in self.read_log() if row["step"] <= step]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_atomically(self.log_file, text.encode())

    def _require_same(self, config: Config) -> None:
        """Refuse another configuration; a key that this version added has its default."""
        found = _read_json(self.config_file, self.config_file.read_text(encoding="utf-8"))
        stored, asked = (one.model_dump(mode="json") for one in (parse_config(found), config))
        if stored != asked:
            changed = sorted(key for key in asked if stored.get(key) != asked[key])
            raise ConfigError(
                f"{self.path} was started with other values of {', '.join(changed)}; "
                "resume with the same method, config and seed, or give another --out"
            )


def has_checkpoint(folder: Path) -> bool:
    """Whether the state of a training is saved there, whole or damaged."""
    return (folder / "checkpoint.json").exists()


def _read_json(path: Path, text: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ArtifactError(f"{path} is damaged ({error}); give another --out") from None
    return content


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically."""
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def _versions() -> dict[str, Any]:
    found = {"snlad": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return {**found, "platform": platform.platform(), "cores": os.cpu_count()}

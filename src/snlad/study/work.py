"""One run after the other brought to its row, whatever else is at work on the same rows."""

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from snlad.config import digest
from snlad.errors import SnladError, StoppedError, TrainingError
from snlad.models.memory import FeatureMemory
from snlad.study.jobs import Job
from snlad.study.measure import MakeParts, Surroundings, join, measure
from snlad.study.provenance import describe_origin, peak_mib, training_code
from snlad.study.rows import append_row, claim, failed, finished, read_rows
from snlad.types import Progress

End = Literal["finished", "failed", "elsewhere"]
"""How a run ended: with numbers, with an error, or left to another process."""

logger = logging.getLogger(__name__)


@dataclass
class Work:
    """Brings runs to their rows; what all runs of a call share.

    Attributes:
        waiting: models that this call may still train.
    """

    rows: Path
    make: Mapping[str, MakeParts]
    memory: FeatureMemory
    students: Path | None
    device: str
    progress: Progress
    waiting: list[Job]

    @property
    def folder(self) -> Path:
        """For models while they train."""
        return self.rows.with_suffix(".runs")

    def finish(self, job: Job, label: str) -> End | None:
        """Bring a run to its row; models of one class each have rows of their own before.

        Args:
            job: the run.
            label: which of how many it is, for the log.

        Returns:
            How it ended; ``None`` where another process did it in the meantime.
        """
        if not job.parts:
            return self._finish_one(job, label)
        ends = [self._finish_one(part, label) for part in job.parts]
        with self._claimed(job) as is_mine:
            return self._join(job, tried="failed" in ends) if is_mine else "elsewhere"

    def _join(self, job: Job, *, tried: bool) -> End | None:
        """Add the row of all classes once each has one; an error where one was tried in vain."""
        rows = read_rows(self.rows)
        done, broken = finished(rows), failed(rows)
        if job.key in done:
            return None
        head = _head(job, self.device)
        if all(part.key in done for part in job.parts):
            return self._add(job, head, join(job, [done[part.key] for part in job.parts]))
        why = [broken[part.key]["error"] for part in job.parts if part.key in broken]
        return self._add(job, head, {"error": why[0]}) if tried and why else "elsewhere"

    def _finish_one(self, job: Job, label: str) -> End | None:
        trained = _students_of(job, self.folder, self.students)
        self.waiting = [one for one in self.waiting if one.key != job.key]
        with self._claimed(job) as is_mine:
            if not is_mine:
                return "elsewhere"
            end = None
            if job.key not in finished(read_rows(self.rows)):
                logger.info("%s: %s", label, job.title)
                head = _head(job, self.device)  # of the code that begins, whatever is edited then
                end = self._add(job, head, self._measure(job, trained))
            shutil.rmtree(self.folder / job.key, ignore_errors=True)
            if trained.parent == self.folder and not any(
                job.training == later.training for later in self.waiting
            ):
                shutil.rmtree(trained, ignore_errors=True)
        return end

    @contextmanager
    def _claimed(self, job: Job) -> Iterator[bool]:
        """Hold a run against other processes, and leave no lock behind where none is at it."""
        lock = self.folder / f"{job.key}.lock"
        with claim(lock) as is_mine:
            yield is_mine
            if is_mine:
                lock.unlink(missing_ok=True)

    def _measure(self, job: Job, trained: Path) -> dict[str, Any]:
        make = self.make.get(job.run.base)
        folder = self.folder / job.key
        given = Surroundings(
            folder, trained / "student", self.device, make, self.memory, self.progress
        )
        try:
            return {**measure(job, given), "peak_mib": peak_mib()}
        except (KeyboardInterrupt, SnladError) as error:
            if isinstance(error, KeyboardInterrupt) or _asks_for_the_end(error):
                raise StoppedError(
                    f"stopped in the run {job.title}; finished rows are kept in {self.rows}, and "
                    "the same command goes on from here"
                ) from None
            return {"error": str(error)}

    def _add(self, job: Job, head: Mapping[str, Any], found: Mapping[str, Any]) -> End:
        row = {**head, **found}
        append_row(self.rows, row)
        logger.info("%s: %s", job.title, _in_short(row))
        return "failed" if "error" in row else "finished"


def _students_of(job: Job, folder: Path, students: Path | None) -> Path:
    """Where a run's student lies: for ever and for this code, or beside the rows for a while.

    Parts of the user's own are known by a name and not by their code, so they are not kept.
    """
    if students is None or {"student", "loss"} & set(job.run.own):
        return folder / job.training
    return students / training_code() / job.training


def _head(job: Job, device: str) -> dict[str, Any]:
    """What a row says of what was asked, and where it was done."""
    run = job.run
    config = run.config.model_dump(mode="json")
    return {
        "key": job.key,
        "trial": run.trial,
        "method": run.config.method,
        "seed": run.config.seed,
        "classes": list(job.dataset.class_names),
        "pictures": run.pictures,
        "models": run.models,
        "own": list(run.own),
        "data": job.data,
        "config": config,
        "config_hash": digest(config)[:16],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **describe_origin(device, run.config.train),
    }


def _asks_for_the_end(error: SnladError) -> bool:
    if isinstance(error, TrainingError):
        return error.interrupted
    return isinstance(error, StoppedError)


def _in_short(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return f"failed: {row['error']}"
    means = row["scores"]["mean"]
    shown = (("image AUROC", "image_auroc"), ("pixel AUROC", "pixel_auroc"), ("AUPRO", "aupro"))
    numbers = [f"{head} {means[name]:.3f}" for head, name in shown if means[name] is not None]
    return ", ".join((*numbers, f"{row['train_seconds']:.0f} s of training"))

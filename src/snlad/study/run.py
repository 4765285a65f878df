"""The runner: what has no row yet is run, one row is appended as each run ends."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snlad.config import digest
from snlad.engine.hardware import choose_device
from snlad.errors import SnladError, StoppedError, TrainingError, UsageError
from snlad.models.memory import FeatureMemory
from snlad.study.jobs import Job, open_jobs
from snlad.study.measure import MakeParts, Surroundings, measure
from snlad.study.plan import Study
from snlad.study.planned import choose_runs
from snlad.study.provenance import describe_origin, peak_mib, training_code
from snlad.study.rows import append_row, claim, finished, read_rows
from snlad.types import Progress, silent

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How many runs ended which way in this call.

    Attributes:
        finished: with numbers.
        failed: with an error; the next call tries them again.
        elsewhere: left to another process that is at work on them.
    """

    finished: int
    failed: int
    elsewhere: int


def run_study(
    study: Study,
    rows: Path,
    *,
    data: Path | None = None,
    parts: Mapping[str, MakeParts] | None = None,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
    memory: FeatureMemory | None = None,
    students: Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Outcome:
    """Run what has no row yet; finished rows are never computed again.

    Args:
        study: the plan.
        rows: JSONL file; a row is appended as each run ends. Models live beside it, in a folder
            ``STEM.runs``, while they train, and an interrupted training goes on from there.
        data: in place of the study's data set.
        parts: for each trial with parts of its own, by its name without the grid's values, a
            function that makes fresh ones for a configuration.
        only: names of trials; empty for all.
        seeds: empty for all.
        memory: where teacher features are looked up; by default what fits into 4 GiB is
            remembered for the time of the call.
        students: folder that keeps trained students for later calls; without one they are kept
            beside the models until no run of this call needs them.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:0`` or ``mps``.
        progress: told how far the work is.

    Raises:
        DataError: a data set cannot be opened or lacks a class.
        UsageError: a trial or seed is unknown, or parts are missing or of no trial.
        StoppedError: a signal ended the work; finished rows are kept.
    """
    jobs = open_jobs(choose_runs(study.on(data).runs(), only, seeds))
    return run_jobs(
        jobs,
        rows,
        parts=parts,
        memory=memory,
        students=students,
        device=device,
        progress=progress,
    )


def run_jobs(
    jobs: Sequence[Job],
    rows: Path,
    *,
    parts: Mapping[str, MakeParts] | None = None,
    memory: FeatureMemory | None = None,
    students: Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Outcome:
    """As ``run_study``, for jobs that are opened already."""
    parts, memory = parts or {}, memory or FeatureMemory()
    choose_device(device)
    done = finished(read_rows(rows))
    missing = [job for job in jobs if job.key not in done]
    _require_parts(jobs, missing, parts)
    counts = {"finished": 0, "failed": 0, "elsewhere": 0}
    folder = rows.with_suffix(".runs")
    for number, job in enumerate(missing, start=1):
        lock = folder / f"{job.key}.lock"
        trained = _students_of(job, folder, students)
        with claim(lock) as is_mine:
            if not is_mine:
                counts["elsewhere"] += 1
                continue
            if job.key not in finished(read_rows(rows)):  # nobody did it in the meantime
                logger.info("run %d of %d: %s", number, len(missing), job.title)
                given = Surroundings(
                    folder / job.key, trained, device, parts.get(job.run.base), memory, progress
                )
                row = _run(job, given, rows)
                append_row(rows, row)
                counts["failed" if "error" in row else "finished"] += 1
                logger.info("%s: %s", job.title, _in_short(row))
            shutil.rmtree(folder / job.key, ignore_errors=True)
            if trained.parent == folder and not any(
                job.training == later.training for later in missing[number:]
            ):
                shutil.rmtree(trained, ignore_errors=True)
            lock.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()  # only where nothing is left in it
    return Outcome(**counts)


def _students_of(job: Job, folder: Path, students: Path | None) -> Path:
    """Where a run's students lie: for ever and for this code, or beside the rows for a while.

    Parts of the user's own are known by a name and not by their code, so they are not kept.
    """
    if students is None or {"student", "loss"} & set(job.run.own):
        return folder / job.training
    return students / training_code() / job.training


def _run(job: Job, given: Surroundings, rows: Path) -> dict[str, Any]:
    run = job.run
    config = run.config.model_dump(mode="json")
    row = {
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
        **describe_origin(given.device, run.config.train),
    }
    try:
        return {**row, **measure(job, given), "peak_mib": peak_mib()}
    except (KeyboardInterrupt, SnladError) as error:
        if isinstance(error, KeyboardInterrupt) or _asks_for_the_end(error):
            raise StoppedError(
                f"stopped in the run {job.title}; finished rows are kept in {rows}, and the same "
                "command goes on from here"
            ) from None
        return {**row, "error": str(error)}


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


def _require_parts(
    jobs: Sequence[Job], missing: Sequence[Job], parts: Mapping[str, MakeParts]
) -> None:
    with_own = {job.run.base for job in jobs if job.run.own}
    for name in parts:
        if name not in with_own:
            raise UsageError(
                f"parts are given for {name!r}, which is no trial with  own = [...]  of this study"
            )
    for job in missing:
        if job.run.own and job.run.base not in parts:
            raise UsageError(
                f"trial {job.run.base!r} has parts of its own ({', '.join(job.run.own)}); run it "
                "from Python with run_study(..., parts=...), or leave it out with --only"
            )

"""The runner: what has no row yet is run, one row is appended as each run ends."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snlad.engine.hardware import choose_device
from snlad.errors import UsageError
from snlad.models.memory import FeatureMemory
from snlad.study.jobs import Job, open_jobs
from snlad.study.measure import MakeParts
from snlad.study.plan import Study
from snlad.study.planned import choose_runs
from snlad.study.rows import finished, read_rows
from snlad.study.work import End, Work
from snlad.types import Progress, silent


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
    parts = parts or {}
    choose_device(device)
    done = finished(read_rows(rows))
    missing = [job for job in jobs if job.key not in done]
    _require_parts(jobs, missing, parts)
    waiting = [one for job in missing for one in job.parts or (job,) if one.key not in done]
    work = Work(rows, parts, memory or FeatureMemory(), students, device, progress, waiting)
    counts: dict[End, int] = {"finished": 0, "failed": 0, "elsewhere": 0}
    for number, job in enumerate(missing, start=1):
        if (end := work.finish(job, f"run {number} of {len(missing)}")) is not None:
            counts[end] += 1
    with suppress(OSError):
        work.folder.rmdir()  # only where nothing is left in it
    return Outcome(**counts)


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

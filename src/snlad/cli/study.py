"""``snlad study``: run a grid of trials once and lay its numbers out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from snlad.study.jobs import Job
    from snlad.study.plan import Study


def run(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="Plan, see docs/study.md.")],
    data: Annotated[
        Path | None, typer.Option(help="Data set, in place of the one the plan names.")
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(help="JSONL file of rows (default results/STUDY.jsonl).")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run only this trial; may be repeated.")
    ] = None,
    seeds: Annotated[
        list[int] | None, typer.Option(help="Run only this seed; may be repeated.")
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Show which runs have a row; run and write nothing.")
    ] = False,
    tables: Annotated[
        Path | None, typer.Option(help="Folder for tables and plots (default results/STUDY).")
    ] = None,
    memory: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps teacher features and students for later calls."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Run every trial and seed of a plan that has no row yet, then write tables and plots."""
    from snlad.study.jobs import open_jobs
    from snlad.study.plan import read_study
    from snlad.study.planned import choose_runs

    rows = rows or Path("results") / f"{study.stem}.jsonl"
    plan = read_study(study).on(data)
    chosen = choose_runs(plan.runs(), only or (), seeds or ())
    jobs = open_jobs(plan.runs())
    some = [job for job in jobs if job.run in chosen]
    if list_only:
        typer.echo(_list(some, rows))
        return
    failed = _run(some, rows, memory, device, quiet=quiet)
    _write(plan, jobs, rows, tables or rows.with_suffix(""))
    if failed:
        typer.echo(f"snlad: {failed} runs failed; the same command tries them again", err=True)
        raise typer.Exit(1)


def _list(jobs: Sequence["Job"], rows: Path) -> str:
    from snlad.study.rows import failed, finished, read_rows

    found = read_rows(rows)
    done, broken = finished(found), failed(found)
    states = [
        "done" if job.key in done else "failed" if job.key in broken else "missing" for job in jobs
    ]
    lines = [f"{state:8}{job.title}" for state, job in zip(states, jobs, strict=True)]
    return "\n".join((*lines, f"{states.count('done')} of {len(jobs)} runs are in {rows}"))


def _run(
    jobs: Sequence["Job"], rows: Path, memory: Path | None, device: str, *, quiet: bool
) -> int:
    """Run what is missing and return how many runs failed."""
    from snlad.cli.progress import show_progress
    from snlad.models.memory import FeatureMemory
    from snlad.study.run import run_jobs

    with show_progress(quiet) as progress:
        outcome = run_jobs(
            jobs,
            rows,
            memory=FeatureMemory(memory and memory / "features"),
            students=memory and memory / "students",
            device=device,
            progress=progress,
        )
    elsewhere = f", {outcome.elsewhere} are run elsewhere" if outcome.elsewhere else ""
    typer.echo(f"{outcome.finished} runs finished, {outcome.failed} failed{elsewhere}: {rows}")
    return outcome.failed


def _write(plan: "Study", jobs: Sequence["Job"], rows: Path, folder: Path) -> None:
    """Lay out all rows of the plan, whatever was run just now, and print the shorter tables."""
    from snlad.report.formats import markdown_page
    from snlad.study.folder import write_study
    from snlad.study.results import collect
    from snlad.study.rows import read_rows
    from snlad.study.tables import facts

    results = collect(jobs, read_rows(rows))
    found = write_study(folder, plan, results)
    printed = [table for table in found if not table.title.startswith("By ")]
    typer.echo(markdown_page(plan.title, facts(plan, results), printed), nl=False)
    typer.echo(f"\ntables and plots: {folder}")

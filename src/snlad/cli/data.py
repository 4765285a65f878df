"""``snlad data``: look at a data set before training on it."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)
_SHOWN = 20


@app.command("check")
def run_check(
    data: Annotated[Path, typer.Argument(help="Data set: a folder of classes, or a manifest.")],
    min_defect_px: Annotated[
        int | None, typer.Option(help="Smallest defect that matters, in picture pixels.", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Report what would spoil a result: leaks, corrupt files, masks, trivial cues."""
    from snlad.cli.progress import show_progress
    from snlad.data.check import check_dataset
    from snlad.data.opening import survey_dataset

    with show_progress(quiet) as progress:
        report = check_dataset(survey_dataset(data), progress, min_defect_px)
    typer.echo(json.dumps(report.to_dict(), indent=1) if as_json else report.render())
    if report.has_errors:
        raise typer.Exit(1)


@app.command("review")
def run_review(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a finished training.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write; default RUN/review.")] = None,
    folds: Annotated[int, typer.Option(help="Models to train, each without its fold.")] = 2,
    share: Annotated[float, typer.Option(help="Share of the pictures to list.")] = 0.05,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Rank the good pictures of a run by how little normal they look to who never saw them."""
    from snlad.cli.progress import show_progress
    from snlad.engine.review import review
    from snlad.report.tables import align

    with show_progress(quiet) as progress:
        rows = review(run, out, folds=folds, share=share, device=device, progress=progress)
    cells = ((str(r.rank), f"{r.deviation:.1f}", r.class_name, repr(r.path)) for r in rows[:_SHOWN])
    typer.echo(align([("rank", "deviation", "class", "picture"), *cells]))
    listed = (out or run / "review") / "exclude.csv"
    typer.echo(f"look at {listed.parent / 'pictures'}, delete from {listed} what is good, then")
    typer.echo(f"train again with  --exclude {shlex.quote(str(listed))}")


@app.callback()
def _group() -> None:
    """Look at a data set before training on it."""

"""``snlad data``: look at a data set before training on it."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.command("check")
def run_check(
    data: Annotated[Path, typer.Argument(help="Data set: a folder of classes, or a manifest.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Report what would spoil a result: leaks, corrupt files, masks, trivial cues."""
    from snlad.cli.progress import show_progress
    from snlad.data.check import check_dataset
    from snlad.data.opening import open_dataset

    with show_progress(quiet) as progress:
        report = check_dataset(open_dataset(data), progress)
    typer.echo(json.dumps(report.to_dict(), indent=1) if as_json else report.render())
    if report.has_errors:
        raise typer.Exit(1)


@app.callback()
def _group() -> None:
    """Look at a data set before training on it."""

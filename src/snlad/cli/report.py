"""``snlad report``: one HTML file that tells all about a run and opens offline."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="Run or model folder.")],
    data: Annotated[
        Path | None, typer.Option(help="Data set of the evaluation, to show its pictures.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Run of a baseline, evaluated on the same data.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write, else RUN/report.html.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Write one HTML file: numbers, promises kept, histograms, the worst pictures."""
    from snlad.cli.progress import show_progress
    from snlad.data.opening import open_dataset
    from snlad.engine.hardware import choose_device
    from snlad.engine.report import write_report
    from snlad.runtime.exported import require_run

    with show_progress(quiet) as progress:
        written = write_report(
            require_run(model),
            out,
            data=None if data is None else open_dataset(data),
            compare=compare,
            device=str(choose_device(device)),
            progress=progress,
        )
    typer.echo(f"report: {written}")

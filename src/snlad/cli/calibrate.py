"""``snlad calibrate``: thresholds from pictures of good parts, without training again."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def run(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="Run or model folder.")],
    target_fpr: Annotated[
        float, typer.Option(help="Share of good pictures that may be called NG.")
    ] = 0.05,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Normal pictures that training did not use; else the last ones again."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Set the thresholds of a model anew and keep the old ones as an earlier version."""
    from snlad.calibration.caveats import guessed_promise, warnings
    from snlad.cli.progress import show_progress
    from snlad.data.opening import open_dataset
    from snlad.engine.calibrate import calibrate
    from snlad.engine.hardware import choose_device
    from snlad.predict import load
    from snlad.report.tables import format_limits, format_repeatability
    from snlad.runtime.exported import require_run

    loaded = load(require_run(model), device=str(choose_device(device)))
    samples = () if calibration is None else open_dataset(calibration).train_normal
    with show_progress(quiet) as progress:
        found = calibrate(
            model,
            loaded,
            samples,
            target_fpr=target_fpr,
            source=str(calibration or ""),
            progress=progress,
        )
    for warning in warnings(found, loaded.card.classes):
        typer.echo(f"warning: {warning}", err=True)
    rows = {name: limits.model_dump() for name, limits in found.classes.items()}
    typer.echo(format_limits(rows, found.pooled.model_dump(), found.inseparable))
    apart = ", and what the table says where thresholds are shared" if found.inseparable else ""
    typer.echo(
        f"version {found.version} promises {found.target_fpr:g} false alarms for pictures like "
        f"those of the calibration{apart}: {model / 'calibration.json'}"
    )
    if repeats := {name: asdict(row) for name, row in found.repeatability.items()}:
        typer.echo(format_repeatability(repeats))
    if (promise := guessed_promise(found)) is not None:
        typer.echo(promise)

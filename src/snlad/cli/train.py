"""``snlad train``: one model for all classes of a folder."""

import shlex
from pathlib import Path
from typing import Annotated

import typer


def run(
    data: Annotated[Path, typer.Argument(help="Data set: a folder of classes, or a manifest.")],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    method: Annotated[str | None, typer.Option(help="fd, rd, fd-snl or rd-snl (default).")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML or JSON file of settings.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness (default 0).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    roi: Annotated[list[str] | None, typer.Option(help="NAME=mask.png, one a class.")] = None,
    tile: Annotated[
        int | None, typer.Option(help="Cut pictures into tiles of this many pixels a side.")
    ] = None,
    overlap: Annotated[
        int | None, typer.Option(help="Pixels that neighbouring tiles share (default tile / 4).")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Normal pictures to calibrate on, not trained on.")
    ] = None,
    exclude: Annotated[
        Path | None, typer.Option(help="List of pictures to leave out, of snlad data review.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interruption.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Train one model on the normal pictures of all classes."""
    from snlad.cli.progress import show_progress
    from snlad.config import read_config
    from snlad.data.opening import open_dataset
    from snlad.data.roi import parse_rois
    from snlad.engine.pictures import read_excluded
    from snlad.engine.train import train

    settings = read_config(config, method, seed, tile=tile, overlap=overlap)
    dataset = open_dataset(data)
    for note in dataset.notes:
        typer.echo(f"note: {note}", err=True)
    with show_progress(quiet) as progress:
        train(
            dataset,
            out,
            settings,
            device=device,
            resume=resume,
            rois=parse_rois(roi or []),
            calibration=None if calibration is None else open_dataset(calibration),
            excluded=frozenset() if exclude is None else read_excluded(exclude),
            progress=progress,
        )
    typer.echo(f"trained {settings.method_label}: {out / 'model'}")
    typer.echo(f"next: snlad evaluate {shlex.quote(str(out))} {shlex.quote(str(data))}")

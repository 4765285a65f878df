"""``snlad export``: a trained model for a runtime without torch, with proof."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """Of the graph."""

    onnx = "onnx"
    openvino = "openvino"


class Precision(StrEnum):
    """Of the networks."""

    fp32 = "fp32"
    bf16 = "bf16"
    int8 = "int8"


def run(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="Run or model folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the export; it must not exist.")],
    format_: Annotated[Format, typer.Option("--format", help="Runtime.")] = Format.onnx,
    precision: Annotated[
        Precision, typer.Option(help="Of the networks; bf16 and int8 have own thresholds.")
    ] = Precision.fp32,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Normal pictures to prove it on; else those that set the thresholds."),
    ] = None,
    with_pictures: Annotated[
        bool, typer.Option("--with-pictures", help="Keep a few of them in the export.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Export a model, and prove picture by picture that it says what the trained one says."""
    from snlad.cli.progress import show_progress
    from snlad.data.opening import open_dataset
    from snlad.deploy.export import export

    samples = () if calibration is None else open_dataset(calibration).train_normal
    with show_progress(quiet) as progress:
        identity, proof = export(
            model,
            out,
            samples,
            format=format_.value,
            precision=precision.value,
            with_pictures=with_pictures,
            progress=progress,
        )
    typer.echo(
        f"{proof.pictures} pictures: scores differ by at most {proof.score_difference:.1g} "
        f"standard deviations, maps by {proof.map_difference:.1g}; {proof.flipped} decided "
        f"otherwise, {proof.near_flipped} of {proof.near} nearest to a threshold"
    )
    typer.echo(f"exported {identity[:12]}: {out}")
    typer.echo(f"next: snlad predict {out} PICTURES --out DIR")

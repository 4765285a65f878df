"""``snlad weights``: a user's own teacher weights."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.command("import")
def run_import(
    file: Annotated[Path, typer.Argument(help="Checkpoint: .pth, .pt, .bin or .safetensors.")],
    out: Annotated[Path | None, typer.Option(help="File to write, .safetensors.")] = None,
) -> None:
    """Turn a checkpoint of tensors into safetensors, without running any code from it."""
    from snlad.models.weights import import_weights

    target = out or file.with_suffix(".safetensors")
    info = import_weights(file, target)
    typer.echo(", ".join(f"{key} {value}" for key, value in info.items()))
    typer.echo(f'wrote {target}; use it with  [teacher] weights = "{target}"  in a config')


@app.callback()
def _group() -> None:
    """Teacher weights of your own."""

"""``snlad demo``: the main job on embedded pictures, with no download."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo"),
    method: Annotated[str, typer.Option(help="fd, rd, fd-snl or rd-snl.")] = "rd-snl",
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Train, evaluate and draw heat maps on real textures with made defects."""
    from snlad.cli.progress import show_progress
    from snlad.engine.demo import run_demo
    from snlad.report.tables import format_scores

    with show_progress(quiet) as progress:
        scores, sheet = run_demo(out, method=method, seed=seed, progress=progress)
    typer.echo(format_scores(scores))
    typer.echo(f"model: {out / 'run'}\nheat maps: {sheet}")

"""``snlad compare``: what changed from one run to another."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from snlad.engine.compare import Comparison
    from snlad.engine.compare_data import ModelPair
    from snlad.report.overlay import Picture


def run(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="Run or model folder: before.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="Run or model folder: after.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Evaluate both on this data set, instead of their last evaluations."),
    ] = None,
    max_flips: Annotated[
        int | None, typer.Option(min=0, help="Exit 1 where more verdicts flip.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for Markdown, CSV, LaTeX, HTML and maps of flips.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Subtract the numbers of two runs and list the pictures whose verdict flips."""
    from snlad.cli.progress import show_progress
    from snlad.engine.comparison_folder import require_no_comparison, write_comparison
    from snlad.report.comparison import format_markdown

    if out is not None:
        require_no_comparison(out)
    needs_flips = max_flips is not None
    notes: list[str] = []
    strips: Iterator[Picture] = iter(())
    with show_progress(quiet) as progress:
        if data is None:
            found = _compare_stored(run_a, run_b, needs_flips=needs_flips)
        else:
            pair = _open_pair(run_a, run_b, data, out, device, needs_flips=needs_flips)
            found, notes = pair.compare(progress)
            strips = pair.draw(found.flips or (), progress)
        content = found.to_dict()
        if out is not None:
            write_comparison(out, content, strips)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(json.dumps(content, indent=1) if as_json else format_markdown(content), nl=as_json)
    flips = len(found.flips or ())
    if max_flips is not None and flips > max_flips:
        typer.echo(f"snlad: {flips} verdicts flip, more than --max-flips {max_flips}", err=True)
        raise typer.Exit(1)
    if any(note.startswith("left out: ") for note in notes):
        raise typer.Exit(1)


def _compare_stored(run_a: Path, run_b: Path, *, needs_flips: bool) -> "Comparison":
    from snlad.engine.compare import compare, require_thresholds
    from snlad.engine.evaluated_run import load_evaluated

    sides = load_evaluated(run_a), load_evaluated(run_b)
    if needs_flips:
        require_thresholds({side.run: side.thresholds is not None for side in sides})
    return compare(*sides)


def _open_pair(
    run_a: Path, run_b: Path, data: Path, out: Path | None, device: str, *, needs_flips: bool
) -> "ModelPair":
    from snlad.data.opening import open_dataset
    from snlad.engine.compare_data import ModelPair
    from snlad.engine.hardware import choose_device
    from snlad.engine.rundir import RunFolder
    from snlad.predict import load

    dataset = open_dataset(data)
    if out is not None:
        RunFolder(out).require_outside(dataset.root)
    chosen = str(choose_device(device))
    models = load(run_a, device=chosen), load(run_b, device=chosen)
    names = str(run_a), str(run_b)
    return ModelPair(names, models, dataset, needs_flips=needs_flips)

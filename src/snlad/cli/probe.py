"""``snlad probe``: does the model notice where two classes are mixed?"""

import json
from pathlib import Path
from typing import Annotated

import typer


def run(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="Run or model folder.")],
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Data set; its good pictures not trained on count."),
    ],
    count: Annotated[int, typer.Option(min=1, max=1000, help="Probes of each kind.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of their choices.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers as JSON.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Measure cross-class interference without a label and write RUN/probes.json and probes.png."""
    from snlad.cli.progress import show_progress
    from snlad.data.opening import open_dataset
    from snlad.engine.hardware import choose_device
    from snlad.engine.interference import MATRICES_FILE
    from snlad.engine.pictures import unseen_normals
    from snlad.engine.probe import probe
    from snlad.engine.refresh import refresh_card
    from snlad.predict import load
    from snlad.report.tables import format_interference
    from snlad.runtime.exported import require_run

    loaded = load(require_run(model), device=str(choose_device(device)))
    dataset = open_dataset(data)
    samples = unseen_normals(model, dataset, loaded.card.classes)
    with show_progress(quiet) as progress:
        found = probe(loaded, samples, n=count, seed=seed, source=str(data), progress=progress)
    found.save(model)
    refresh_card(model, loaded)
    for note in (*dataset.notes, *found.notes):
        typer.echo(f"note: {note}", err=True)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
        return
    typer.echo(format_interference(found.summary()))
    typer.echo(f"by pair of classes: {model / MATRICES_FILE}")

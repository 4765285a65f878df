"""``snlad evaluate``: the seven numbers, per class, mean and pooled."""

import json
from pathlib import Path
from typing import Annotated

import typer


def run(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="Run or model folder.")],
    data: Annotated[Path, typer.Argument(help="Labelled data set.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    protocol: Annotated[
        str | None,
        typer.Option(help="Rules of a published table: ader, rd4ad, dinomaly-any or -half."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Measure a model on labelled test pictures and write RUN/scores.json."""
    from snlad.cli.progress import show_progress
    from snlad.data.opening import open_dataset
    from snlad.engine.evaluate import evaluate
    from snlad.engine.hardware import choose_device
    from snlad.engine.rundir import write_json
    from snlad.model_folder import find_model, write_card
    from snlad.predict import load
    from snlad.report.tables import format_scores

    loaded = load(model, device=str(choose_device(device)))
    dataset = open_dataset(data)
    with show_progress(quiet) as progress:
        table, notes = evaluate(loaded, dataset, protocol=protocol, progress=progress)
    scores = table.to_dict()
    for note in (*dataset.notes, *notes):
        typer.echo(f"note: {note}", err=True)
    typer.echo(json.dumps(scores, indent=1) if as_json else format_scores(scores))
    if protocol is None:
        write_json(model / "scores.json", scores)
        write_card(find_model(model), loaded.card, loaded.identity, scores)
    else:
        write_json(model / f"scores-{protocol}.json", scores)
    if any(note.startswith("left out: ") for note in notes):
        raise typer.Exit(1)

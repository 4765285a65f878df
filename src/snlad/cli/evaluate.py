"""``snlad evaluate``: the seven numbers, per class, mean and pooled."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from snlad.errors import UsageError


def run(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN DATA", help="Run, model folder or export, and labelled data set."
        ),
    ],
    maps: Annotated[
        Path | None,
        typer.Option(help="Score a folder of any method's maps instead of a RUN: TIFF or NPY."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    protocol: Annotated[
        str | None,
        typer.Option(help="Rules of a published table: ader, rd4ad, dinomaly-any or -half."),
    ] = None,
    full_resolution: Annotated[
        bool, typer.Option("--full-resolution", help="Count pixels at each picture's own size.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Measure a model, or maps, on labelled test pictures and write RUN/scores.json."""
    from snlad.report.tables import format_scores

    *model, data = paths
    if len(model) != (maps is None):
        raise UsageError(
            "snlad evaluate takes RUN DATA, or --maps DIR DATA; "
            f"it was given {len(paths)} paths {'without' if maps is None else 'and'} --maps"
        )
    if full_resolution and protocol:
        raise UsageError(f"--full-resolution and --protocol {protocol} are two; give one of them")
    protocol = "snlad-v1-full" if full_resolution else protocol
    if maps is None:
        scores, notes = _evaluate_model(model[0], data, protocol, device, quiet=quiet)
    else:
        scores, notes = _evaluate_maps(maps, data, protocol, quiet=quiet)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(json.dumps(scores, indent=1) if as_json else format_scores(scores))
    if any(note.startswith("left out: ") for note in notes):
        raise typer.Exit(1)


def _evaluate_model(
    model: Path, data: Path, protocol: str | None, device: str, *, quiet: bool
) -> tuple[dict[str, Any], Sequence[str]]:
    from snlad.cli.progress import show_progress
    from snlad.data.opening import open_dataset
    from snlad.engine.evaluate import evaluate
    from snlad.engine.interference import with_probes
    from snlad.engine.refresh import refresh_card
    from snlad.engine.rundir import write_json
    from snlad.predict import load
    from snlad.runtime.exported import is_export

    loaded = load(model, device=device if is_export(model) else _choose_device(device))
    dataset = open_dataset(data)
    with show_progress(quiet) as progress:
        found = evaluate(loaded, dataset, protocol=protocol, progress=progress)
    found = with_probes(found, model, loaded.identity)
    scores = found.to_dict()
    if protocol is None:
        found.save(model)
        refresh_card(model, loaded)
    else:
        write_json(model / f"scores-{protocol}.json", scores)
    return scores, (*dataset.notes, *found.notes)


def _choose_device(name: str) -> str:
    from snlad.engine.hardware import choose_device

    return str(choose_device(name))


def _evaluate_maps(
    maps: Path, data: Path, protocol: str | None, *, quiet: bool
) -> tuple[dict[str, Any], Sequence[str]]:
    from snlad.cli.progress import show_progress
    from snlad.data.opening import open_dataset
    from snlad.engine.evaluate_maps import evaluate_maps

    dataset = open_dataset(data)
    with show_progress(quiet) as progress:
        found = evaluate_maps(maps, dataset, protocol=protocol or "snlad-v1", progress=progress)
    return found.to_dict(), (*dataset.notes, *found.notes)

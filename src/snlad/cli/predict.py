"""``snlad predict``: scores, heat maps and rows for pictures without labels."""

import os
from pathlib import Path
from typing import Annotated

import typer


def run(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="Run or model folder.")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures or folders.")],
    out: Annotated[Path, typer.Option(help="Folder for predictions.jsonl and heat maps.")],
    maps: Annotated[
        str, typer.Option(help="Also write these maps as float TIFF: feature,center,overall.")
    ] = "",
    csv: Annotated[
        bool, typer.Option("--csv", help="Also write predictions.csv, safe in spreadsheets.")
    ] = False,
    coco: Annotated[
        bool, typer.Option("--coco", help="Also write predictions.coco.json: regions with masks.")
    ] = False,
    mvtec_maps: Annotated[
        bool,
        typer.Option("--mvtec-maps", help="Also write anomaly_maps/ as MVTec's evaluation asks."),
    ] = False,
    class_name: Annotated[str | None, typer.Option(help="Product class of all pictures.")] = None,
    min_area: Annotated[
        float, typer.Option(help="Leave out regions smaller than this many pixels.")
    ] = 0.0,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for a picture; then it is not judged.", min=0.1)
    ] = 60.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Plain lines, no bar.")] = False,
) -> None:
    """Inspect pictures: one row and one heat map each."""
    from snlad.cli.progress import show_progress
    from snlad.data.loading import TRUTH, count_links, count_masks, find_images
    from snlad.data.map_names import MapNames
    from snlad.engine.predictions import write_predictions
    from snlad.errors import UsageError
    from snlad.predict import load
    from snlad.runtime.exported import is_export

    if not any(os.path.lexists(path) for path in paths):
        raise UsageError(f"{', '.join(map(str, paths))}: nothing there; give pictures or folders")
    loaded = load(model, device=device if is_export(model) else _torch_device(device))
    loaded.min_area, loaded.timeout_s = min_area, timeout
    mirrored = MapNames(paths) if mvtec_maps else None
    pictures = find_images(paths, exclude=out)
    total = sum(1 for _ in (pictures if mirrored is None else mirrored.refuse_twins(pictures)))
    if not total:
        raise UsageError(f"no picture in {', '.join(map(str, paths))}; give pictures or folders")
    if links := count_links(paths):
        typer.echo(f"note: {links} links in folders were passed over; name them", err=True)
    if masks := count_masks(paths):
        typer.echo(f"note: {masks} masks in {TRUTH} were passed over; name the folder", err=True)
    if loaded.rois and class_name is None and len(loaded.card.classes) > 1:
        listed = ", ".join(loaded.rois)
        typer.echo(f"note: inspection masks of {listed} need --class-name to count", err=True)
    with show_progress(quiet) as progress:
        done, failed = write_predictions(
            loaded,
            find_images(paths, exclude=out),
            out,
            map_names=[name.strip() for name in maps.split(",") if name.strip()],
            csv=csv,
            coco=coco,
            mirrored=mirrored,
            class_name=class_name,
            progress=lambda count: progress("inspecting", count, max(total, count)),
        )
    typer.echo(f"{done} pictures, {failed} with errors: {out / 'predictions.jsonl'}")
    if failed:
        raise typer.Exit(1)


def _torch_device(name: str) -> str:
    from snlad.engine.hardware import choose_device

    return str(choose_device(name))

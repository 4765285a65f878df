"""Models to be timed: calibrated after a few steps, and exported for every runtime and precision.

    python benchmarks/speed_models.py JOB

``JOB`` is JSON: ``settings`` of a run, ``data`` and the folder ``out``. How fast a model is depends
on its shapes, not on how well it was trained or what its lower precision costs; so it learns from a
few pictures of one class, or from all where their number says how many centers there are to look
through, and its exports need no proof.
``out/made.json`` says what was made, and why what was not.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from speed_list import ONNX, OPENVINO, PRECISIONS

RUN, MADE = "run", "made.json"
_LEARNT, _CALIBRATED, _STEPS = 18, 6, 2
_SHORT = {"float32": "fp32", "bfloat16": "bf16", "int8": "int8"}
_FORMATS = {ONNX: "onnx", OPENVINO: "openvino"}


def export_name(runtime: str, precision: str) -> str:
    """Folder of an export beside the run."""
    return f"{_FORMATS[runtime]}-{precision}"


def make(settings: dict[str, Any], data: Path, out: Path) -> None:
    """Train, export and count; whatever cannot be exported is written down with its reason."""
    import speed_flops
    from snlad.config import merge_settings, parse_config
    from snlad.data.opening import open_dataset
    from snlad.engine.train import train
    from snlad.model_folder import load_model

    few = {
        "train": {"steps": _STEPS, "batch_size": 4},
        "calibration": {"target_fpr": 0.5},
        "probes": {"count": 0},
    }
    config = parse_config(merge_settings(settings, few))
    for name in (RUN, *(export_name(r, p) for r in _FORMATS for p in PRECISIONS)):
        shutil.rmtree(out / name, ignore_errors=True)  # of a try that was stopped
    dataset = open_dataset(data)
    parts = some_of_a_class(dataset.train_normal, None if config.maps.centers else _LEARNT)
    calibrated, learnt = (replace(dataset, samples=part) for part in parts)
    train(learnt, out / RUN, config, calibration=calibrated)
    flops = speed_flops.of_inference(load_model(out / RUN).detector, config.image_size)
    made = {"flops": flops, "exports": export_all(out)}
    (out / MADE).write_text(json.dumps(made), encoding="utf-8")


def some_of_a_class(
    normals: Sequence[Any], learnt: int | None
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Pictures of the class that has the most: a few to calibrate on, and so many others, or all.

    An export of one class is proved in seconds.
    """
    names = [sample.class_name for sample in normals]
    most = max(sorted(set(names)), key=names.count)
    some = tuple(sample for sample in normals if sample.class_name == most)
    aside = min(_CALIBRATED, len(some) // 2)
    return some[:aside], some[aside:][:learnt]


def export_all(out: Path) -> dict[str, str]:
    """Export the run for each runtime and precision; by folder "" or the reason why it is not."""
    found = {}
    for runtime in _FORMATS:
        for precision in PRECISIONS:
            name = export_name(runtime, precision)
            found[name] = _export(out / RUN, out / name, _FORMATS[runtime], precision)
            print(name, found[name] or "exported")
    return found


def _export(run: Path, folder: Path, form: str, precision: str) -> str:
    from snlad.deploy.export import export
    from snlad.deploy.proof import Proof

    try:
        with mock.patch.object(Proof, "require"):  # far off or not, it takes as long
            export(run, folder, format=form, precision=_SHORT[precision])  # type: ignore[arg-type] # one of both
    except Exception as error:  # whatever a runtime raises belongs in the row
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ""


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    make(job["settings"], Path(job["data"]), Path(job["out"]))

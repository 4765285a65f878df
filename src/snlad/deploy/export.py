"""Export: a trained model as a graph for another runtime, let out only with proof."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from snlad.artifacts import Arrays
from snlad.calibration.record import Calibration
from snlad.data.images import to_input
from snlad.data.inputs import load_inputs
from snlad.data.loading import (
    Picture,
    data_digest,
    file_digests,
    load_samples,
)
from snlad.data.probes import cutpastes, mixups
from snlad.data.roi import FittedRois
from snlad.data.samples import Sample
from snlad.deploy.graph import InferenceGraph, to_onnx, to_openvino
from snlad.deploy.proof import Proof, prove
from snlad.deploy.quantise import quantise
from snlad.deploy.tolerance import TOLERANCES
from snlad.engine.calibrate import calibrate_export, require_calibration
from snlad.engine.pictures import load_pictures
from snlad.errors import UsageError
from snlad.model_folder import LoadedModel, load_model
from snlad.predict import Model, load, open_export
from snlad.runtime.exported import Exported, Format, Precision, require_run, save_export
from snlad.runtime.sessions import Session
from snlad.types import Progress, silent

_PROBES, _BATCH, _REPLAYED = 50, 16, 4
_RANGED = 300
"""Pictures, evenly of all classes, that the ranges of INT8 are found on."""
_SEED = 0


def export(
    run: Path,
    out: Path,
    samples: Sequence[Sample] = (),
    *,
    format: Format = "onnx",
    precision: Precision = "fp32",
    with_pictures: bool = False,
    progress: Progress = silent,
) -> tuple[str, Proof]:
    """Export a calibrated model and prove that it says what the trained one says.

    Args:
        run: run or model folder.
        out: folder to write; it must not exist.
        samples: normal pictures to prove it on; by default those that set the thresholds.
        format: of the graph.
        precision: that its networks are computed in; a lower one has thresholds of its own.
        with_pictures: keep a few of them in the export, to be replayed where it is used.
        progress: told how far the work is.

    Returns:
        The export's identity, and the proof.

    Raises:
        ArtifactError: the model is damaged, or the export does not say what it says; nothing is
            written then.
        ImageError: a picture cannot be read.
        UsageError: the model is not calibrated or cannot tell classes, the folder exists, the
            format has not this precision, or a picture is missing, not normal, of another class or,
            where it sets thresholds, one that was trained on.
    """
    if out.exists():
        raise UsageError(f"--out {out} exists; give another folder or move it away")
    if (format, precision) == ("onnx", "bf16"):
        raise UsageError(
            "ONNX Runtime computes no bfloat16 on a CPU; export with --format openvino, or with "
            "--precision int8"
        )
    loaded, trained = load_model(require_run(run)), load(run)
    if trained.calibration is None:
        raise UsageError(f"{run} is not calibrated; run  snlad calibrate {run}  first")
    if loaded.class_answer is None:
        raise UsageError(f"{run} was saved without what tells classes apart; train it again")
    size = trained.card.config.image_size
    source = "--calibration" if samples else trained.calibration.source
    samples = samples or _held_out(run, trained.calibration)
    require_calibration(samples, trained.card.classes)
    exported = Exported(
        card=trained.card,
        rois=trained.rois,
        model=trained.identity,
        calibration=trained.calibration,
        format=format,
        precision=precision,
        graph=_make_graph(loaded, samples, format, precision),
        replay={},
        proof={},
    )
    session = exported.session()
    model = open_export(exported, "not yet saved", session)
    if precision != "fp32":
        own = calibrate_export(run, model, samples, source=source, progress=progress)
        model.calibration, exported = own, replace(exported, calibration=own)
    proof = _prove(trained, model, samples, progress)
    proof.require(TOLERANCES[precision])
    exported = replace(
        exported,
        replay=_replay(session, size, samples[: _REPLAYED if with_pictures else 0]),
        proof=proof.to_dict(),
    )
    return save_export(out, exported), proof


def _make_graph(
    loaded: LoadedModel, samples: Sequence[Sample], format: Format, precision: Precision
) -> dict[str, bytes]:
    """The files of the graph by suffix."""
    size = loaded.card.config.image_size
    assert loaded.class_answer is not None
    onnx = to_onnx(InferenceGraph(loaded.detector, loaded.class_answer), size)
    if precision == "int8":
        chosen = np.unique(np.linspace(0, len(samples) - 1, _RANGED).round()).astype(int)
        paths = [samples[i].path for i in chosen]
        inputs = (to_input(load_inputs([path], size, loaded.card.config.tiling)) for path in paths)
        onnx = quantise(onnx, inputs, len(paths))
    return {"onnx": onnx} if format == "onnx" else to_openvino(onnx)


def _held_out(run: Path, calibration: Calibration) -> tuple[Sample, ...]:
    """The pictures that set the thresholds in force."""
    used = load_pictures(run)
    samples = () if used is None else used.calibration
    is_there = samples and all(sample.path.exists() for sample in samples)
    if not is_there or data_digest(samples, file_digests(samples)) != calibration.data:
        raise UsageError(
            f"the pictures that set the thresholds of {run} are not listed there, have changed or "
            "are gone; give good pictures with --calibration DIR"
        )
    return samples


def _prove(trained: Model, exported: Model, samples: Sequence[Sample], progress: Progress) -> Proof:
    """Compare both models on normal pictures and on mixtures of them."""
    size, tiling = trained.card.config.image_size, trained.card.config.tiling
    masks = FittedRois(trained.rois if tiling is None else {}, size)
    probes = chain(
        mixups(samples, size, _PROBES, _SEED, tiling),
        cutpastes(samples, size, _PROBES, _SEED, masks.seen, tiling),
    )
    mixed = ((Picture(path=None, fitted=one.pixels), None) for one in probes)
    pictures = chain(_normals(samples, size, trained.cuts_tiles), mixed)
    return prove(trained, exported, pictures, len(samples) + 2 * _PROBES, progress)


def _normals(
    samples: Sequence[Sample], size: tuple[int, int], for_tiles: bool
) -> Iterator[tuple[Picture, str | None]]:
    """Each picture, as of its class."""
    for batch, pictures in load_samples(samples, size, _BATCH, for_tiles=for_tiles):
        for sample, picture in zip(batch, pictures, strict=True):
            yield picture, sample.class_name


def _replay(session: Session, size: tuple[int, int], samples: Sequence[Sample]) -> Arrays:
    """Inputs, and what the graph says to them: patterns of noise, and the pictures given."""
    images = _patterns(size)
    if samples:
        images = np.concatenate([images, load_inputs([one.path for one in samples], size)])
    return {"images": images, **session(to_input(images))}


def _patterns(size: tuple[int, int]) -> UInt8[np.ndarray, "B H W 3"]:
    """Noise of several grains, which shows no product."""
    random = np.random.default_rng(_SEED)
    found = []
    for grain in (1, 4, 16, 64):
        coarse = random.integers(0, 256, (-(-size[0] // grain), -(-size[1] // grain), 3), np.uint8)
        found.append(coarse.repeat(grain, 0).repeat(grain, 1)[: size[0], : size[1]])
    return np.stack(found)

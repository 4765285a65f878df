"""The folder of an exported model: graph, card, thresholds and the proof of what it says.

EXPORT/export.json               manifest: schema, card, calibration, proof, hashes
EXPORT/model-HASH.onnx           the graph; OpenVINO: model-HASH.xml and model-HASH.bin
EXPORT/replay-HASH.safetensors   inputs without any product, and what the graph must say to them
EXPORT/roi_I-HASH.png            inspection masks
EXPORT/README.md                 the card for people; never read by snlad
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from snlad.artifacts import Arrays, format_arrays, load_artifact, save_artifact
from snlad.calibration.record import Calibration
from snlad.data.images import to_input
from snlad.errors import ArtifactError, UsageError
from snlad.inspection import Output
from snlad.metrics.protocols import Protocol as Rules
from snlad.model_card import ModelCard, card_fields, parse_card, write_card
from snlad.runtime.sessions import OUTPUTS, Session, onnx_session, openvino_session

MANIFEST = "export.json"

Format = Literal["onnx", "openvino"]

Precision = Literal["fp32", "bf16", "int8"]
"""Of the networks; all else is computed in float32. bf16 is OpenVINO's alone."""

_SUFFIXES: dict[Format, tuple[str, ...]] = {"onnx": ("onnx",), "openvino": ("xml", "bin")}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An exported model in memory.

    Attributes:
        card: what is known of the trained model.
        rois: inspection masks, bool (H0, W0), by class name.
        model: identity of the trained model.
        calibration: its thresholds.
        format: of the graph.
        precision: that its networks are computed in.
        graph: its files by suffix, ``onnx``, or ``xml`` and ``bin``.
        replay: uint8 ``images`` (B, H, W, 3) and the graph's outputs by name.
        proof: how far the graph's answers are from the trained model's.
    """

    card: ModelCard
    rois: Mapping[str, NDArray[np.bool_]]
    model: str
    calibration: Calibration
    format: Format
    precision: Precision
    graph: Mapping[str, bytes]
    replay: Arrays
    proof: Mapping[str, Any]

    def session(self) -> Session:
        """What computes the graph.

        Raises:
            ArtifactError: it is not one that snlad exports.
            ModuleNotFoundError: its runtime is not installed.
        """
        if self.format == "onnx":
            return onnx_session(self.graph["onnx"])
        return openvino_session(
            self.graph["xml"], self.graph["bin"], in_bfloat16=self.precision == "bf16"
        )


class ExportedNetwork:
    """The network of an exported model.

    Attributes:
        map_names: ``overall`` alone.
    """

    def __init__(self, session: Session, card: ModelCard) -> None:
        self._session, self._card = session, card
        self.map_names: tuple[str, ...] = ("overall",)

    def run(self, pictures: UInt8[np.ndarray, "B H W 3"]) -> Output:
        """Inspect pictures of the input size."""
        found = self._session(to_input(pictures))
        maps = {"overall": found["anomaly_map"][:, 0]}
        return Output(found["pred_score"], maps, found["class_distance"].astype(np.float64))

    def under(self, rules: Rules) -> "ExportedNetwork":
        """The same network, where the protocol scores and smooths as the graph does.

        Raises:
            UsageError: it does not.
        """
        if rules.score != self._card.config.maps.score or rules.kernel_px is not None:
            raise UsageError(
                f"an exported model scores and smooths as it was exported, not by protocol "
                f"{rules.name}; evaluate the run that it was exported from"
            )
        return self


def is_export(folder: Path) -> bool:
    """Whether a folder holds an exported model."""
    return (folder / MANIFEST).exists()


def require_run(path: Path) -> Path:
    """Let a path through that is no export.

    Raises:
        UsageError: it is one.
    """
    if is_export(path):
        raise UsageError(
            f"{path} is an export, which only predict and verify take; "
            "give the run that it was exported from"
        )
    return path


def save_export(folder: Path, exported: Exported) -> str:
    """Save an exported model atomically.

    Returns:
        Its identity.
    """
    card, files = card_fields(exported.card, exported.rois)
    files |= {f"model.{suffix}": data for suffix, data in exported.graph.items()}
    files["replay.safetensors"] = format_arrays(exported.replay)
    record = exported.calibration.model_dump(mode="json")
    payload = {
        "card": card,
        "model": exported.model,
        "calibration": record,
        "format": exported.format,
        "precision": exported.precision,
        "proof": dict(exported.proof),
    }
    identity = save_artifact(folder, "export", payload, files)
    write_card(folder, exported.card, identity, calibration=record)
    return identity


def load_export(folder: Path) -> tuple[Exported, str]:
    """Load an exported model and its identity, after checking every hash.

    Raises:
        ArtifactError: the folder is damaged, foreign or of another version.
    """
    artifact = load_artifact(folder, "export")
    payload = artifact.payload
    try:
        card, rois = parse_card(payload["card"], artifact.files, folder)
        replay = artifact.arrays("replay.safetensors")
        exported = Exported(
            card=card,
            rois=rois,
            model=payload["model"],
            calibration=Calibration.model_validate(payload["calibration"]),
            format=payload["format"],
            precision=payload["precision"],
            graph={name: artifact.files[f"model.{name}"] for name in _SUFFIXES[payload["format"]]},
            replay={name: replay[name] for name in ("images", *OUTPUTS)},
            proof=payload["proof"],
        )
        _require_replay(exported)
    except (KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{folder / MANIFEST} lacks or garbles a field: {reason}") from None
    return exported, artifact.identity


def _require_replay(exported: Exported) -> None:
    """Let an export through whose inputs can be replayed, in a precision and on a scale."""
    images, size = exported.replay["images"], exported.card.config.image_size
    if images.dtype != np.uint8 or images.shape[1:] != (*size, 3) or not len(images):
        raise ValueError(f"replayed images are {images.dtype} {images.shape}")
    if exported.precision not in get_args(Precision):
        raise ValueError(f"precision {exported.precision!r}")
    if not 0 < float(exported.proof["scale"]) < np.inf:
        raise ValueError(f"the proof's scale is {exported.proof['scale']}")

"""Inspection: pictures in, scores and maps out; the one inference path of every verb."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snlad.calibration.record import Calibration, load_calibration
from snlad.calibration.verdict import give_verdict
from snlad.data.loading import Picture, Source, load_batches
from snlad.data.roi import FittedRois
from snlad.errors import UsageError
from snlad.inspection import Found, Inspector, Network
from snlad.metrics.protocols import Protocol
from snlad.model_card import ModelCard, find_model
from snlad.runtime.exported import Exported, ExportedNetwork, is_export, load_export
from snlad.runtime.sessions import Session
from snlad.types import MAP_SIZE, Prediction

if TYPE_CHECKING:
    from torch import nn

    from snlad.models.detector import MapFunction
    from snlad.models.memory import FeatureMemory

_BATCH = 8
_TIMEOUT_S: float | None = 60.0


class Model:
    """A trained model that inspects pictures.

    Args:
        network: computes scores and maps.
        card: what is known of the model.
        identity: SHA-256 that names exactly this model.
        rois: inspection masks, bool (H0, W0), by class name.
        calibration: its thresholds; without them there are scores and no labels.
        device: where the network runs, for example ``cpu`` or ``cuda:0``.

    Attributes:
        calibration: the thresholds in force, or ``None``.
        min_area: smallest region that is reported, in pixels of the picture.
        timeout_s: how long to wait for a picture whose turn has come; ``None`` for ever.
        map_names: the maps it can return; ``overall`` is the last.
        cuts_tiles: it judges pictures tile by tile, and so needs them as they were decoded.
    """

    def __init__(
        self,
        network: Network,
        card: ModelCard,
        identity: str,
        rois: dict[str, NDArray[np.bool_]],
        *,
        calibration: Calibration | None = None,
        device: str = "cpu",
    ) -> None:
        self.calibration = calibration
        self.min_area, self.timeout_s = 0.0, _TIMEOUT_S
        self.card, self.identity, self.rois, self.device = card, identity, rois, device
        self.map_names, self.cuts_tiles = network.map_names, card.config.tiling is not None
        self._masks = FittedRois(rois, card.config.image_size)
        self._inspector = Inspector(network, card, self._masks)

    def predict(
        self, images: Source | Iterable[Source], *, class_name: str | None = None
    ) -> list[Prediction]:
        """Inspect a few pictures and keep everything, maps and decoded pictures included.

        Args:
            images: paths, or arrays uint8 (H0, W0, 3) in RGB; one or many.
            class_name: the product class of all of them, where it is known.

        Raises:
            UsageError: the class is not one of the model's.
        """
        single = isinstance(images, (str, Path)) or hasattr(images, "shape")
        return list(self.stream([images] if single else images, class_name=class_name))  # type: ignore[list-item,arg-type] # narrowed by `single`

    def stream(
        self, images: Iterable[Source], *, class_name: str | None = None
    ) -> Iterator[Prediction]:
        """Inspect any number of pictures in constant memory, in order.

        Raises:
            UsageError: the class is not one of the model's.
        """
        name = self._require_class(class_name)
        size, wait = self.card.config.image_size, self.timeout_s
        batches = load_batches(images, size, _BATCH, for_tiles=self.cuts_tiles, timeout_s=wait)
        return (row for batch in batches for row in self.judge(batch, [name] * len(batch)))

    def judge(
        self, pictures: Sequence[Picture], class_names: Sequence[str | None]
    ) -> list[Prediction]:
        """Inspect one batch of loaded pictures; a bad one gets an error and no score."""
        good = [i for i, picture in enumerate(pictures) if picture.fitted is not None]
        limits = None if self.calibration is None else self.calibration.answer_limits
        found = self._inspector.inspect(
            [pictures[i] for i in good], [class_names[i] for i in good], limits
        )
        answers = dict(zip(good, found, strict=True))
        return [
            self._predict(picture, class_names[i], answers.get(i))
            for i, picture in enumerate(pictures)
        ]

    def peak(self, prediction: Prediction) -> float:
        """The largest pixel of a picture's smoothed map, where it is inspected."""
        overall = prediction.maps["overall"]
        return float(overall[self._masks.inspected(prediction.class_name, overall.shape)].max())

    def under(self, protocol: Protocol) -> "Model":
        """The same model with the image score and the smoothing of an evaluation protocol."""
        other = copy(self)
        other._inspector = self._inspector.under(protocol)
        return other

    def _predict(self, picture: Picture, stated: str | None, found: Found | None) -> Prediction:
        known: dict[str, Any] = {"class_name": stated, "reason": picture.fault, "pred_score": None}
        error = picture.error
        if found is not None and not np.isfinite(found.score):
            error = (
                f"{picture.path}: the score is {found.score}; the model is damaged or overflowed"
            )
            found, known["reason"] = None, "not_finite"
        if found is not None:
            known = self._judge(picture, stated, found)
        return Prediction(
            **known,
            path=picture.path,
            sha256=picture.sha256,
            model=self.identity[:12],
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            error=error,
            size=picture.size,
            image=picture.original,
        )

    def _judge(self, picture: Picture, stated: str | None, found: Found) -> dict[str, Any]:
        tells = self.calibration is not None and self.calibration.answer_limits is not None
        overall, name = found.maps["overall"], stated if stated is not None else found.answer
        verdict = give_verdict(
            self.calibration,
            found.score,
            overall,
            self._masks.inspected(name, overall.shape),
            stated=stated,
            answer=found.answer,
            is_unknown=found.answer is None if tells else None,
            cause=found.cause,
            size=picture.size or MAP_SIZE,
            min_area=self.min_area,
        )
        return {
            **verdict,
            "pred_score": found.score,
            "maps": found.maps,
            "class_distances": found.distances,
        }

    def _require_class(self, class_name: str | None) -> str | None:
        classes = list(self.card.classes)
        if class_name is None:
            return classes[0] if len(classes) == 1 else None
        if class_name not in classes:
            listed = ", ".join(classes)
            raise UsageError(f"class {class_name!r} is not one of this model's: {listed}")
        return class_name


def load(
    path: Path | str,
    *,
    device: str = "cpu",
    student: "nn.Module | None" = None,
    maps: "Mapping[str, MapFunction] | None" = None,
    memory: "FeatureMemory | None" = None,
    in_bfloat16: bool = False,
) -> Model:
    """Load a run, a model folder or an export, offline.

    Args:
        path: a run folder, its ``model`` folder copied anywhere, or the folder of an export.
        device: ``cpu``, ``cuda``, ``cuda:0`` or ``mps``.
        student: the user's own student, where the model was trained with one.
        maps: the user's own maps, likewise.
        memory: where the teacher's features of pictures are looked up that were seen before, by any
            model; scores then differ in their last digits at most.
        in_bfloat16: whether the student computes in bfloat16, which is fast where the machine has
            it. Thresholds are those of float32: an export in bfloat16 has its own, and a proof.

    Raises:
        ArtifactError: the folder or its calibration is damaged, foreign or of another version.
        ModuleNotFoundError: what runs it is not installed.
        UsageError: the model has parts of the user's own that were not given, or an export is not
            for this device or this precision.
        WeightsError: this timm does not know the teacher's architecture.
    """
    if is_export(Path(path)):
        if device not in ("cpu", "auto"):
            raise UsageError(
                f"{path} is an export, which runs on the CPU; leave --device {device} out"
            )
        if in_bfloat16:
            raise UsageError(f"{path} is an export, which has a precision of its own; leave it")
        exported, identity = load_export(Path(path))
        return open_export(exported, identity, exported.session())
    from snlad.model_folder import load_model
    from snlad.torch_network import TorchNetwork

    loaded = load_model(Path(path), student, maps)
    found = load_calibration(find_model(Path(path)), loaded.identity)
    return Model(
        TorchNetwork(loaded, device, memory, in_bfloat16=in_bfloat16),
        loaded.card,
        loaded.identity,
        loaded.rois,
        calibration=found[0] if found else None,
        device=device,
    )


def open_export(exported: Exported, identity: str, session: Session) -> Model:
    """A model that inspects with an export's graph.

    Args:
        exported: the export.
        identity: SHA-256 that names it.
        session: computes its graph.
    """
    return Model(
        ExportedNetwork(session, exported.card),
        exported.card,
        identity,
        dict(exported.rois),
        calibration=exported.calibration,
    )

"""The model folder: the whole detector, teacher included, in safetensors and JSON, with its card.

MODEL/model.json                   manifest: schema, configuration, classes, hashes
MODEL/weights-HASH.safetensors     teacher, student and map statistics
MODEL/classes-HASH.safetensors     what tells the classes apart
MODEL/roi_I-HASH.png               inspection masks
MODEL/README.md                    the card for people; never read by snlad
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from snlad import __version__
from snlad.artifacts import Artifact, format_arrays, load_artifact, save_artifact, write_atomically
from snlad.build import build_detector
from snlad.calibration.class_answer import ClassAnswer
from snlad.config import Config, parse_config
from snlad.data.limits import PictureLimits
from snlad.data.roi import Rois, read_roi
from snlad.errors import ArtifactError, ConfigError, UsageError
from snlad.models.arrays import load_module, module_arrays
from snlad.models.detector import Detector, MapFunction
from snlad.report.card import format_card

_WEIGHTS, _CLASSES = "weights.safetensors", "classes.safetensors"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known of a model beside its weights.

    Attributes:
        config: every choice of the run.
        classes: normal training pictures by class name.
        color_scale: overall-map values at the two ends of the heat map's colours.
        record: digests of configuration, data and teacher, and seconds of training.
        limits: what a picture must be like to be judged, by class name; empty for no limits.
        own: which of ``student``, ``loss``, ``maps`` were the user's own.
        license: of the teacher's weights.
        snlad: version that trained the model.
        created: ISO 8601, UTC.
    """

    config: Config
    classes: dict[str, int]
    color_scale: tuple[float, float]
    record: dict[str, Any]
    own: list[str]
    license: str
    limits: dict[str, PictureLimits] = field(default_factory=dict)
    snlad: str = __version__
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def label(self) -> str:
        """What the model may call itself; parts of the user's own are named first."""
        if not self.own:
            return self.config.method_label
        return f"own {', '.join(self.own)} on the settings of {self.config.method}"


@dataclass(frozen=True)
class LoadedModel:
    """A checked model folder in memory.

    Attributes:
        detector: in eval mode on the CPU.
        card: what is known of it.
        rois: inspection masks, bool (H0, W0), by class name.
        identity: SHA-256 that names exactly this model.
        class_answer: tells the classes apart; ``None`` where the model was saved without.
    """

    detector: Detector
    card: ModelCard
    rois: dict[str, NDArray[np.bool_]]
    identity: str
    class_answer: ClassAnswer | None = None


def save_model(
    folder: Path,
    detector: Detector,
    card: ModelCard,
    rois: Rois,
    class_answer: ClassAnswer | None = None,
) -> str:
    """Save a model atomically.

    Returns:
        The model's identity.
    """
    names = {name: f"roi_{index}.png" for index, name in enumerate(sorted(rois))}
    files = {names[name]: _format_roi(roi) for name, roi in rois.items()}
    files[_WEIGHTS] = format_arrays(module_arrays(detector))
    if class_answer is not None:
        files[_CLASSES] = format_arrays(class_answer.to_arrays())
    payload = {**asdict(card), "config": card.config.model_dump(mode="json"), "rois": names}
    payload["limits"] = {name: one.model_dump(mode="json") for name, one in card.limits.items()}
    identity = save_artifact(folder, "model", payload, files)
    write_card(folder, card, identity)
    return identity


def write_card(
    folder: Path,
    card: ModelCard,
    identity: str,
    scores: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> None:
    """Write the card for people, with scores and thresholds where there are some."""
    text = format_card(
        card.label,
        card.config,
        card.classes,
        card.record,
        card.license,
        identity,
        scores,
        calibration,
    )
    write_atomically(folder / "README.md", text.encode(errors="replace"))


def find_model(path: Path) -> Path:
    """The model folder of a run folder, or the folder itself."""
    return path / "model" if (path / "model").is_dir() else path


def load_model(
    path: Path,
    student: nn.Module | None = None,
    maps: Mapping[str, MapFunction] | None = None,
) -> LoadedModel:
    """Load a run folder or a model folder, offline, after checking every hash.

    Args:
        path: the run folder, or its ``model`` folder copied anywhere.
        student: the user's own student, where the model was trained with one.
        maps: the user's own maps, likewise.

    Raises:
        ArtifactError: the folder is damaged, foreign or of another version.
        UsageError: the model has parts of the user's own that were not given.
        WeightsError: this timm does not know the teacher's architecture.
    """
    folder = find_model(path)
    artifact = load_artifact(folder, "model")
    card, masks = _read_card(artifact, folder)
    for part, given in (("student", student), ("maps", maps)):
        if part in card.own and given is None:
            raise UsageError(
                f"{folder} was trained with a {part} of the user's own; "
                f"load it from Python with snlad.load(path, {part}=...)"
            )
    detector = build_detector(card.config, student, maps)
    load_module(detector, artifact.arrays(_WEIGHTS), "", folder)
    rois = {name: read_roi(*mask) for name, mask in masks.items()}
    answer = None
    if _CLASSES in artifact.files:
        answer = _read_answer(artifact, sorted(card.classes), 2 * detector.teacher.channels[-1])
    return LoadedModel(detector.eval(), card, rois, artifact.identity, answer)


def load_card(path: Path) -> tuple[ModelCard, str]:
    """What is known of the model of a run or model folder, and its identity; without its networks.

    Raises:
        ArtifactError: the folder is damaged, foreign or of another version.
    """
    folder = find_model(path)
    artifact = load_artifact(folder, "model")
    return _read_card(artifact, folder)[0], artifact.identity


def _read_card(artifact: Artifact, folder: Path) -> tuple[ModelCard, dict[str, tuple[bytes, str]]]:
    """The card, and the inspection mask of each class: its file's bytes and name."""
    try:
        payload = dict(artifact.payload)
        names = dict(payload.pop("rois"))
        masks = {name: (artifact.files[file], file) for name, file in names.items()}
        limits = {
            name: PictureLimits.model_validate(one)
            for name, one in dict(payload.pop("limits", {})).items()
        }
        config = parse_config(payload.pop("config"))
        card = ModelCard(**payload, config=config, limits=limits)
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        raise ArtifactError(f"{folder}/model.json lacks or garbles a field: {error}") from None
    return card, masks


def _read_answer(artifact: Artifact, names: Sequence[str], width: int) -> ClassAnswer:
    arrays = artifact.arrays(_CLASSES)
    wanted = {"transform": (width, width), "means": (len(names), width)}
    if (found := {name: array.shape for name, array in arrays.items()}) != wanted:
        raise ArtifactError(
            f"{_CLASSES} holds {found}, not what tells classes apart ({wanted}); train again"
        )
    return ClassAnswer(tuple(names), **arrays)


def _format_roi(roi: NDArray[np.bool_]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(roi.astype(np.uint8) * 255).save(buffer, "PNG")
    return buffer.getvalue()

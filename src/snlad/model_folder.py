"""The model folder: the whole detector, teacher included, in safetensors and JSON, with its card.

MODEL/model.json                   manifest: schema, configuration, classes, hashes
MODEL/weights-HASH.safetensors     teacher, student and map statistics
MODEL/classes-HASH.safetensors     what tells the classes apart
MODEL/roi_I-HASH.png               inspection masks
MODEL/README.md                    the card for people; never read by snlad
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from snlad.artifacts import Artifact, format_arrays, load_artifact, save_artifact
from snlad.build import build_detector
from snlad.calibration.class_answer import ClassAnswer
from snlad.data.roi import Rois
from snlad.errors import ArtifactError, UsageError
from snlad.model_card import ModelCard, card_fields, find_model, parse_card, write_card
from snlad.models.arrays import load_module, module_arrays
from snlad.models.detector import Detector, MapFunction

_WEIGHTS, _CLASSES = "weights.safetensors", "classes.safetensors"


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
    payload, files = card_fields(card, rois)
    files[_WEIGHTS] = format_arrays(module_arrays(detector))
    if class_answer is not None:
        files[_CLASSES] = format_arrays(class_answer.to_arrays())
    identity = save_artifact(folder, "model", payload, files)
    write_card(folder, card, identity)
    return identity


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
    card, rois = parse_card(artifact.payload, artifact.files, folder)
    for part, given in (("student", student), ("maps", maps)):
        if part in card.own and given is None:
            raise UsageError(
                f"{folder} was trained with a {part} of the user's own; "
                f"load it from Python with snlad.load(path, {part}=...)"
            )
    detector = build_detector(card.config, student, maps)
    load_module(detector, artifact.arrays(_WEIGHTS), "", folder)
    answer = None
    if _CLASSES in artifact.files:
        answer = _read_answer(artifact, sorted(card.classes), 2 * detector.teacher.channels[-1])
    return LoadedModel(detector.eval(), card, rois, artifact.identity, answer)


def _read_answer(artifact: Artifact, names: Sequence[str], width: int) -> ClassAnswer:
    arrays = artifact.arrays(_CLASSES)
    wanted = {"transform": (width, width), "means": (len(names), width)}
    if (found := {name: array.shape for name, array in arrays.items()}) != wanted:
        raise ArtifactError(
            f"{_CLASSES} holds {found}, not what tells classes apart ({wanted}); train again"
        )
    return ClassAnswer(tuple(names), **arrays)

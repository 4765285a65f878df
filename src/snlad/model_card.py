"""What is known of a model beside its weights, and the part of its manifest that says so."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snlad import __version__
from snlad.artifacts import load_artifact, write_atomically
from snlad.config import Config, parse_config
from snlad.data.limits import PictureLimits
from snlad.data.roi import Rois, read_roi
from snlad.errors import ArtifactError, ConfigError
from snlad.report.card import format_card


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


def load_card(path: Path) -> tuple[ModelCard, str]:
    """What is known of the model of a run or model folder, and its identity; without its networks.

    Raises:
        ArtifactError: the folder is damaged, foreign or of another version.
    """
    folder = find_model(path)
    artifact = load_artifact(folder, "model")
    return parse_card(artifact.payload, artifact.files, folder)[0], artifact.identity


def card_fields(card: ModelCard, rois: Rois) -> tuple[dict[str, Any], dict[str, bytes]]:
    """JSON values and PNG files that ``parse_card`` makes card and inspection masks of."""
    names = {name: f"roi_{index}.png" for index, name in enumerate(sorted(rois))}
    fields = {**asdict(card), "config": card.config.model_dump(mode="json"), "rois": names}
    fields["limits"] = {name: one.model_dump(mode="json") for name, one in card.limits.items()}
    return fields, {names[name]: _format_roi(roi) for name, roi in rois.items()}


def parse_card(
    fields: Mapping[str, Any], files: Mapping[str, bytes], folder: Path
) -> tuple[ModelCard, dict[str, NDArray[np.bool_]]]:
    """The card and the inspection masks, bool (H0, W0), by class name.

    Args:
        fields: of the manifest.
        files: bytes by name.
        folder: where they are from, for errors.

    Raises:
        ArtifactError: a field or a file is missing or garbled.
    """
    try:
        rest = dict(fields)
        masks = {name: (files[file], file) for name, file in dict(rest.pop("rois")).items()}
        limits = {
            name: PictureLimits.model_validate(one)
            for name, one in dict(rest.pop("limits", {})).items()
        }
        config = parse_config(rest.pop("config"))
        card = ModelCard(**rest, config=config, limits=limits)
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        raise ArtifactError(f"{folder}: the manifest lacks or garbles a field: {error}") from None
    return card, {name: read_roi(*mask) for name, mask in masks.items()}


def _format_roi(roi: NDArray[np.bool_]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(roi.astype(np.uint8) * 255).save(buffer, "PNG")
    return buffer.getvalue()

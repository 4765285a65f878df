"""Files of a run that a report can do without: what is damaged becomes a note and not an error."""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from snlad.data.images import read_image
from snlad.engine.rundir import RunFolder
from snlad.errors import ArtifactError, ImageError

_PROBES = {
    "Mixup, image AUROC": ("mixup", "image_auroc"),
    "CutPaste, image AUROC": ("cutpaste", "image_auroc"),
    "CutPaste, pixel AUROC": ("cutpaste", "pixel_auroc"),
    "share of the variance of normal scores that the class explains": ("eta_squared",),
}
_MATRIX_PX = 1600
_LARGEST = 1e100
"""Beyond it a number of the log was not written by a training that went on."""


class SideFiles:
    """Reads them, one after the other.

    Args:
        run: run or model folder.

    Attributes:
        notes: one sentence for each that is damaged or does not belong to the model.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self.notes: list[str] = []

    def versions(self) -> dict[str, Any]:
        """Software and machine of the training; empty where the run does not say."""
        return self._read_json("versions.json")

    def log(self) -> list[dict[str, Any]]:
        """Rows of the training's log that can be drawn; empty without a log that can be read."""
        try:
            rows = RunFolder(self._run).read_log()
        except (ArtifactError, ValueError, RecursionError):
            rows = [{}]
        if not all(map(_can_be_drawn, rows)):
            self.notes.append("log.jsonl is damaged: there are no training curves")
            return []
        return rows

    def probes(self, identity: str) -> tuple[dict[str, float], bytes | None]:
        """Numbers of the interference probes by label, and their matrix as PNG.

        Args:
            identity: of the model; probes of another one do not count.
        """
        found = self._read_json("probes.json")
        if found.get("model", identity) != identity:
            self.notes.append("probes.json is of another model and left out; probe again")
            return {}, None
        numbers = {label: _look_up(found, keys) for label, keys in _PROBES.items()}
        known = {label: value for label, value in numbers.items() if value is not None}
        return known, self._matrix()

    def _matrix(self) -> bytes | None:
        """The picture written anew, so that nothing but pixels comes from its file."""
        path = self._run / "probes.png"
        if not path.exists():
            return None
        try:
            picture = Image.fromarray(read_image(path))
        except ImageError:
            self.notes.append("probes.png is damaged and left out; probe again")
            return None
        picture.thumbnail((_MATRIX_PX, _MATRIX_PX))
        buffer = BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self._run / name).read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            self.notes.append(f"{name} is damaged and left out")
            return {}
        return content


def _can_be_drawn(row: Any) -> bool:
    """Whether a row of the log has a step, a rate, and numbers for losses."""
    if not isinstance(row, dict) or not {"step", "lr"} <= row.keys():
        return False
    drawn = [row[key] for key in row if key in ("step", "lr") or key.startswith("loss")]
    return all(isinstance(value, int | float) and abs(value) < _LARGEST for value in drawn)


def _look_up(found: Mapping[str, Any], keys: tuple[str, ...]) -> float | None:
    """A share in [0, 1] somewhere in nested mappings, if it is there."""
    value: Any = found
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None

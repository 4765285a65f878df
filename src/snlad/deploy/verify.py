"""Verification of an export where it is used: hashes, replayed inputs and master pictures."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from snlad import __version__
from snlad.artifacts import write_atomically
from snlad.data.images import to_input
from snlad.data.rows import csv_rows
from snlad.deploy.tolerance import TOLERANCES
from snlad.errors import DataError
from snlad.predict import Model, open_export
from snlad.runtime.exported import Exported, load_export
from snlad.runtime.sessions import Session

_VERDICTS = ("ok", "ng", "not_judged")


@dataclass(frozen=True)
class Master:
    """A picture whose verdict is known.

    Attributes:
        path: of its file.
        expected: verdict, ``ok``, ``ng`` or ``not_judged``.
        class_name: stated with it; "" for none.
    """

    path: Path
    expected: str
    class_name: str


@dataclass(frozen=True)
class Certificate:
    """What a verification found.

    Attributes:
        export: identity of the export.
        replayed: stored inputs that were computed again.
        difference: largest one from what was stored, of a score or a pixel in standard deviations
            of the calibration scores, of a distance to a class relative; NaN if one is NaN.
        allowed: largest difference that passes.
        masters: each master picture with its expected and its found verdict.
        passed: nothing differs more than that, and every master has its verdict.
        created: ISO 8601, UTC.
        machine: what it ran on.
        snlad: version that verified.
    """

    export: str
    replayed: int
    difference: float
    allowed: float
    masters: list[dict[str, Any]]
    passed: bool
    created: str
    machine: str
    snlad: str = __version__

    def save(self, folder: Path) -> Path:
        """Write it beside the export, under its time."""
        path = folder / "certificates" / f"{self.created.replace(':', '-')}.json"
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(asdict(self), indent=1).encode())
        return path


def verify(folder: Path, masters: Sequence[Master] = ()) -> Certificate:
    """Check an export's hashes, replay its stored inputs and judge master pictures.

    Raises:
        ArtifactError: a file is damaged, foreign or of another version.
        ModuleNotFoundError: its runtime is not installed.
        UsageError: a master's class is not one of the model's.
    """
    exported, identity = load_export(folder)
    session = exported.session()
    difference, allowed = _replay(exported, session), TOLERANCES[exported.precision].replayed
    judged = _judge(open_export(exported, identity, session), masters)
    return Certificate(
        export=identity,
        replayed=len(exported.replay["images"]),
        difference=difference,
        allowed=allowed,
        masters=judged,
        passed=difference <= allowed and all(m["expected"] == m["found"] for m in judged),
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        machine=platform.platform(),
    )


def read_masters(path: Path) -> list[Master]:
    """Read a CSV file: ``path``, relative to it, ``verdict``, and ``class_name`` where it is known.

    Raises:
        DataError: the file cannot be read, or a verdict is none.
    """
    found = []
    for where, row in csv_rows(path, ("path", "verdict"), ("class_name",)):
        if row["verdict"] not in _VERDICTS:
            listed = ", ".join(_VERDICTS)
            raise DataError(f"{where}: verdict {row['verdict']!r} is not one of {listed}")
        found.append(Master(path.parent / row["path"], row["verdict"], row["class_name"]))
    return found


def _replay(exported: Exported, session: Session) -> float:
    """Largest difference of what the graph says now to what was stored."""
    found = session(to_input(exported.replay["images"]))
    scale = float(exported.proof["scale"])
    units: dict[str, Any] = {
        "pred_score": scale,
        "anomaly_map": scale,
        "class_distance": 1 + np.abs(exported.replay["class_distance"]),
    }
    return float(
        np.max([np.max(np.abs(found[k] - exported.replay[k]) / unit) for k, unit in units.items()])
    )


def _judge(model: Model, masters: Sequence[Master]) -> list[dict[str, Any]]:
    rows = []
    for one in masters:
        (answer,) = model.predict(one.path, class_name=one.class_name or None)
        rows.append(
            {
                "path": str(one.path),
                "sha256": answer.sha256,
                "expected": one.expected,
                "found": answer.verdict if answer.error is None else "error",
                "reason": answer.error or answer.reason,
                "score": answer.pred_score,
                "threshold": answer.threshold,
            }
        )
    return rows

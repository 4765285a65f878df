"""The model card, written again when something new is known of a model."""

import json
from pathlib import Path

from snlad.model_folder import find_model, write_card
from snlad.predict import Model


def refresh_card(run: Path, model: Model) -> None:
    """Write the card with the last evaluation's scores and the calibration in force."""
    scores = run / "scores.json"
    known = json.loads(scores.read_text(encoding="utf-8")) if scores.exists() else None
    limits = None if model.calibration is None else model.calibration.model_dump(mode="json")
    write_card(find_model(run), model.card, model.identity, known, limits)

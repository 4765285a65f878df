"""The model card, written again when something new is known of a model."""

import json
from contextlib import suppress
from pathlib import Path

from snlad.engine.interference import load_probes
from snlad.errors import MetricError
from snlad.metrics.scores import ScoreTable
from snlad.model_card import find_model, write_card
from snlad.predict import Model


def refresh_card(run: Path, model: Model) -> None:
    """Write the card with the last evaluation's scores, the probes and the calibration in force."""
    scores = run / "scores.json"
    known = None
    if scores.exists():
        # Damaged, or of another version: the card goes without.
        with suppress(ValueError, TypeError, MetricError):
            known = ScoreTable.from_dict(dict(json.loads(scores.read_bytes()))).to_dict()
            known["probes"] = load_probes(run, model.identity)[0]
    limits = None if model.calibration is None else model.calibration.model_dump(mode="json")
    write_card(find_model(run), model.card, model.identity, known, limits)

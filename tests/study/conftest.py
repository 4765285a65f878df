"""Studies that take seconds, and trainings that are only counted."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from snlad.metrics.scores import METRICS, ScoreRow, ScoreTable
from snlad.study import work
from snlad.study.plan import Study, make_study

ROW = dict.fromkeys(METRICS, 0.5)
TABLE = ScoreTable("snlad-v1", {}, ScoreRow(**ROW)).to_dict()


@pytest.fixture
def tiny_study(tiny_settings: dict, shared_data: Path) -> Callable[..., Study]:
    """A study on the tiny data set; what is given replaces or adds to it."""

    def make(**changes: Any) -> Study:
        content = {
            "title": "tiny",
            "data": shared_data,
            "settings": tiny_settings,
            "trials": [{"name": "rd", "method": "rd"}],
        }
        return make_study({**content, **changes})

    return make


class Measured(list[str]):
    """Titles of the runs that were measured; ``then`` is called with each before it ends."""

    then: Callable[[str], None] = staticmethod(lambda _title: None)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Measured]:
    """No run is trained: each gets the same numbers at once."""
    found = Measured()

    def measure(job: Any, _given: Any) -> dict[str, Any]:
        found.append(job.title)
        found.then(job.title)
        classes = dict.fromkeys(job.dataset.class_names, ROW)
        return {
            "label": job.run.config.method_label,
            "teacher": "0",
            "steps": 4,
            "train_seconds": 2.0,
            "evaluate_seconds": 1.0,
            "train_features": 3,
            "scores": {**TABLE, "classes": classes, "mean": ROW, "pooled": ROW, "data": "0"},
            "probes": {},
            "image_scores": [0.0] * len(job.dataset.test),
            "notes": [],
        }

    monkeypatch.setattr(work, "measure", measure)
    return found

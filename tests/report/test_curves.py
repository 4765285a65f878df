"""Learning curves: what is drawn is what the log says."""

import io
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from snlad.report.curves import draw_curves

ROWS: list[dict[str, Any]] = [
    {"step": 10, "lr": 1e-3, "loss": 3.0, "loss_channel": 1.0, "loss_spatial": 2.0, "grad_norm": 9},
    {"step": 20, "lr": 5e-4, "loss": 1.5, "loss_channel": 0.5, "loss_spatial": 1.0, "grad_norm": 8},
    {"step": 30, "lr": 1e-4, "loss": 0.75, "loss_channel": 0.5, "loss_spatial": 0.25},
]


@pytest.fixture
def axes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Axes]:
    """The two plots of ROWS, as matplotlib holds them."""
    figures: list[Figure] = []
    start = Figure.__init__
    monkeypatch.setattr(
        Figure, "__init__", lambda self, *a, **k: (figures.append(self), start(self, *a, **k))[1]
    )
    draw_curves(ROWS, tmp_path / "curves.png")
    losses, rates = figures[0].axes
    return {"losses": losses, "rates": rates}


def drawn(plot: Axes) -> dict[str, list[list[float]]]:
    return {
        str(line.get_label()): np.array(line.get_data()).T.tolist() for line in plot.get_lines()
    }


def test_the_total_and_every_term_are_drawn_against_the_step(axes: dict[str, Axes]) -> None:
    assert drawn(axes["losses"]) == {
        "total": [[10, 3], [20, 1.5], [30, 0.75]],
        "channel": [[10, 1], [20, 0.5], [30, 0.5]],
        "spatial": [[10, 2], [20, 1], [30, 0.25]],
    }


def test_the_learning_rate_has_its_own_plot(axes: dict[str, Axes]) -> None:
    (points,) = drawn(axes["rates"]).values()
    assert points == [[10, 1e-3], [20, 5e-4], [30, 1e-4]]


def test_the_axes_say_what_they_show(axes: dict[str, Axes]) -> None:
    assert axes["losses"].get_ylabel().startswith("loss")
    assert axes["rates"].get_ylabel() == "learning rate"
    assert axes["rates"].get_xlabel() == "step"
    legend = axes["losses"].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["total", "channel", "spatial"]


def test_the_picture_is_a_png_of_a_readable_size(tmp_path: Path) -> None:
    draw_curves(ROWS, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == (800, 600)
        assert np.asarray(picture).std() > 10


def test_rows_may_come_from_a_log_file(tmp_path: Path) -> None:
    log = "\n".join(json.dumps(row) for row in ROWS)
    draw_curves([json.loads(line) for line in log.splitlines()], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_a_term_that_begins_later_starts_at_its_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: dict[str, list[int]] = {}
    plot = Axes.plot

    def spy(self: Axes, steps: Any, values: Any, **style: Any) -> Any:
        lines[style.get("label", "rate")] = list(steps)
        return plot(self, steps, values, **style)

    monkeypatch.setattr(Axes, "plot", spy)
    draw_curves([*ROWS, {"step": 40, "lr": 0, "loss": 1, "loss_late": 1}], tmp_path / "curves.png")
    assert lines["late"] == [40]
    assert lines["channel"] == [10, 20, 30]
    assert lines["total"] == [10, 20, 30, 40]


def test_an_empty_log_still_gives_a_picture(tmp_path: Path) -> None:
    draw_curves([], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()


def test_drawing_leaves_matplotlibs_backend_alone(tmp_path: Path) -> None:
    # a user's notebook keeps its own backend
    before = matplotlib.rcParams._get_backend_or_none()
    draw_curves(ROWS, tmp_path / "curves.png")
    assert matplotlib.rcParams._get_backend_or_none() == before


def test_curves_can_be_drawn_into_memory(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    draw_curves(ROWS, buffer)
    draw_curves(ROWS, tmp_path / "curves.png")
    assert buffer.getvalue() == (tmp_path / "curves.png").read_bytes()


def test_the_name_of_an_own_term_is_no_formula(tmp_path: Path) -> None:
    """It would end the drawing where it is a wrong one."""
    rows = [{"step": 1, "lr": 1e-3, "loss": 1.0, r"loss_$\\frac{1}$": 1.0}]
    draw_curves(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000

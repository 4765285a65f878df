"""Matrices of class pairs: what is drawn is what was measured, for any class name."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from snlad.report.matrices import draw_matrices

HOSTILE = (
    "$x^2$",
    r"\frac{a}{b}",
    "$unclosed",
    "a_b^c{",
    "<b>&amp;</b>",
    "ring ø 12 mm",
    "螺丝",
    "🔩",
    "W" * 200,
    "%s {0}",
)


def matrix(n: int) -> list[list[float | None]]:
    return [[None if i == j else (i + j) / (2 * n) for j in range(n)] for i in range(n)]


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Draw, and return the panels as matplotlib holds them and the size of the picture."""
    figures: list[Figure] = []
    start = Figure.__init__
    monkeypatch.setattr(
        Figure, "__init__", lambda self, *a, **k: (figures.append(self), start(self, *a, **k))[1]
    )

    def draw(panels: dict[str, Any], names: list[str]) -> tuple[list[Axes], tuple[int, int]]:
        draw_matrices(panels, names, tmp_path / "probes.png")
        with Image.open(tmp_path / "probes.png") as picture:
            assert picture.format == "PNG"
            return figures[-1].axes, picture.size

    return draw


def test_each_panel_has_its_title_and_its_numbers(drawn: Any) -> None:
    panels = {"first": [[None, 0.25], [1.0, None]], "second": [[None, None], [0.0, None]]}
    axes, _ = drawn(panels, ["a", "b"])
    assert [plot.get_title() for plot in axes] == ["first", "second"]
    for plot, values in zip(axes, panels.values(), strict=True):
        shown = plot.get_images()[0].get_array()
        expected = np.array(values, float)
        np.testing.assert_array_equal(np.ma.filled(shown, np.nan), expected)
        cells = {text.get_position(): text.get_text() for text in plot.texts}
        assert cells == {
            (column, row): f"{expected[row, column]:.2f}"
            for row, column in np.argwhere(~np.isnan(expected))
        }


def test_rows_are_hosts_and_columns_donors_in_the_order_of_the_names(drawn: Any) -> None:
    axes, _ = drawn({"only": matrix(3)}, ["a", "b", "c"])
    (plot,) = axes
    for axis in (plot.get_xticklabels(), plot.get_yticklabels()):
        assert [label.get_text() for label in axis] == ["a", "b", "c"]
    assert (plot.get_ylabel(), plot.get_xlabel()) == ("host", "donor")
    assert plot.get_ylim()[0] > plot.get_ylim()[1]  # the first row is on top


def test_the_colours_have_the_same_scale_in_every_panel(drawn: Any) -> None:
    high, low = ([[None, value], [value, None]] for value in (0.99, 0.1))
    axes, _ = drawn({"high": high, "low": low}, ["a", "b"])
    assert {plot.get_images()[0].get_clim() for plot in axes} == {(0.0, 1.0)}


def test_numbers_are_dark_on_bright_cells_and_bright_on_dark_ones(drawn: Any) -> None:
    axes, _ = drawn({"only": [[0.1, 0.9], [None, None]]}, ["a", "b"])
    assert [text.get_color() for text in axes[0].texts] == ["white", "black"]


def test_names_are_shown_as_they_are_and_long_ones_are_cut(drawn: Any) -> None:
    axes, _ = drawn({"only": matrix(len(HOSTILE))}, list(HOSTILE))
    labels = [*axes[0].get_xticklabels(), *axes[0].get_yticklabels()]
    assert not any(label.get_parse_math() for label in labels)
    shown = [label.get_text() for label in labels[: len(HOSTILE)]]
    assert shown == [name if len(name) < 21 else "W" * 19 + "…" for name in HOSTILE]


@pytest.mark.parametrize("n", [1, 15, 60])
def test_any_number_of_classes_gives_a_picture_of_bounded_size(drawn: Any, n: int) -> None:
    axes, (width, height) = drawn({"a": matrix(n), "b": matrix(n)}, [f"c{i}" for i in range(n)])
    assert 200 < height <= 2000
    assert width <= 4000
    assert len(axes[0].texts) == (0 if n == 60 else n * (n - 1))  # too small to be read


def test_fifteen_classes_have_room_for_their_numbers(drawn: Any) -> None:
    """And for their names and titles, as wide as they come."""
    axes, _ = drawn({name: matrix(15) for name in "abc"}, ["W" * 30 + str(i) for i in range(15)])
    figure = axes[0].figure
    for plot in axes:
        cell = plot.get_window_extent().width / 15
        widest = max(text.get_window_extent().width for text in plot.texts)
        assert widest < 0.9 * cell
        labels = [*plot.get_yticklabels(), *plot.get_xticklabels(), plot.title, plot.yaxis.label]
        boxes = [label.get_window_extent() for label in labels]
        assert min(min(box.x0, box.y0) for box in boxes) >= 0
        assert max(box.y1 for box in boxes) <= figure.bbox.height


def test_drawing_leaves_matplotlibs_backend_alone(tmp_path: Path) -> None:
    before = matplotlib.rcParams._get_backend_or_none()
    draw_matrices({"a": matrix(2)}, ["a", "b"], tmp_path / "probes.png")
    assert matplotlib.rcParams._get_backend_or_none() == before

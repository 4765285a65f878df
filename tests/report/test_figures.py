"""Histograms: shares of each group, the threshold where it is, and no name in the picture."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from PIL import Image

from snlad.report.figures import BINS, COLOURS, draw_scores

GROUPS = {"normal": [1.0, 1.5, 2.0, 2.0], "defect": [3.0, 5.0], "calibration": [1.2, 1.3, 2.1]}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What was asked of matplotlib: histograms by label, and lines."""
    found: dict[str, Any] = {"lines": []}
    hist, line = Axes.hist, Axes.axvline

    def spy_hist(self: Axes, scores: Any, edges: Any, **style: Any) -> Any:
        made = hist(self, scores, edges, **style)
        found[style["label"]] = {"edges": edges, "heights": made[0], **style}
        return made

    def spy_line(self: Axes, x: float, **style: Any) -> Any:
        found["lines"].append(x)
        return line(self, x, **style)

    monkeypatch.setattr(Axes, "hist", spy_hist)
    monkeypatch.setattr(Axes, "axvline", spy_line)
    return found


def test_each_group_is_drawn_as_shares_of_its_own_pictures(drawn):
    draw_scores(GROUPS, 2.5)
    assert set(drawn) == {"lines", "normal (4)", "defect (2)", "calibration (3)"}
    for label, one in drawn.items():
        if label != "lines":
            assert np.sum(one["heights"]) == pytest.approx(1)
            assert one["color"] == COLOURS[label.split()[0]]
    assert drawn["normal (4)"]["heights"].max() == pytest.approx(0.5)  # the two at 2.0


def test_all_groups_have_the_same_bins_and_calibration_is_an_outline(drawn):
    draw_scores(GROUPS, 2.5)
    edges = drawn["normal (4)"]["edges"]
    assert edges == drawn["defect (2)"]["edges"] == drawn["calibration (3)"]["edges"]
    assert len(edges) == BINS + 1
    assert (edges[0], edges[-1]) == (1.0, 5.0)
    assert drawn["calibration (3)"]["histtype"] == "step"
    assert drawn["normal (4)"]["histtype"] == drawn["defect (2)"]["histtype"] == "stepfilled"


def test_the_threshold_is_a_line_that_is_always_in_sight(drawn):
    draw_scores(GROUPS, 9.0)
    assert drawn["lines"] == [9.0]
    assert drawn["normal (4)"]["edges"][-1] == 9.0


def test_without_a_threshold_there_is_no_line(drawn):
    draw_scores(GROUPS, None)
    assert drawn["lines"] == []


def test_an_empty_group_is_left_out(drawn):
    draw_scores({**GROUPS, "defect": [], "calibration": []}, 2.0)
    assert set(drawn) == {"lines", "normal (4)"}


@pytest.mark.parametrize("groups", [{}, {"normal": []}, {"normal": [3.0]}, {"normal": [2.0] * 9}])
@pytest.mark.parametrize("threshold", [None, 2.0])
def test_few_or_equal_scores_still_give_a_picture(groups, threshold):
    data = draw_scores(groups, threshold)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        assert picture.size == (440, 250)
        assert np.asarray(picture).std() > 5


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30),
    st.lists(st.floats(-1e6, 1e6, width=32), max_size=30),
    st.none() | st.floats(-1e6, 1e6),
)
@settings(deadline=None, derandomize=True, max_examples=12)
def test_any_finite_scores_can_be_drawn_and_always_alike(normal, defect, threshold):
    groups = {"normal": normal, "defect": defect}
    assert draw_scores(groups, threshold) == draw_scores(groups, threshold)

"""Which pictures are shown: the worst by margin, picks that no score can move, gains by rank."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.engine.picks import (
    CHANGED,
    CLASSES,
    WORST,
    draw_defects,
    key_of,
    largest_gains,
    rank_pictures,
    worst_alarms,
    worst_misses,
)
from snlad.metrics.ranking import auroc, rank

CALIBRATED = {"a": [1.0, 2.0, 3.0, 4.0], "b": [10.0, 20.0, 30.0, 40.0]}
"""Thresholds at a target of 0.2: just above 4 and 40."""


def paths(pictures) -> list[str]:
    return [one.path for one in pictures]


def test_a_rank_is_the_share_of_normals_of_the_class_below_with_ties_as_halves(scored):
    pictures = scored({"a": ([1, 2, 2, 3], [0.5, 2, 9]), "b": ([100], [50])})
    ranks = rank_pictures(pictures)
    assert [ranks["a", f"a/hole/{i}.png"] for i in range(3)] == [0.0, 0.5, 1.0]
    assert ranks["b", "b/hole/0.png"] == 0.0
    assert ranks["a", "a/good/0.png"] == 0.125  # it ties with itself


def test_a_class_without_normals_has_no_ranks(scored):
    assert rank_pictures(scored({"a": ([], [1.0])})) == {}


SCORE = st.integers(0, 6).map(float)


@given(
    st.lists(SCORE, min_size=1, max_size=8),
    st.lists(SCORE, min_size=1, max_size=8),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_the_mean_rank_of_the_defects_is_the_image_auroc(scored, normals, defects):
    ranks = rank_pictures(scored({"a": (normals, defects)}))
    mean = np.mean([value for (_, path), value in ranks.items() if "hole" in path])
    assert mean == pytest.approx(auroc(rank(np.array(defects), [np.sort(normals)])))


def test_the_worst_miss_lies_furthest_below_the_threshold_of_its_class(scored, make_calibration):
    pictures = scored({"a": ([99], [0, 3, 9]), "b": ([99], [30, 39, 90])})
    found = worst_misses(pictures, make_calibration(CALIBRATED))
    assert paths(found) == [
        *("b/hole/0.png", "a/hole/0.png", "b/hole/1.png"),
        *("a/hole/1.png", "a/hole/2.png", "b/hole/2.png"),
    ]


def test_the_worst_alarm_lies_furthest_above_the_threshold_of_its_class(scored, make_calibration):
    pictures = scored({"a": ([0, 3, 19], [99]), "b": ([30, 41, 90], [99])})
    found = worst_alarms(pictures, make_calibration(CALIBRATED))
    assert paths(found) == [
        *("b/good/2.png", "a/good/2.png", "b/good/1.png"),
        *("a/good/1.png", "a/good/0.png", "b/good/0.png"),
    ]


def test_without_thresholds_scores_alone_count(scored):
    pictures = scored({"a": ([1, 5], [2, 9]), "b": ([3], [1])})
    assert paths(worst_misses(pictures, None)) == ["b/hole/0.png", "a/hole/0.png", "a/hole/1.png"]
    assert paths(worst_alarms(pictures, None)) == ["a/good/1.png", "b/good/0.png", "a/good/0.png"]


def test_no_more_than_a_dozen_are_shown_and_ties_stand_by_name(scored):
    pictures = scored({"b": ([1] * 20, [1] * 20), "a": ([1] * 3, [1] * 3)})
    for found in (worst_misses(pictures, None), worst_alarms(pictures, None)):
        assert len(found) == WORST
        assert [one.class_name for one in found] == ["a"] * 3 + ["b"] * 9
        assert found == sorted(found, key=key_of)


def test_one_defect_of_each_class_is_drawn(scored):
    pictures = scored({"b": ([1], range(30)), "a": ([1], range(30)), "only good": ([1], [])})
    found = draw_defects(pictures)
    assert [one.class_name for one in found] == ["a", "b"]
    assert all(one.is_anomalous for one in found)


def test_no_score_and_no_order_moves_what_is_drawn(scored):
    """So that nobody can choose the pictures of a comparison by training another model."""
    names = [f"c{i:02d}" for i in range(5)]
    one = scored({name: ([1], range(20)) for name in names})
    other = scored({name: ([9], range(40, 20, -1)) for name in reversed(names)})
    assert paths(draw_defects(one)) == paths(draw_defects(other))
    assert len({path.split("/")[-1] for path in paths(draw_defects(one))}) > 1


def test_of_many_classes_some_are_drawn(scored):
    pictures = scored({f"c{i:02d}": ([1], [2]) for i in range(CLASSES + 20)})
    found = draw_defects(pictures)
    assert len(found) == len({one.class_name for one in found}) == CLASSES
    assert found == sorted(found, key=key_of)
    assert found[-1].class_name > f"c{CLASSES:02d}"  # not just the first by name


def test_gains_and_losses_are_changes_of_rank_and_not_of_score(scored):
    """All scores of the baseline are ten times as high; only their order within a class counts."""
    own = scored({"a": ([1, 2, 3, 4], [0, 2.5, 9, 9])})
    baseline = scored({"a": ([10, 20, 30, 40], [25, 25, 25, 90])})
    gains, losses = largest_gains(own, rank_pictures(own), rank_pictures(baseline))
    assert paths(gains) == ["a/hole/2.png"]  # 0.5 to 1
    assert paths(losses) == ["a/hole/0.png"]  # 0.5 to 0


def test_the_largest_change_stands_first_and_no_more_than_some_are_shown(scored):
    normals = list(range(100))
    own = scored({"a": (normals, [*range(50), 50.5])})
    baseline = scored({"a": (normals, [50.5] * 51)})
    gains, losses = largest_gains(own, rank_pictures(own), rank_pictures(baseline))
    assert gains == []
    assert paths(losses) == [f"a/hole/{i}.png" for i in range(CHANGED)]
    gains, losses = largest_gains(baseline, rank_pictures(baseline), rank_pictures(own))
    assert paths(gains) == [f"a/hole/{i}.png" for i in range(CHANGED)]
    assert losses == []


def test_normal_pictures_and_classes_without_normals_neither_gain_nor_lose(scored):
    own = scored({"a": ([1, 2], [3]), "b": ([], [1.0])})
    baseline = scored({"a": ([2, 1], [3]), "b": ([], [9.0])})
    assert largest_gains(own, rank_pictures(own), rank_pictures(baseline)) == ([], [])

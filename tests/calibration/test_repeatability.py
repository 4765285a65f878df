"""Parts count once, and repeated shots tell how far a score moves."""

from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.calibration.repeatability import (
    Shot,
    find_repeats,
    highest_by_part,
    measure_repeatability,
)

SHOTS = [
    Shot("p1", "left", 1.0, 5.0),
    Shot("p1", "right", 3.0, 2.0),
    Shot("p1", "left", 2.0, 1.0),
    Shot("p2", None, 0.5, 0.7),
    Shot(None, None, 9.0, 9.0),
    Shot(None, None, 0.1, 0.2),
]


def test_a_part_has_the_highest_score_of_its_pictures_and_no_part_is_one() -> None:
    assert highest_by_part(SHOTS) == ([0.1, 0.5, 3.0, 9.0], [0.2, 0.7, 5.0, 9.0])
    assert highest_by_part([]) == ([], [])


def test_only_the_same_part_and_view_is_a_repeat() -> None:
    assert find_repeats(SHOTS) == [[1.0, 2.0]]
    assert find_repeats([Shot("", None, 1.0, 1.0), Shot("", None, 4.0, 1.0)]) == [[1.0, 4.0]]


def test_repeatability_is_worked_by_hand() -> None:
    """Variances 0.5 with one degree of freedom and 1 with two: (0.5 + 2) / 3."""
    found = measure_repeatability({"a": [[1.0, 2.0], [4.0, 5.0, 6.0]], "b": []}, {"a": 5.0})
    assert set(found) == {"a"}
    assert (found["a"].repeats, found["a"].shots, found["a"].widest) == (2, 5, 2.0)
    assert found["a"].deviation == pytest.approx(sqrt(2.5 / 3))
    assert found["a"].flips == 1


@pytest.mark.parametrize(("limit", "flips"), [(0.9, 0), (1.0, 1), (1.9, 1), (2.0, 0)])
def test_a_flip_has_shots_on_both_sides(limit, flips) -> None:
    """NG is above the threshold, so a score on it is OK."""
    assert measure_repeatability({"a": [[2.0, 1.0]]}, {"a": limit})["a"].flips == flips


@given(st.lists(st.lists(st.floats(-10, 10), min_size=2, max_size=4), min_size=1, max_size=4))
@settings(deadline=None, derandomize=True)
def test_the_level_of_a_part_does_not_matter(some) -> None:
    moved = [[score + 3.0 * i for score in scores] for i, scores in enumerate(some)]
    one, other = (measure_repeatability({"a": x}, {"a": 99.0})["a"] for x in (some, moved))
    assert one.deviation == pytest.approx(other.deviation, abs=1e-6)
    assert one.deviation <= one.widest + 1e-9


@given(st.lists(st.tuples(st.sampled_from([None, "p", "q"]), st.floats(0, 9)), max_size=9))
@settings(deadline=None, derandomize=True)
def test_without_parts_every_picture_counts(rows) -> None:
    shots = [Shot(part, None, score, score) for part, score in rows]
    scores, peaks = highest_by_part(shots)
    assert scores == peaks == sorted(scores)
    lone = [shot._replace(part_id=None) for shot in shots]
    assert highest_by_part(lone)[0] == sorted(score for _, score in rows)
    assert len(scores) <= len(rows)

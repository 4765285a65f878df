"""Bins: an order for floats that no range needs to announce."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snlad.metrics.histogram import PAGE, PagedCounts, bin_of

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
MANY = [-3e38, -7.0, -1e-3, -1e-38, 0.0, 1e-45, 1e-3, 0.1, 7.0, 3e38]


def bins(*scores: float) -> np.ndarray:
    return bin_of(np.array(scores, np.float32))


def total(counts: PagedCounts) -> float:
    return sum(page.sum() for page in counts.pages.values())


@given(st.lists(finite, min_size=2, max_size=30))
def test_a_higher_score_never_has_a_lower_bin(scores: list[float]) -> None:
    found = bins(*sorted(scores)).astype(np.int64)
    assert (np.diff(found) >= 0).all()


# A bin is 2^-13 of an octave, so at most 2^-12 of a score that lies in it.
@given(finite.filter(lambda x: 1e-37 < abs(x) < 1e38), st.sampled_from([-1, 1]))
def test_scores_a_bin_apart_are_told_apart(score: float, side: int) -> None:
    assert bins(score)[0] != bins(score * (1 + side * 2**-12))[0]


def test_zero_has_one_bin() -> None:
    assert bins(0.0)[0] == bins(-0.0)[0]


def test_the_callers_scores_stay_as_they_are() -> None:
    scores = np.array([-1, -0.0, 2], np.float32)
    before = scores.tobytes()
    bin_of(scores)
    assert scores.tobytes() == before


@given(st.lists(st.sampled_from(MANY), min_size=1, max_size=40), st.integers(1, 5))
def test_counts_are_those_of_numpy_whatever_the_batches(scores: list[float], size: int) -> None:
    counts = PagedCounts()
    for start in range(0, len(scores), size):
        counts.add(bins(*scores[start : start + size]))
    pages = sorted(counts.pages)
    numbers = (np.array(pages)[:, None] * PAGE + np.arange(PAGE)).ravel()
    found = counts.get(pages)
    expected, n = np.unique(bins(*scores), return_counts=True)
    assert numbers[found > 0].tolist() == expected.tolist()
    assert found[found > 0].tolist() == n.tolist()


def test_weights_are_summed() -> None:
    counts = PagedCounts()
    counts.add(bins(-1.0, 2.0, 2.0), np.array([0.5, 0.25, 1.0]))
    counts.add(bins(2.0), np.array([2.0]))
    assert total(counts) == pytest.approx(3.75)
    assert counts.get(sorted(counts.pages)).max() == 3.25


def test_merging_adds_and_leaves_the_other_alone() -> None:
    one, other = PagedCounts(), PagedCounts()
    one.add(bins(1.0, 5.0))
    other.add(bins(1.0, -4.0))
    one.merge(other)
    one.merge(other)
    assert (total(one), total(other)) == (6, 2)
    other.add(bins(1.0))
    assert total(one) == 6


# A page is 8 kB: scores of both signs down to 1e-30 must not claim the millions of bins between.
def test_memory_follows_the_scores_not_their_range() -> None:
    counts = PagedCounts()
    counts.add(bins(*MANY))
    assert len(counts.pages) <= len(MANY)


def test_nothing_is_counted_of_nothing() -> None:
    counts = PagedCounts()
    counts.add(bins())
    assert counts.pages == {}

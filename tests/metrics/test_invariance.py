"""Eta squared: by hand, against an analysis of variance, and where it is undefined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.metrics.invariance import eta_squared


def eta(*groups) -> float | None:
    return eta_squared(np.array(group, float) for group in groups)


def test_a_case_by_hand():
    """Means 2 and 5 around 3.5: between 4 * 1.5^2 = 9, within 4 * 1^2 = 4."""
    assert eta([1, 3], [4, 6]) == pytest.approx(9 / 13)


def test_classes_of_several_sizes_weigh_as_many_pictures_as_they_have():
    """Mean 1 of all; means 0 and 4 of 3 and 1: 3 * 1 + 1 * 9 = 12 of 12 + 2."""
    assert eta([-1, 0, 1], [4]) == pytest.approx(12 / 14)


def test_equal_means_explain_nothing():
    assert eta([1, 3], [2, 2], [0, 4]) == 0.0


def test_constant_classes_of_other_means_explain_everything():
    assert eta([1, 1, 1], [2, 2]) == 1.0
    assert eta([0.1, 0.1, 0.1], [0.7, 0.7, 0.7]) == pytest.approx(1.0)


@pytest.mark.parametrize("groups", [[], [[1, 2, 3]], [[1, 2], []], [[5, 5], [5]], [[0.1] * 3] * 3])
def test_a_single_class_or_a_single_value_is_undefined(groups):
    assert eta(*groups) is None


@given(
    groups=st.lists(
        st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=8), min_size=2, max_size=4
    ),
    scale=st.sampled_from([0.25, 2.0, 1024.0]),
)
@settings(deadline=None, derandomize=True)
def test_it_is_a_share_that_no_unit_changes(groups, scale):
    found = eta(*groups)
    if found is not None:
        assert 0.0 <= found <= 1.0
        assert eta(*[[scale * score for score in group] for group in groups]) == pytest.approx(
            found
        )
        assert eta(*groups[::-1]) == pytest.approx(found)


def test_it_agrees_with_an_analysis_of_variance():
    """F of a one-way analysis is (eta^2 / (k - 1)) / ((1 - eta^2) / (n - k))."""
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    groups = [random.normal(mean, 1, size) for mean, size in ((0, 20), (0.5, 7), (1, 30))]
    found = eta(*groups)
    assert (found / 2) / ((1 - found) / 54) == pytest.approx(stats.f_oneway(*groups).statistic)

"""Conformal thresholds: what they promise, and that they keep it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snlad.calibration.conformal import conformal_threshold, p_value, rate_band
from snlad.errors import UsageError

TWENTY = np.arange(1.0, 21.0)


def test_worked_by_hand() -> None:
    # n = 20: one in twenty-one false alarms is rank 1 of 21, two in twenty-one rank 2.
    one = conformal_threshold(TWENTY, 0.05)
    assert (one.n, one.attainable_fpr, one.is_short) == (20, 1 / 21, False)
    assert one.value > 20.0
    assert one.value == pytest.approx(20.0, rel=2e-4)
    two = conformal_threshold(TWENTY, 0.1)
    assert (two.value, two.attainable_fpr) == (19.5, 2 / 21)


def test_nineteen_pictures_are_the_fewest_for_five_percent() -> None:
    enough = conformal_threshold(TWENTY[:19], 0.05)
    assert (enough.attainable_fpr, enough.is_short) == (pytest.approx(0.05), False)
    short = conformal_threshold(TWENTY[:18], 0.05)
    assert (short.attainable_fpr, short.is_short) == (1 / 19, True)
    assert TWENTY[17] < short.value < TWENTY[17] + 0.01


def test_a_calibration_score_itself_is_never_ng_at_the_highest_rank() -> None:
    scores = np.array([1.0, 2.0, 2.0, 2.0])
    assert not (scores > conformal_threshold(scores, 0.2).value).any()


def test_ties_at_the_limit_go_to_the_next_higher_score() -> None:
    scores = np.array([0.0] * 10 + [1.0] * 7 + [5.0, 9.0])
    assert conformal_threshold(scores, 0.2).value == 3.0  # the fourth highest is a 1


@given(
    st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=60),
    st.floats(0.01, 0.5),
    st.integers(-25, 25).map(float),
)
def test_ng_means_a_p_value_of_at_most_the_target(found, target, score) -> None:
    scores = np.array(found)
    threshold = conformal_threshold(scores, target)
    if score > threshold.value:
        assert p_value(score, scores) <= max(target, 1 / (len(scores) + 1)) + 1e-9
    if p_value(score, scores) > target + 1e-9 and not threshold.is_short:
        assert score <= threshold.value


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(0.01, 0.5))
def test_a_stricter_target_never_lowers_the_threshold(found, target) -> None:
    scores = np.array(found)
    strict, loose = (conformal_threshold(scores, t) for t in (target / 2, target))
    assert strict.value >= loose.value
    assert strict.attainable_fpr <= loose.attainable_fpr


# The promise itself: over many calibrations the mean rate is k / (n + 1) at most.
@pytest.mark.parametrize("draw", ["standard_normal", "standard_cauchy", "standard_exponential"])
def test_the_promise_is_kept_on_average(draw: str) -> None:
    random = np.random.default_rng(0)
    rates, n = [], 39
    for _ in range(2000):
        scores = getattr(random, draw)(n + 200)
        threshold = conformal_threshold(scores[:n], 0.05)
        rates.append((scores[n:] > threshold.value).mean())
    assert threshold.attainable_fpr == pytest.approx(0.05)
    assert 0.025 <= np.mean(rates) <= 0.05 + 3 * np.std(rates) / np.sqrt(2000)


def test_one_calibration_stays_in_its_band_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    inside = []
    for _ in range(1000):
        scores = random.random(99)
        threshold = conformal_threshold(scores, 0.05)
        low, high = rate_band(threshold)
        inside.append(low <= 1 - threshold.value <= high)  # uniform: the rate is known exactly
    assert 0.95 <= np.mean(inside) <= 1.0


def test_the_band_of_the_highest_rank_starts_at_zero() -> None:
    low, high = rate_band(conformal_threshold(TWENTY, 0.05))
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 20))


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1, float("nan")])
def test_a_target_outside_zero_and_one_is_refused(target: float) -> None:
    with pytest.raises(UsageError, match=r"is not in \(0, 1\)"):
        conformal_threshold(TWENTY, target)


def test_no_score_is_refused() -> None:
    with pytest.raises(UsageError, match="no calibration score"):
        conformal_threshold(np.empty(0), 0.05)

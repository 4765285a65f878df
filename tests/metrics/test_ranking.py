"""AUROC, AP and F1-max: worked cases, scikit-learn as oracle, invariances, known traps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from snlad.errors import MetricError
from snlad.metrics.ranking import (
    Ranking,
    RunningAuroc,
    auroc,
    average_precision,
    f1_max,
    rank,
)

METRICS = [auroc, average_precision, f1_max]
quick = settings(deadline=None, derandomize=True, max_examples=60)


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def ranked(positives: np.ndarray, negatives: np.ndarray) -> Ranking:
    return rank(positives, [np.sort(negatives)])


def numbers(positives: np.ndarray, negatives: np.ndarray) -> list[float]:
    return [metric(ranked(positives, negatives)) for metric in METRICS]


# Few distinct values, so that ties within and between the two sides are the rule.
tied = st.lists(st.integers(-3, 3).map(lambda n: n / 4), min_size=1, max_size=30).map(
    lambda values: f32(*values)
)
anything = st.lists(
    st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False), min_size=1, max_size=30
).map(lambda values: f32(*values))
scores = tied | anything


def test_counts_at_each_distinct_positive_score_from_the_highest_down() -> None:
    ranking = ranked(f32(1, 3, 1), f32(0, 1, 2, 5))
    assert ranking.hits.tolist() == [1, 3]
    assert ranking.above.tolist() == [1, 2]
    assert ranking.alarms.tolist() == [1, 3]
    assert ranking.coverage.tolist() == pytest.approx([1 / 3, 1])
    assert ranking.negatives == 4


def test_coverage_is_the_share_of_the_weight_not_of_the_count() -> None:
    ranking = rank(f32(1, 3, 1), [f32(0)], np.array([1.0, 2.0, 5.0]))
    assert ranking.coverage.tolist() == [0.25, 1.0]


def test_weights_leave_the_counting_metrics_alone() -> None:
    positives, negatives = f32(1, 3, 2), f32(0, 1, 2)
    weighted = rank(positives, [negatives], np.array([9.0, 1.0, 4.0]))
    assert [metric(weighted) for metric in METRICS] == numbers(positives, negatives)


def test_auroc_worked_by_hand() -> None:
    # 3 beats all of 2, 1, 0; the positive 1 beats 0 and ties with 1: (3 + 1.5) / 6.
    assert auroc(ranked(f32(3, 1), f32(2, 1, 0))) == 0.75


def test_average_precision_worked_by_hand() -> None:
    # Recall 0 to 1/2 at precision 1, then 1/2 to 1 at precision 2/4.
    assert average_precision(ranked(f32(3, 1), f32(2, 1, 0))) == 0.75


def test_f1_max_worked_by_hand() -> None:
    # Thresholds 5, 4, 1: F1 = 2/(1+3), 4/(2+1+3) with one alarm, 6/(3+3+3).
    assert f1_max(ranked(f32(5, 4, 1), f32(4.5, 3, 2, 0))) == pytest.approx(2 / 3)
    # Without the alarm at 4.5 the middle threshold gives 4/5.
    assert f1_max(ranked(f32(5, 4, 1), f32(3, 2, 1.5, 0))) == pytest.approx(0.8)


@quick
@given(scores, scores)
def test_equals_scikit_learn_whatever_the_ties(
    positives: np.ndarray, negatives: np.ndarray
) -> None:
    labels = np.repeat([1, 0], [len(positives), len(negatives)])
    both = np.concatenate([positives, negatives])
    precision, recall, _ = precision_recall_curve(labels, both)
    found = (precision + recall) > 0
    best = np.max(2 * (precision * recall)[found] / (precision + recall)[found])
    assert numbers(positives, negatives) == pytest.approx(
        [roc_auc_score(labels, both), average_precision_score(labels, both), best], abs=1e-12
    )


@quick
@given(scores, scores)
def test_f1_max_is_not_beaten_by_any_threshold(
    positives: np.ndarray, negatives: np.ndarray
) -> None:
    best = f1_max(ranked(positives, negatives))
    for threshold in np.concatenate([positives, negatives]):
        hits, alarms = (positives >= threshold).sum(), (negatives >= threshold).sum()
        assert 2 * hits / (hits + alarms + len(positives)) <= best + 1e-12


@quick
@given(tied, tied)
def test_a_strictly_rising_transform_changes_nothing(
    positives: np.ndarray, negatives: np.ndarray
) -> None:
    before = numbers(positives, negatives)
    assert numbers(np.exp(positives), np.exp(negatives)) == before
    assert numbers(4 * positives - 1e3, 4 * negatives - np.float32(1e3)) == before


@quick
@given(scores, st.lists(scores, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_order_and_splitting_change_nothing(positives, parts, random) -> None:
    shuffled = list(positives)
    random.shuffle(shuffled)
    split = rank(f32(*shuffled), [np.sort(part) for part in parts])
    assert [metric(split) for metric in METRICS] == numbers(positives, np.concatenate(parts))


def test_empty_parts_of_the_negatives_are_passed_over() -> None:
    assert auroc(rank(f32(3, 1), [f32(), f32(0, 1), f32(), f32(2)])) == 0.75


@quick
@given(scores, scores)
def test_swapping_the_sides_mirrors_auroc(positives: np.ndarray, negatives: np.ndarray) -> None:
    mirrored = auroc(ranked(negatives, positives))
    assert auroc(ranked(positives, negatives)) == pytest.approx(1 - mirrored, abs=1e-12)


def test_constant_scores_know_nothing() -> None:
    # Every threshold takes all or none: chance level, prevalence, and F1 of "all are defects".
    assert numbers(f32(*[0.5] * 3), f32(*[0.5] * 5)) == pytest.approx([0.5, 3 / 8, 6 / 11])


def test_perfect_and_inverted_rankings_reach_the_ends_exactly() -> None:
    assert numbers(f32(2, 3, 4), f32(0, 1)) == [1.0, 1.0, 1.0]
    assert auroc(ranked(f32(0, 1), f32(2, 3, 4))) == 0.0


@pytest.mark.parametrize("count", [3, 7, 10, 49, 1001])
def test_rounding_never_lifts_a_number_above_one(count: int) -> None:
    positives = np.arange(1, count + 1, dtype=np.float32)
    assert numbers(positives, f32(0)) == [1.0, 1.0, 1.0]


def test_raw_scores_that_a_sigmoid_would_flatten_stay_apart() -> None:
    positives, negatives = f32(40, 50), f32(20, 30)
    assert auroc(ranked(positives, negatives)) == 1.0
    squashed = [1 / (1 + np.exp(-side)) for side in (positives, negatives)]
    assert auroc(ranked(*squashed)) == 0.5  # the trap: all four are 1 in float32


def test_f1_sees_differences_that_a_grid_of_21_thresholds_misses() -> None:
    # One outlier stretches the range: a min-max grid has no threshold between 0.1 and 0.2.
    assert f1_max(ranked(f32(0.2, 0.2, 1000), f32(0.1, 0.1, 0.1))) == 1.0


def test_neighbouring_floats_are_distinct_and_signed_zeros_are_not() -> None:
    assert auroc(ranked(np.nextafter(f32(1), f32(2)), f32(1))) == 1.0
    assert auroc(ranked(f32(-0.0), f32(0.0))) == 0.5


def test_counts_beyond_64_bit_products_do_not_overflow() -> None:
    # 5e9 positives times 5e9 negatives is 2.5e19, more than int64 holds.
    many = np.array([5_000_000_000])
    tie = Ranking(many, np.array([1.0]), np.array([0]), many, 5_000_000_000)
    assert auroc(tie) == 0.5
    assert average_precision(tie) == 0.5
    assert f1_max(tie) == pytest.approx(2 / 3)


def test_the_input_is_left_as_it_was() -> None:
    positives, negatives = f32(2, 1, 3), f32(0, 1)
    rank(positives, [negatives])
    assert positives.tolist() == [2, 1, 3]
    assert negatives.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("positives", "negatives"), [(f32(), [f32(1)]), (f32(1), [f32()]), (f32(1), [])]
)
def test_one_empty_side_is_an_error_not_a_half(positives: np.ndarray, negatives: list) -> None:
    with pytest.raises(MetricError, match="cannot be ranked"):
        rank(positives, negatives)


def test_a_running_auroc_by_hand():
    """Of four pairs one is won and two are ties; the next negative is beaten by one of two."""
    found = RunningAuroc(np.array([2.0, 1.0]))
    found.add(np.array([1.0, 2.0]))
    assert found.value == pytest.approx(2 / 4)
    found.add(np.array([1.5]))
    assert found.value == pytest.approx(3 / 6)


@given(
    positives=st.lists(st.integers(-4, 4), min_size=1, max_size=30),
    parts=st.lists(st.lists(st.integers(-4, 4), max_size=40), min_size=1, max_size=4),
)
@settings(deadline=None, derandomize=True)
def test_a_running_auroc_is_that_of_the_ranking_whichever_side_is_larger(positives, parts):
    found = RunningAuroc(np.array(positives, np.float32))
    for part in parts:
        found.add(np.sort(np.array(part, np.float32)))
    negatives = np.sort(np.array([score for part in parts for score in part], np.float32))
    if not len(negatives):
        assert found.value is None
        return
    expected = auroc(rank(np.array(positives, np.float32), [negatives]))
    assert found.value == pytest.approx(expected, abs=1e-12)


def test_a_running_auroc_of_no_positive_is_undefined():
    found = RunningAuroc(np.empty(0))
    found.add(np.array([1.0]))
    assert found.value is None

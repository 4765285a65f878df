"""Classes that the model takes for each other: when they count as inseparable, and what strays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from snlad.calibration.class_answer import (
    UNKNOWN_RATE,
    AnswerLimits,
    find_answer_limits,
    fit_class_answer,
)
from snlad.calibration.confusion import count_answers, find_inseparable, strayed_share


def is_tied(count: int, n: int) -> bool:
    answers = {"a": {"a": n - count, "b": count}, "b": {"b": 50}}
    return find_inseparable(answers, {"a": n, "b": 50}) == [["a", "b"]]


@pytest.mark.parametrize(
    ("count", "n", "expected"),
    [
        (0, 50, False),
        (1, 1, False),
        (1, 5, False),  # a single picture may lie in the wrong folder
        (2, 2, True),
        (2, 35, True),
        (2, 36, False),
        (3, 82, True),
        (3, 83, False),
        (4, 137, True),
        (4, 138, False),
        (300, 300, True),
    ],
)
def test_how_many_pictures_tie_two_classes(count: int, n: int, expected: bool) -> None:
    assert is_tied(count, n) is expected


# The confidence means: classes whose true share is at the limit are tied in one of 20 at most.
@pytest.mark.parametrize("n", [2, 5, 20, 35, 36, 50, 82, 83, 100, 137, 198, 300])
def test_classes_within_the_limit_are_seldom_tied(n: int) -> None:
    least = next(count for count in range(n + 1) if is_tied(count, n))
    assert binom.sf(least - 1, n, UNKNOWN_RATE) <= 0.05
    assert binom.sf(least - 1, n, 0.5) > 0.24  # and one product in two folders nearly always


def test_one_direction_is_enough_and_neighbours_of_one_class_belong_together() -> None:
    answers = {
        "a": {"c": 9, "a": 11},
        "b": {"b": 15, "c": 5},
        "c": {"c": 20},
        "d": {"d": 19, "a": 1},
        "f": {"e": 20},
        "e": {},
    }
    groups = find_inseparable(answers, dict.fromkeys(answers, 20))
    assert groups == [["a", "b", "c"], ["e", "f"]]


def test_a_class_without_calibration_pictures_can_be_tied_to_one_with() -> None:
    assert find_inseparable({"b": {"a": 3}}, {"b": 3}) == [["a", "b"]]


@pytest.mark.parametrize("answers", [{}, {"a": {}}, {"a": {"a": 20}}])
def test_nothing_is_tied_without_a_confusion(answers) -> None:
    assert find_inseparable(answers, {"a": 20}) == []


def test_what_strays_is_what_is_answered_outside_its_group() -> None:
    answers = {"a": {"a": 6, "b": 3}, "b": {"a": 5, "c": 2}, "c": {"c": 10}}
    totals = {"a": 10, "b": 10, "c": 20}
    assert strayed_share(answers, totals, []) == 10 / 40
    assert strayed_share(answers, totals, [["a", "b"]]) == 2 / 40
    assert strayed_share(answers, totals, [["a", "b", "c"]]) == 0


names = st.sampled_from(["a", "b", "c", "d", "é, x"])
confusions = st.dictionaries(names, st.dictionaries(names, st.integers(1, 6)), min_size=1)


@given(confusions, st.randoms(use_true_random=False))
def test_groups_are_disjoint_and_know_no_order(answers, random) -> None:
    totals = {name: max(sum(row.values()), 1) for name, row in answers.items()}
    groups = find_inseparable(answers, totals)
    members = [name for group in groups for name in group]
    assert len(members) == len(set(members))
    assert all(len(group) >= 2 and group == sorted(group) for group in groups)
    items = list(answers.items())
    random.shuffle(items)
    shuffled = {name: dict(sorted(row.items(), reverse=True)) for name, row in items}
    assert find_inseparable(shuffled, totals) == groups
    assert 0 <= strayed_share(answers, totals, groups) <= strayed_share(answers, totals, []) <= 1


@given(confusions, names, names)
def test_more_confusion_never_parts_a_group(answers, name, other) -> None:
    totals = dict.fromkeys([*"abcd", "é, x"], 40)
    more = {**answers, name: {**answers.get(name, {}), other: 10}}
    before, after = find_inseparable(answers, totals), find_inseparable(more, totals)
    assert all(any(set(group) <= set(wider) for wider in after) for group in before)
    assert name == other or any({name, other} <= set(group) for group in after)


def test_answers_are_counted_by_class_and_unknown_ones_left_out() -> None:
    limits = AnswerLimits({"a": 1.0, "b": 2.0}, unknown_above=3.0)
    distances = {
        "a": np.array([[1.0, 9.0], [2.5, 3.0], [9.0, 9.0]]),
        "b": np.array([[9.0, 2.0], [8.0, 5.0], [1.0, 6.0]]),
    }
    assert count_answers(limits, ("a", "b"), distances) == {
        "a": {"a": 1, "b": 1},
        "b": {"b": 2, "a": 1},
    }
    assert count_answers(limits, ("a", "b"), {"a": np.full((2, 2), np.inf)}) == {"a": {}}


@pytest.mark.parametrize("same_pictures", [True, False])
def test_one_product_in_two_folders_is_tied_and_another_is_not(same_pictures: bool) -> None:
    random = np.random.default_rng(0)

    def draw(n: int) -> dict[str, np.ndarray]:
        product = random.normal(0, 1, (n, 6))
        twin = product if same_pictures else random.normal(0, 1, (n, 6))
        return {"a": product, "b": random.normal(9, 1, (n, 6)), "c": twin}

    learned, aside = draw(60), draw(20)
    labels = [name for name in learned for _ in range(60)]
    answer = fit_class_answer(np.concatenate(list(learned.values())), labels)
    distances = {name: answer.distances(points) for name, points in aside.items()}
    limits, _ = find_answer_limits(answer.names, distances)
    answers = count_answers(limits, answer.names, distances)
    assert find_inseparable(answers, dict.fromkeys(aside, 20)) == [["a", "c"]]

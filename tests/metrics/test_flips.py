"""Flips: counted by hand, by class and label, and McNemar's p-value against its own sum."""

import json
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.metrics.decisions import Decision
from snlad.metrics.flips import KINDS, FlipRow, flip_kind, flip_table, mcnemar

OK, NG = False, True


def pairs(*verdicts: tuple[str, bool, bool, bool]) -> tuple[list[Decision], list[Decision]]:
    """Class, label, verdict before and verdict after, a picture each."""
    return tuple(
        [Decision(row[0], "hole" if row[1] else "good", row[1], row[side]) for row in verdicts]
        for side in (2, 3)
    )


@pytest.mark.parametrize(
    ("is_anomalous", "is_ng", "kind"),
    [
        (True, NG, "escape mended"),
        (True, OK, "new escape"),
        (False, OK, "false alarm mended"),
        (False, NG, "new false alarm"),
    ],
)
def test_a_flip_is_called_by_its_label_and_its_last_verdict(is_anomalous, is_ng, kind) -> None:
    assert flip_kind(is_anomalous, is_ng) == kind
    assert kind in KINDS


def test_counts_worked_by_hand() -> None:
    before, after = pairs(
        ("b", True, OK, NG),
        ("b", True, OK, NG),
        ("b", True, OK, NG),
        ("b", True, NG, OK),
        ("b", True, NG, NG),
        ("b", False, NG, OK),
        ("b", False, OK, OK),
        ("a", False, OK, NG),
        ("a", False, OK, NG),
    )
    table = flip_table(before, after)
    assert list(table.classes) == ["a", "b"]
    # 3 of one kind and 1 of the other: 2 (1 + 4) / 16; 0 and 1: 1; 0 and 2: 2 / 4.
    assert table.classes["b"] == FlipRow(5, 3, 1, 0.625, 2, 1, 0, 1.0)
    assert table.classes["a"] == FlipRow(0, 0, 0, None, 2, 0, 2, 0.5)
    assert table.pooled == FlipRow(5, 3, 1, 0.625, 4, 1, 2, 1.0)
    assert json.loads(json.dumps(table.to_dict()))["classes"]["a"]["defects_p"] is None


def test_equal_verdicts_are_no_flips_and_nothing_is_unlikely() -> None:
    before, after = pairs(("a", True, NG, NG), ("a", False, OK, OK))
    assert flip_table(before, after).pooled == FlipRow(1, 0, 0, 1.0, 1, 0, 0, 1.0)
    assert flip_table([], []).pooled == FlipRow(0, 0, 0, None, 0, 0, 0, None)


def test_verdicts_on_other_pictures_cannot_be_paired() -> None:
    before, after = pairs(("a", True, OK, NG), ("a", True, OK, NG))
    with pytest.raises(ValueError, match="zip"):
        flip_table(before, after[:1])


@given(st.integers(0, 40), st.integers(0, 40))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_the_p_value_is_the_sum_over_splits_no_likelier(one: int, other: int) -> None:
    """Of n coins, every split of heads and tails that is as far from even or farther."""
    n = one + other
    far = [k for k in range(n + 1) if abs(2 * k - n) >= abs(one - other)]
    assert mcnemar(one, other) == pytest.approx(sum(comb(n, k) for k in far) / 2**n)
    assert mcnemar(one, other) == mcnemar(other, one)


def test_a_known_p_value() -> None:
    """Ten flips, all one way: twice a half to the tenth."""
    assert mcnemar(10, 0) == pytest.approx(2 / 1024)
    assert mcnemar(5, 5) == mcnemar(0, 0) == 1.0

"""Decisions: counts, rates and exact intervals."""

import json

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from snlad.metrics.decisions import Decision, clopper_pearson, count, decision_table

GOOD = ("good", False)


def decisions(class_name: str, *kinds: tuple[tuple[str, bool], bool]) -> list[Decision]:
    return [Decision(class_name, kind, anomalous, ng) for (kind, anomalous), ng in kinds]


def some() -> list[Decision]:
    hole, scratch = ("hole", True), ("scratch", True)
    return [
        *decisions("b", (GOOD, False), (GOOD, True), (hole, True), (hole, False), (scratch, True)),
        *decisions("a", (GOOD, False), (GOOD, False), (hole, True)),
    ]


def test_counts_and_rates_worked_by_hand() -> None:
    row = count(some())
    assert (row.defects, row.escapes, row.normals, row.false_alarms) == (4, 1, 4, 1)
    assert (row.recall, row.false_alarm_rate) == (0.75, 0.25)


def test_rows_by_class_and_defect_type() -> None:
    table = decision_table(some())
    assert list(table.classes) == ["a", "b"]
    assert (table.classes["b"].escapes, table.classes["a"].escapes) == (1, 0)
    assert list(table.defect_types["b"]) == ["hole", "scratch"]
    hole = table.defect_types["b"]["hole"]
    assert (hole.defects, hole.escapes, hole.normals, hole.recall) == (2, 1, 0, 0.5)
    assert table.pooled == count(some())
    assert json.loads(json.dumps(table.to_dict()))["pooled"]["escapes"] == 1


def test_a_rate_of_nothing_is_undefined() -> None:
    row = count(decisions("a", (GOOD, True)))
    assert (row.recall, row.recall_interval) == (None, None)
    assert row.false_alarm_rate == 1.0
    assert count([]).false_alarm_interval is None
    empty = decision_table([])
    assert (empty.classes, empty.pooled.defects) == ({}, 0)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (3, 10), (0, 300), (57, 60), (250, 250)])
def test_the_interval_is_scipys_exact_one(hits: int, n: int) -> None:
    expected = binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert clopper_pearson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


# Exact means: whatever the true share, at least 95 % of all outcomes have it in their interval.
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.93])
def test_the_interval_covers_at_least_its_level(share: float) -> None:
    n = 40
    covered = [low <= share <= high for low, high in (clopper_pearson(h, n) for h in range(n + 1))]
    assert binom.pmf(np.arange(n + 1), n, share)[covered].sum() >= 0.95

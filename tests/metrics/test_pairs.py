"""AUROC by pairs of classes: each pair against the normals that concern it, all against all."""

import numpy as np
import pytest

from snlad.metrics.pairs import PairAurocs


def scores(*values) -> np.ndarray:
    return np.array(values, np.float32)


def test_each_pair_is_ranked_against_what_concerns_it_and_all_against_everything():
    found = PairAurocs({("a", "b"): scores(3, 1), ("b", "a"): scores(0)})
    found.add(scores(2, 0), lambda pair: pair[0] == "a")
    found.add(scores(5), lambda pair: pair[0] == "b")
    # of a: 3 beats both, 1 beats one of two; of b: 0 loses
    assert found.by_pair() == {("a", "b"): 0.75, ("b", "a"): 0.0}
    # of nine pairs three are won and one is a tie
    assert found.value == pytest.approx(3.5 / 9)


def test_the_order_and_the_parts_of_the_negatives_do_not_matter():
    whole, parts = (PairAurocs({("a", "b"): scores(4, 1, 1)}) for _ in range(2))
    whole.add(scores(5, 1, 0, 4), lambda _: True)
    for part in (scores(4, 1), scores(), scores(0, 5)):
        parts.add(part, lambda _: True)
    assert whole.value == parts.value
    assert whole.by_pair() == parts.by_pair() == {("a", "b"): whole.value}


def test_what_has_no_probe_or_no_normal_is_undefined():
    nothing = PairAurocs({})
    nothing.add(scores(1), lambda _: True)
    assert nothing.value is None
    assert nothing.by_pair() == {}
    alone = PairAurocs({("a", "b"): scores(1)})
    assert alone.value is None
    alone.add(scores(0), lambda pair: pair == ("b", "a"))
    assert alone.value == 1.0
    assert alone.by_pair() == {("a", "b"): None}

"""Numbers of trials: worked by hand, paired as they say, and intervals that keep their promise."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.metrics.scores import METRICS
from snlad.study.results import Result, collect, find_baseline, paired_interval, subtract


def row(seed=0, key="k", **classes):
    """A finished row whose classes have one number for all metrics."""
    parts = {name: dict.fromkeys(METRICS, value) for name, value in classes.items()}
    known = [value for value in classes.values() if value is not None]
    mean = dict.fromkeys(METRICS, sum(known) / len(known) if known else None)
    return {
        "key": key,
        "seed": seed,
        "scores": {"classes": parts, "mean": mean, "pooled": mean},
        "probes": {"mixup_image_auroc": 0.25},
        "steps": 8,
        "train_seconds": 2.0 + seed,
    }


def result(*rows, name="t", base=None, variant="", data="d", classes=None):
    run = SimpleNamespace(
        trial=name, base=base or name, variant=variant, data=Path(data), classes=classes
    )
    return Result(SimpleNamespace(run=run), len(rows), rows, {})


def test_numbers_come_in_the_order_of_the_seeds_and_undefined_ones_are_nan():
    one = result(row(0, a=0.5, b=1.0), row(1, a=0.25, b=None))
    np.testing.assert_array_equal(one.of_class("a", "aupro"), [0.5, 0.25])
    np.testing.assert_array_equal(one.of_class("b", "aupro"), [1.0, np.nan])
    np.testing.assert_array_equal(one.of_class("c", "aupro"), [np.nan, np.nan])
    np.testing.assert_array_equal(one.values("mean", "image_ap"), [0.75, 0.25])
    np.testing.assert_array_equal(one.of_row("train_seconds"), [2.0, 3.0])
    np.testing.assert_array_equal(one.of_row("peak_mib"), [np.nan, np.nan])
    np.testing.assert_array_equal(one.of_probes("mixup_image_auroc"), [0.25, 0.25])


def test_rows_find_their_trials_by_key_and_failures_their_seeds():
    def job(trial, seed, key):
        config = SimpleNamespace(seed=seed)
        return SimpleNamespace(key=key, run=SimpleNamespace(trial=trial, config=config))

    jobs = [job("a", 0, "a0"), job("b", 0, "b0"), job("a", 1, "a1"), job("b", 1, "b1")]
    rows = [
        {"key": "a1", "n": 1},
        {"key": "a0", "n": 0},
        {"key": "b0", "error": "no"},
        {"key": "of another plan"},
    ]
    a, b = collect(jobs, iter(rows))
    assert (a.name, a.planned, [r["n"] for r in a.rows], a.errors) == ("a", 2, [0, 1], {})
    assert (b.name, b.planned, b.rows, b.errors) == ("b", 2, (), {0: "no"})


def test_a_difference_worked_by_hand():
    """Class a: 0.1 and 0.3; class b: 0.2 and 0.4; the seeds pair up whatever their order."""
    before = result(row(0, a=0.5, b=0.5, c=0.1), row(1, a=0.5, b=0.5, c=0.2), row(2, a=0.0, b=0.0))
    after = result(row(1, a=0.8, b=0.9, d=1.0), row(0, a=0.6, b=0.7, d=1.0))
    found = subtract(after, before, "image_auroc")
    assert found.mean == pytest.approx(0.25)
    assert (found.classes, found.seeds) == (2, 2)
    low, high = found.interval
    assert low == pytest.approx(0.1)  # class a and seed 0, drawn twice each, one time in sixteen
    assert high == pytest.approx(0.4)


def test_a_class_that_is_undefined_in_a_trial_is_left_out():
    before = result(row(0, a=0.5, b=None), row(1, a=0.5, b=0.5))
    after = result(row(0, a=0.75, b=0.5), row(1, a=0.75, b=0.5))
    found = subtract(after, before, "aupro")
    assert (found.mean, found.classes, found.interval) == (0.25, 1, (0.25, 0.25))


def test_nothing_in_common_is_no_difference():
    assert subtract(result(row(0, a=1.0)), result(row(1, a=1.0)), "aupro") is None
    assert subtract(result(row(0, a=1.0)), result(row(0, b=1.0)), "aupro") is None
    assert subtract(result(), result(row(0, a=1.0)), "aupro") is None
    single = subtract(result(row(0, a=1.0)), result(row(0, a=0.5)), "aupro")
    assert (single.mean, single.interval) == (0.5, None)


def test_the_baseline_is_the_trial_of_the_same_grid_values_or_the_one_named():
    trials = [
        result(row(0, a=1.0), name=f"{base} s={n}", base=base, variant=f"s={n}")
        for base in ("rd", "snl")
        for n in (1, 2)
    ]
    rd1, rd2, snl1, snl2 = trials
    assert [find_baseline(one, trials, "rd") for one in trials] == [None, None, rd1, rd2]
    assert [find_baseline(one, trials, "rd s=2") for one in trials] == [rd2, None, rd2, rd2]
    assert find_baseline(snl1, trials, None) is None
    assert find_baseline(snl2, [snl2, result(name="rd")], "rd") is None  # it has no row
    elsewhere = result(row(0, a=1.0), name="rd", data="e")
    assert find_baseline(snl2, [snl2, elsewhere], "rd") is None


@given(st.integers(1, 6), st.integers(1, 4), st.floats(-0.5, 0.5))
@settings(deadline=None, derandomize=True, max_examples=30)
def test_equal_differences_have_an_interval_of_no_width(classes, seeds, value):
    found = paired_interval(np.full((classes, seeds), value), resamples=50)
    assert (found is None) == (classes == seeds == 1)
    if found is not None:
        assert found == pytest.approx((value, value))


@given(st.integers(2, 6), st.integers(1, 4), st.integers(0, 99))
@settings(deadline=None, derandomize=True, max_examples=30)
def test_an_interval_lies_within_the_differences_and_is_seeded(classes, seeds, seed):
    values = np.random.default_rng(seed).normal(0, 1, (classes, seeds))
    low, high = paired_interval(values, resamples=200)
    assert values.min() <= low <= high <= values.max()
    assert paired_interval(values, resamples=200) == (low, high)
    shifted = paired_interval(values + 5, resamples=200)
    assert shifted == pytest.approx((low + 5, high + 5))


def simulate(random, classes=15, seeds=5):
    """A true difference of 0.02 under effects of each class, of each seed on all, and noise."""
    of_class = random.normal(0, 0.02, (classes, 1))
    of_seed = random.normal(0, 0.005, (1, seeds))
    return 0.02 + of_class + of_seed + random.normal(0, 0.01, (classes, seeds))


def test_the_interval_holds_the_true_difference_about_as_often_as_it_says():
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        low, high = paired_interval(simulate(random), resamples=400)
        hits += low <= 0.02 <= high
    assert 0.86 <= hits / 300 <= 0.99


def test_seeds_that_move_all_classes_alike_widen_the_interval():
    """Drawn apart in each class they would cancel out."""
    random = np.random.default_rng(2)
    values = np.repeat(random.normal(0, 0.1, (1, 6)), 40, axis=0)
    low, high = paired_interval(values)
    assert high - low == pytest.approx(4 * values[0].std() / np.sqrt(6), rel=0.2)


NUMBER = st.one_of(st.none(), st.floats(0, 1))


@given(
    st.lists(st.fixed_dictionaries({"a": NUMBER, "b": NUMBER, "c": NUMBER}), max_size=4),
    st.lists(st.fixed_dictionaries({"b": NUMBER, "c": NUMBER, "d": NUMBER}), max_size=4),
    st.integers(0, 2),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_a_difference_is_what_a_plain_loop_over_classes_and_seeds_gives(ours, theirs, shift):
    """Classes count where they are defined in every seed that both trials have."""
    after = result(*(row(seed, **numbers) for seed, numbers in enumerate(ours)))
    before = result(*(row(seed + shift, **numbers) for seed, numbers in enumerate(theirs)))
    seeds = [seed for seed in range(len(ours)) if 0 <= seed - shift < len(theirs)]
    by_class = []
    for name in ("b", "c"):
        pairs = [(ours[seed][name], theirs[seed - shift][name]) for seed in seeds]
        if pairs and all(None not in pair for pair in pairs):
            by_class.append([a - b for a, b in pairs])
    found = subtract(after, before, "aupro")
    assert (found is None) == (not by_class)
    if found is not None:
        values = [value for some in by_class for value in some]
        assert found.mean == pytest.approx(sum(values) / len(values))
        assert (found.classes, found.seeds) == (len(by_class), len(seeds))
        opposite = subtract(before, after, "aupro")
        assert opposite.mean == pytest.approx(-found.mean)

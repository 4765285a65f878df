"""Bootstrap intervals: the metrics of resampled images, worked again by scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from snlad.errors import MetricError
from snlad.metrics.bootstrap import (
    IMAGE_METRICS,
    ImageScores,
    _numbers,
    bootstrap_intervals,
    paired_intervals,
)


def drawn(seed: int, normal: int, anomalous: int, shift: float = 1.0) -> ImageScores:
    random = np.random.default_rng(seed)
    off = random.integers(0, 12, normal).astype(np.float64)
    return ImageScores(off, random.integers(0, 12, anomalous) + shift)


# Counts are weights of images; ties are there on purpose.
def test_the_numbers_of_a_resample_are_those_of_scikit_learn() -> None:
    images, random = drawn(0, 15, 11), np.random.default_rng(1)
    scores = np.concatenate([images.normal, images.anomalous])
    labels = np.arange(26) >= 15
    for _ in range(20):
        off, on = (np.bincount(random.integers(0, n, n), minlength=n) for n in (15, 11))
        weights = np.concatenate([off, on])
        (auroc, ap, f1) = _numbers(images, off[None], on[None])[0]
        assert auroc == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))
        assert ap == pytest.approx(average_precision_score(labels, scores, sample_weight=weights))
        expected = max(_f1(labels, scores >= t, weights) for t in scores)
        assert f1 == pytest.approx(expected)


def _f1(labels: np.ndarray, found: np.ndarray, weights: np.ndarray) -> float:
    hits = weights[labels & found].sum()
    return 2 * hits / (weights[found].sum() + weights[labels].sum())


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    inside = 0
    for trial in range(200):
        data = ImageScores(random.standard_normal(60), random.standard_normal(60) + 1)
        low, high = bootstrap_intervals({"a": data}, resamples=200, seed=trial).classes["a"][
            "image_auroc"
        ]
        inside += low <= 0.7602 <= high  # Phi(1 / sqrt 2)
    assert 0.89 <= inside / 200 <= 0.99


def test_the_same_seed_gives_the_same_intervals_and_another_does_not() -> None:
    classes = {"a": drawn(0, 30, 20), "b": drawn(1, 25, 40)}
    once, again = (bootstrap_intervals(classes, seed=3) for _ in range(2))
    assert once == again
    assert once != bootstrap_intervals(classes, seed=4)


def test_another_class_moves_only_the_mean_and_the_pool() -> None:
    alone = bootstrap_intervals({"a": drawn(0, 30, 20)})
    both = bootstrap_intervals({"b": drawn(1, 25, 40), "a": drawn(0, 30, 20)})
    assert alone.classes["a"] == both.classes["a"]
    assert alone.classes["a"] == alone.mean == alone.pooled
    assert both.mean != alone.mean
    assert both.pooled != alone.pooled


def test_the_mean_of_independent_classes_is_surer_than_each() -> None:
    classes = {str(i): drawn(i, 40, 40) for i in range(9)}
    intervals = bootstrap_intervals(classes)
    widths = [
        high - low for high, low in (row["image_auroc"] for row in intervals.classes.values())
    ]
    low, high = intervals.mean["image_auroc"]
    assert high - low < 0.5 * np.mean(np.abs(widths))


# Chunks bound the memory; they must not change what is drawn.
def test_many_images_give_the_intervals_of_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = {"a": drawn(0, 30, 20), "b": drawn(1, 25, 40)}
    whole = bootstrap_intervals(classes, resamples=50)
    monkeypatch.setattr("snlad.metrics.bootstrap._CHUNK", 500)
    assert bootstrap_intervals(classes, resamples=50) == whole


def test_a_class_of_one_kind_has_no_interval_but_counts_in_the_pool() -> None:
    classes = {"a": drawn(0, 30, 20), "normal only": ImageScores(np.full(50, 99.0), np.empty(0))}
    intervals = bootstrap_intervals(classes)
    assert intervals.classes["normal only"] == {}
    assert intervals.mean == intervals.classes["a"]
    assert intervals.pooled["image_auroc"][1] < intervals.classes["a"]["image_auroc"][0]


def test_nothing_has_no_intervals() -> None:
    empty = bootstrap_intervals({})
    assert (empty.classes, empty.mean, empty.pooled) == ({}, {}, {})
    lone = bootstrap_intervals({"a": ImageScores(np.ones(3), np.empty(0))})
    assert (lone.mean, lone.pooled) == ({}, {})
    assert IMAGE_METRICS == ("image_auroc", "image_ap", "image_f1_max")


def noisy(images: ImageScores, seed: int, spread: float) -> ImageScores:
    """The same images scored by a model that sees nearly the same."""
    random = np.random.default_rng([seed, 1])
    return ImageScores(
        images.normal + spread * random.standard_normal(len(images.normal)),
        images.anomalous + spread * random.standard_normal(len(images.anomalous)),
    )


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def test_scores_against_themselves_differ_by_exactly_nothing() -> None:
    classes = {"a": drawn(0, 30, 20), "b": drawn(1, 25, 40)}
    found = paired_intervals(classes, classes)
    for row in (*found.classes.values(), found.mean, found.pooled):
        assert row == dict.fromkeys(IMAGE_METRICS, (0.0, 0.0))


# Of 2 + 2 images all resamples can be listed: 4 normal and 4 defect draws, equally likely.
def test_a_paired_interval_is_that_of_all_resamples_worked_one_by_one() -> None:
    before = ImageScores(np.array([0.0, 2.0]), np.array([1.0, 3.0]))
    after = ImageScores(np.array([0.0, 1.0]), np.array([3.0, 0.5]))
    draws = [(0, 0), (0, 1), (1, 0), (1, 1)]
    differences = [
        roc_auc_score([0, 0, 1, 1], [*after.normal[[*off]], *after.anomalous[[*on]]])
        - roc_auc_score([0, 0, 1, 1], [*before.normal[[*off]], *before.anomalous[[*on]]])
        for off in draws
        for on in draws
    ]
    low, high = paired_intervals({"a": before}, {"a": after}).classes["a"]["image_auroc"]
    assert (low, high) == (min(differences), max(differences)) == (-1.0, 1.0)


@given(seed=st.integers(0, 10**6), normal=st.integers(20, 60), anomalous=st.integers(20, 60))
@settings(deadline=None, derandomize=True, max_examples=15)
def test_pairing_narrows_the_interval_of_correlated_scores(
    seed: int, normal: int, anomalous: int
) -> None:
    random = np.random.default_rng(seed)
    images = ImageScores(random.standard_normal(normal), random.standard_normal(anomalous) + 1)
    before, after = {"a": images}, {"a": noisy(images, seed, 0.1)}
    paired = paired_intervals(before, after, resamples=200).classes["a"]
    one, other = (
        bootstrap_intervals(side, resamples=200, seed=draw).classes["a"]
        for side, draw in ((before, 1), (after, 2))
    )
    for metric in ("image_auroc", "image_ap"):
        apart = np.hypot(width(one[metric]), width(other[metric]))
        assert width(paired[metric]) < 0.7 * apart


def test_a_difference_and_its_opposite_mirror_each_other() -> None:
    images = {"a": drawn(0, 30, 20), "b": drawn(1, 25, 40)}
    others = {name: noisy(one, 0, 1.0) for name, one in images.items()}
    there, back = paired_intervals(images, others), paired_intervals(others, images)
    for row, mirrored in ((there.mean, back.mean), (there.pooled, back.pooled)):
        for metric in IMAGE_METRICS:
            low, high = mirrored[metric]
            assert row[metric] == pytest.approx((-high, -low))


def test_a_better_model_has_an_interval_above_zero() -> None:
    random = np.random.default_rng(0)
    off, on = random.standard_normal(200), random.standard_normal(200)
    found = paired_intervals({"a": ImageScores(off, on + 1)}, {"a": ImageScores(off, on + 2)})
    low, high = found.classes["a"]["image_auroc"]
    assert 0.05 < low < 0.9214 - 0.7602 < high < 0.3  # Phi(2 / sqrt 2) - Phi(1 / sqrt 2)


def test_classes_are_paired_by_name_and_not_by_order() -> None:
    a, b = drawn(0, 30, 20), drawn(1, 25, 40)
    turned = paired_intervals({"a": a, "b": b}, {"b": b, "a": a})
    assert turned.pooled == dict.fromkeys(IMAGE_METRICS, (0.0, 0.0))
    assert turned.mean == turned.pooled


def test_a_class_of_one_kind_has_no_paired_interval() -> None:
    lone = {"a": ImageScores(np.ones(3), np.empty(0)), "b": drawn(0, 9, 9)}
    found = paired_intervals(lone, lone)
    assert found.classes["a"] == {}
    assert found.mean == found.classes["b"]
    assert paired_intervals({}, {}).pooled == {}


@pytest.mark.parametrize(
    "others",
    [{}, {"b": drawn(0, 9, 8)}, {"a": drawn(0, 9, 7)}, {"a": drawn(0, 8, 8)}],
)
def test_scores_of_other_images_cannot_be_paired(others: dict) -> None:
    with pytest.raises(MetricError, match=r"\(normal, defect\) images by class.*same data"):
        paired_intervals({"a": drawn(0, 9, 8)}, others)

"""Bootstrap intervals: the metrics of resampled images, worked again by scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from snlad.metrics.bootstrap import IMAGE_METRICS, ImageScores, _numbers, bootstrap_intervals


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

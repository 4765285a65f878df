"""Published rules: each against a slow loop over thresholds that follows its description."""

import numpy as np
import pytest
from scipy import ndimage

from snlad.errors import UsageError
from snlad.metrics import PROTOCOLS, Evaluator, ScoreTable
from snlad.metrics.protocols import find_protocol

Images = list[tuple[np.ndarray, np.ndarray]]


def some_images(seed: int, count: int = 5) -> Images:
    """Maps and masks of defect images; neighbouring regions touch by corners."""
    random = np.random.default_rng(seed)
    images = []
    for index in range(count):
        mask = np.zeros((14, 18), bool)
        mask[1:4, 2 : 4 + index] = mask[4, 1] = mask[9:12, 10:17] = True
        images.append(((random.gamma(2, 1, mask.shape) + 1.5 * mask).astype(np.float32), mask))
    return images


def evaluated(protocol: str, **classes: Images) -> ScoreTable:
    evaluator = Evaluator(protocol)
    for name, images in classes.items():
        for scores, mask in images:
            evaluator.add(name, score=0.0, is_anomalous=True, anomaly_map=scores, mask=mask)
    return evaluator.table()


def points(images: Images, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False-positive rate and mean region overlap strictly above each threshold."""
    rates, overlaps = [], []
    for threshold in thresholds:
        found, false, normal = [], 0, 0
        for scores, mask in images:
            labels, n = ndimage.label(mask, np.ones((3, 3)))
            found += [(scores[labels == i + 1] > threshold).mean() for i in range(n)]
            false += (scores[~mask] > threshold).sum()
            normal += (~mask).sum()
        rates.append(false / normal)
        overlaps.append(np.mean(found))
    return np.array(rates), np.array(overlaps)


def slow_aupro(images: Images, steps: int, *, from_lowest: bool) -> float:
    scores = np.stack([scores for scores, _ in images]).astype(np.float64)
    low, high = scores.min(), scores.max()
    rates, overlaps = points(images, low + (high - low) * np.arange(steps) / steps)
    kept = rates < 0.3
    rates, overlaps = rates[kept], overlaps[kept]
    lowest = rates.min() if from_lowest else 0.0
    rates = (rates - lowest) / (rates.max() - lowest)
    return sum(
        (rates[i] - rates[i + 1]) * (overlaps[i] + overlaps[i + 1]) / 2
        for i in range(len(rates) - 1)
    )


@pytest.mark.parametrize("seed", range(3))
def test_aupro_of_ader_and_dinomaly(seed: int) -> None:
    images = some_images(seed)
    ader = evaluated("ader", a=images).classes["a"].aupro
    assert ader == pytest.approx(slow_aupro(images, 100, from_lowest=True))
    for name in ("dinomaly-any", "dinomaly-half"):
        found = evaluated(name, a=images).classes["a"].aupro
        assert found == pytest.approx(slow_aupro(images, 200, from_lowest=False))
    assert abs(ader - evaluated("snlad-v1", a=images).classes["a"].aupro) > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_aupro_of_rd4ad_is_a_mean_over_defect_images(seed: int) -> None:
    first, second = some_images(seed), some_images(seed + 9, count=2)
    by_image = [slow_aupro([image], 200, from_lowest=False) for image in first + second]
    table = evaluated("rd4ad", a=first, b=second)
    assert table.classes["a"].aupro == pytest.approx(np.mean(by_image[:5]))
    assert table.pooled.aupro == pytest.approx(np.mean(by_image))


@pytest.mark.parametrize("seed", range(3))
def test_pixel_f1_of_ader_is_searched_on_21_thresholds_of_scaled_maps(seed: int) -> None:
    images = some_images(seed)
    scores = np.stack([scores for scores, _ in images]).astype(np.float64)
    masks = np.stack([mask for _, mask in images])
    scaled = (scores - scores.min()) / (scores.max() - scores.min())
    best = max(
        2 * (masks & (scaled > step / 20)).sum() / ((scaled > step / 20).sum() + masks.sum())
        for step in range(21)
    )
    row = evaluated("ader", a=images).classes["a"]
    assert row.pixel_f1_max == pytest.approx(best)
    assert row.pixel_f1_max < evaluated("snlad-v1", a=images).classes["a"].pixel_f1_max


# The trap that our own protocol avoids: one hot pixel moves the whole grid.
def test_an_outlier_ruins_the_grid_and_not_the_exact_number() -> None:
    images = some_images(0)
    hot = [(scores.copy(), mask) for scores, mask in images]
    hot[0][0][13, 0] = 1e4
    ours, theirs = (
        [evaluated(name, a=data).classes["a"].pixel_f1_max for data in (images, hot)]
        for name in ("snlad-v1", "ader")
    )
    assert abs(ours[0] - ours[1]) < 0.01
    assert theirs[0] - theirs[1] > 0.1


def test_auroc_and_ap_are_the_same_in_all_protocols() -> None:
    rows = [evaluated(name, a=some_images(0)).classes["a"] for name in PROTOCOLS]
    assert len({(row.pixel_auroc, row.pixel_ap) for row in rows}) == 1


def test_an_aupro_without_width_is_undefined() -> None:
    flat = [(np.ones((4, 4), np.float32), np.eye(4) > 0)]
    for name in ("ader", "dinomaly-half", "rd4ad"):
        row = evaluated(name, a=flat).classes["a"]
        assert row.aupro is None
        assert row.pixel_auroc == 0.5


def test_each_name_stands_for_its_rules() -> None:
    rules = {p.name: (p.score, p.mask, p.kernel_px, p.by_image) for p in PROTOCOLS.values()}
    assert rules == {
        "snlad-v1": ("top", "nearest", None, False),
        "snlad-v1-max": ("max", "nearest", None, False),
        "snlad-v1-full": ("top", "nearest", None, False),
        "ader": ("max", "half", None, False),
        "dinomaly-any": ("top", "any", 5, False),
        "dinomaly-half": ("top", "half", 5, False),
        "rd4ad": ("max", "half", None, True),
    }
    assert [p.name for p in PROTOCOLS.values() if not p.is_published] == [
        "snlad-v1",
        "snlad-v1-max",
        "snlad-v1-full",
    ]
    with pytest.raises(UsageError, match="'v9' is unknown"):
        find_protocol("v9")

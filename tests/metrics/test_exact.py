"""What the exact pixel store keeps: little memory, nothing of the caller's, one sort shared."""

import tracemalloc

import numpy as np
import pytest

from snlad.metrics.exact import ExactPixels, exact_numbers
from snlad.metrics.protocols import PROTOCOLS

OURS = PROTOCOLS["snlad-v1"]
NONE = np.empty(0, np.float32), np.empty(0, np.int32)


def filled(seed: int, images: int = 3) -> ExactPixels:
    random = np.random.default_rng(seed)
    kept = ExactPixels()
    for _ in range(images):
        negatives = random.integers(0, 6, 60).astype(np.float32)
        positives = random.integers(2, 9, 12).astype(np.float32)
        kept.add(negatives, positives, random.integers(1, 9, 12).astype(np.int32))
    kept.settle()
    return kept


def test_the_pixel_metrics_stand_in_order() -> None:
    numbers = exact_numbers([filled(0)], OURS)
    assert tuple(numbers) == ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro")


def test_a_pixel_costs_four_bytes_and_little_else() -> None:
    pixels = np.random.default_rng(0).random(128 * 96, np.float32)
    kept = ExactPixels()
    tracemalloc.start()
    for _ in range(40):
        kept.add(pixels[pixels >= 0], pixels[:40].copy(), np.full(40, 40, np.int32))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 4.2 * pixels.size * 40


def test_settling_sorts_the_negatives_into_one_part() -> None:
    (negatives,) = filled(0).negatives
    assert negatives.dtype == np.float32
    assert (np.diff(negatives) >= 0).all()


def test_pooling_settled_classes_equals_one_class_of_all_their_pixels() -> None:
    first, second = filled(1), filled(2)
    both = ExactPixels(
        negatives=first.negatives + second.negatives,
        positives=first.positives + second.positives,
        areas=first.areas + second.areas,
    )
    both.settle()
    pooled = exact_numbers([first, second], OURS)
    assert pooled == pytest.approx(exact_numbers([both], OURS), abs=1e-12)


def test_nothing_to_rank_gives_no_numbers() -> None:
    assert exact_numbers([], OURS) == {}
    only_normal = ExactPixels()
    only_normal.add(np.ones(3, np.float32), *NONE)
    assert exact_numbers([only_normal], OURS) == {}
    only_defects = ExactPixels()
    only_defects.add(NONE[0], np.ones(3, np.float32), np.ones(3, np.int32))
    only_defects.settle()
    assert exact_numbers([only_defects], OURS) == {}

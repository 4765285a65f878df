"""What the exact evaluator keeps: little memory, nothing of the caller's, one sort shared."""

import tracemalloc

import numpy as np
import pytest

from snlad.metrics.exact import IMAGE_METRICS, PIXEL_METRICS, ClassScores, exact_numbers
from snlad.metrics.scores import METRICS


def masked_class(seed: int, images: int = 3) -> ClassScores:
    random = np.random.default_rng(seed)
    kept = ClassScores(normal=[0.0], anomalous=[1.0])
    for _ in range(images):
        pixels = random.integers(0, 6, (6, 10)).astype(np.float32)
        kept.add_pixels(pixels, random.random((6, 10)) < 0.2, None)
    kept.settle()
    return kept


def test_image_and_pixel_metrics_together_are_the_seven_in_order() -> None:
    assert (*IMAGE_METRICS, *PIXEL_METRICS) == METRICS
    assert tuple(exact_numbers([masked_class(0)])) == METRICS


def test_a_pixel_costs_four_bytes_and_little_else() -> None:
    shape, images = (128, 96), 40
    mask = np.zeros(shape, bool)
    mask[10:14, 20:30] = True
    pixels = np.random.default_rng(0).random(shape, np.float32)
    kept = ClassScores()
    kept.add_pixels(pixels, mask, None)  # imports scipy before the count starts
    tracemalloc.start()
    for index in range(images):
        kept.add_pixels(pixels, mask if index % 2 else None, None)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 4.2 * pixels.size * images


def test_settling_sorts_in_place_of_the_parts_and_only_where_there_are_masks() -> None:
    kept = masked_class(0)
    (negatives,) = kept.negatives
    assert negatives.dtype == np.float32
    assert (np.diff(negatives) >= 0).all()
    bare = ClassScores()
    bare.add_pixels(np.array([[2, 1]], np.float32), None, None)
    bare.settle()
    assert bare.negatives[0].tolist() == [2, 1]


def test_the_map_of_the_caller_may_be_reused_afterwards() -> None:
    pixels, mask = np.array([[3, 1, 2]], np.float32), np.array([[True, False, False]])
    kept = ClassScores()
    for defect in (mask, None):
        kept.add_pixels(pixels, defect, None)
    pixels[:] = -1
    kept.settle()
    assert kept.positives[0].tolist() == [3]
    assert kept.negatives[0].tolist() == [1, 1, 2, 2, 3]


def test_pixels_split_by_mask_and_roi() -> None:
    kept = ClassScores()
    pixels = np.arange(6, dtype=np.float32).reshape(2, 3)
    mask = np.array([[0, 1, 1], [0, 0, 0]]) > 0
    roi = np.array([[1, 1, 0], [0, 1, 1]]) > 0
    kept.add_pixels(pixels, mask, roi)
    assert kept.negatives[0].tolist() == [0, 4, 5]
    assert kept.positives[0].tolist() == [1]
    assert kept.areas[0].tolist() == [1]


def test_pooling_settled_classes_equals_one_class_of_all_their_images() -> None:
    first, second = masked_class(1), masked_class(2)
    both = ClassScores(
        normal=first.normal + second.normal,
        anomalous=first.anomalous + second.anomalous,
        negatives=first.negatives + second.negatives,
        positives=first.positives + second.positives,
        areas=first.areas + second.areas,
        has_masks=True,
    )
    both.settle()
    assert exact_numbers([first, second]) == pytest.approx(exact_numbers([both]), abs=1e-12)


def test_nothing_to_rank_gives_no_numbers() -> None:
    assert exact_numbers([]) == {}
    assert exact_numbers([ClassScores(normal=[1.0])]) == {}
    assert exact_numbers([ClassScores(anomalous=[1.0])]) == {}

"""Training data: what the caches hold is what would be computed anew, within the budget."""

import numpy as np
import pytest
import torch

from snlad.data.opening import open_dataset
from snlad.engine.hardware import Hardware
from snlad.engine.training_data import TrainingData
from snlad.models.teacher import Teacher
from snlad.types import silent

SIZE = (64, 64)
PICTURE_BYTES = 64 * 64 * 3
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    return Teacher("test_efficientnet", image_size=SIZE)


@pytest.fixture
def paths(shared_data):
    return [sample.path for sample in open_dataset(shared_data).train_normal]


def build(paths, teacher, budget, dtype=torch.float32, progress=silent):
    return TrainingData(paths, SIZE, teacher, Hardware(CPU, dtype, True), budget, progress)


def test_cached_and_fresh_batches_agree(paths, teacher):
    cached, fresh = (build(paths, teacher, budget) for budget in (2**30, 0))
    for indices in ([0], [3, 1, 9], range(10)):
        (images_a, levels_a), (images_b, levels_b) = cached.batch(indices), fresh.batch(indices)
        assert torch.equal(images_a, images_b)
        for a, b in zip(levels_a, levels_b, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_batch_is_what_the_teacher_says_of_its_images(paths, teacher):
    images, levels = build(paths, teacher, 2**30).batch([2, 5])
    assert images.shape == (2, 3, *SIZE)
    assert 0 <= float(images.min()) < float(images.max()) <= 1
    for cached, computed in zip(levels, teacher(images), strict=True):
        torch.testing.assert_close(cached, computed, rtol=1e-4, atol=1e-5)


def test_the_cache_is_filled_once_and_then_the_teacher_rests(paths, teacher, monkeypatch):
    data = build(paths, teacher, 2**30)
    monkeypatch.setattr(teacher, "forward", pytest.fail)
    data.batch([0, 1])


def test_beyond_the_budget_nothing_is_kept(paths, teacher):
    data = build(paths, teacher, PICTURE_BYTES * len(paths) - 1)
    assert data._images is None
    assert data._features is None


def test_pictures_are_kept_where_features_do_not_fit(paths, teacher):
    data = build(paths, teacher, PICTURE_BYTES * len(paths) + 10)
    assert data._images is not None
    assert data._features is None


def test_half_precision_halves_the_features_memory(paths, teacher):
    full = sum(t.nbytes for t in build(paths, teacher, 2**30)._features)
    half = build(paths, teacher, 2**30, torch.bfloat16)
    assert sum(t.nbytes for t in half._features) * 2 == full
    assert half.batch([0])[1][0].dtype == torch.float32


@pytest.mark.parametrize(("spare", "kept"), [(0, torch.bfloat16), (-1, None)])
def test_features_too_large_in_float32_are_kept_in_bfloat16(paths, teacher, spare, kept):
    full = build(paths, teacher, 2**30)
    pictures, features = PICTURE_BYTES * len(paths), sum(t.nbytes for t in full._features)
    data = build(paths, teacher, pictures + features // 2 + spare)
    assert (None if data._features is None else data._features[0].dtype) == kept
    for level, exact in zip(data.batch([4])[1], full.batch([4])[1], strict=True):
        assert level.dtype == torch.float32
        torch.testing.assert_close(level, exact, rtol=2**-8, atol=1e-5)


def test_filling_reports_progress_to_the_end(paths, teacher):
    told = []
    build(paths, teacher, 2**30, progress=lambda *step: told.append(step))
    assert ("reading pictures", 10, 10) in told
    assert told[-1] == ("teacher features", 10, 10)


@pytest.mark.parametrize("budget", [2**30, 0])
def test_what_is_not_inspected_is_blank_for_student_and_teacher(paths, teacher, budget):
    roi = np.zeros(SIZE, bool)
    roi[:, 32:] = True
    rois = [roi if index % 2 else None for index in range(len(paths))]
    hardware = Hardware(CPU, torch.float32, True)
    limited = TrainingData(paths, SIZE, teacher, hardware, budget, silent, rois)
    plain = build(paths, teacher, budget)
    (images, levels), (whole, _) = limited.batch([0, 1]), plain.batch([0, 1])
    assert torch.equal(images[0], whole[0])
    assert torch.equal(images[1, :, :, 32:], whole[1, :, :, 32:])
    assert images[1, :, :, :32].unique().tolist() == pytest.approx([128 / 255])
    for level, computed in zip(levels, teacher(images), strict=True):
        torch.testing.assert_close(level, computed, rtol=1e-4, atol=1e-5)


def test_whole_features_are_those_without_inspection_masks(paths, teacher):
    rois = [np.zeros(SIZE, bool)] * len(paths)
    rois[0] = None
    hardware = Hardware(CPU, torch.float32, True)
    limited = TrainingData(paths, SIZE, teacher, hardware, 2**30, silent, rois)
    plain = build(paths, teacher, 2**30)
    for indices in ([0], [0, 3], [2, 5]):
        for a, b in zip(limited.whole_features(indices), plain.batch(indices)[1], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)

"""Inter-affinity distillation: relations across images, and across networks."""

from math import sqrt

import pytest
import torch

from snlad.losses.inter_affinity import inter_affinity_across_images, inter_affinity_across_networks


def test_across_images_worked_by_hand() -> None:
    # Three images of one location. Teacher: all alike. Student: the third at a right angle, so four
    # of the six ordered pairs differ by 1.
    teacher = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])[:, :, None, None]
    student = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])[:, :, None, None]
    assert inter_affinity_across_images(teacher, student).item() == pytest.approx(sqrt(4 / 6))


def test_across_networks_worked_by_hand() -> None:
    # T = I, S has both columns (1, 0): T'S - T'T differs by 1 in two of four entries.
    teacher = torch.tensor([[[[5.0, 0.0]], [[0.0, 2.0]]]])
    student = torch.tensor([[[[3.0, 1.0]], [[0.0, 0.0]]]])
    assert inter_affinity_across_networks(teacher, student).item() == pytest.approx(sqrt(0.5))


def cosine(a, b) -> float:
    return torch.cosine_similarity(a, b, dim=0).item()


SHAPES = pytest.mark.parametrize(
    "shape", [(3, 2, 2, 2), (3, 6, 2, 2), (2, 9, 2, 2)], ids=["N > C", "N < C < BN", "BN < C"]
)


@SHAPES
def test_across_images_equals_a_double_loop_over_images_and_locations(levels, shape) -> None:
    teacher, student = levels(shape)
    t, s = teacher.flatten(2), student.flatten(2)
    squares, entries = 0.0, 0
    for a in range(shape[0]):
        for b in range(shape[0]):
            if a == b:
                continue
            for i in range(4):
                for j in range(4):
                    difference = cosine(s[a, :, i], s[b, :, j]) - cosine(t[a, :, i], t[b, :, j])
                    squares, entries = squares + difference**2, entries + 1
    expected = sqrt(squares / entries)
    assert inter_affinity_across_images(teacher, student).item() == pytest.approx(expected)


@SHAPES
def test_across_networks_equals_a_double_loop_over_locations(levels, shape) -> None:
    teacher, student = levels(shape)
    expected = 0.0
    for t, s in zip(teacher.flatten(2), student.flatten(2), strict=True):
        squares = 0.0
        for i in range(4):
            for j in range(4):
                squares += (cosine(t[:, i], s[:, j]) - cosine(t[:, i], t[:, j])) ** 2
        expected += sqrt(squares / 16) / shape[0]
    assert inter_affinity_across_networks(teacher, student).item() == pytest.approx(expected)


def test_one_image_has_no_pairs_costs_nothing_and_moves_nothing(levels) -> None:
    teacher, student = levels((1, 4, 3, 2))
    student.requires_grad_()
    value = inter_affinity_across_images(teacher, student)
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().max() == 0


def test_relations_within_an_image_do_not_count_across_images() -> None:
    # The student swaps two orthogonal locations in both images alike: within each image nothing
    # changes, nor across; if it swaps in one image only, every relation across is wrong.
    image = torch.eye(2)[:, None, :]
    swapped = image.flip(2)
    teacher = torch.stack([image, image])
    assert inter_affinity_across_images(teacher, torch.stack([swapped, swapped])).item() < 1e-5
    one_swapped = torch.stack([image, swapped])
    assert inter_affinity_across_images(teacher, one_swapped).item() == pytest.approx(1.0)

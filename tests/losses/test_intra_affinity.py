"""Intra-affinity distillation: the relations within one image."""

from math import sqrt

import pytest
import torch

from snlad.losses.intra_affinity import intra_affinity


def test_worked_by_hand() -> None:
    # Image 1: A_T = I, A_S all ones: two of four entries differ by 1, root mean square sqrt(1/2).
    # Image 2: the student is the teacher turned by a quarter: no difference.
    teacher = torch.tensor([[[[5.0, 0.0]], [[0.0, 2.0]]], [[[1.0, 0.0]], [[0.0, 1.0]]]])
    student = torch.tensor([[[[3.0, 1.0]], [[0.0, 0.0]]], [[[0.0, 1.0]], [[-1.0, 0.0]]]])
    assert intra_affinity(teacher, student).item() == pytest.approx(sqrt(0.5) / 2, abs=1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 3, 2), (2, 8, 3, 2)], ids=["N > C", "N < C"])
def test_equals_a_double_loop_over_locations(levels, shape) -> None:
    teacher, student = levels(shape)
    expected = 0.0
    for t, s in zip(teacher.flatten(2), student.flatten(2), strict=True):
        squares = 0.0
        for i in range(6):
            for j in range(6):
                a_t = torch.cosine_similarity(t[:, i], t[:, j], dim=0)
                a_s = torch.cosine_similarity(s[:, i], s[:, j], dim=0)
                squares += (a_s - a_t).item() ** 2
        expected += sqrt(squares / 36) / 2
    assert intra_affinity(teacher, student).item() == pytest.approx(expected)

"""Inter-affinity distillation: the relations between the student's and the teacher's locations."""

from math import sqrt

import pytest
import torch

from snlad.losses.inter_affinity import inter_affinity
from snlad.losses.intra_affinity import intra_affinity


def test_worked_by_hand() -> None:
    # T = I, S has both columns (1, 0): T'S - T'T differs by 1 in two of four entries.
    teacher = torch.tensor([[[[5.0, 0.0]], [[0.0, 2.0]]]])
    student = torch.tensor([[[[3.0, 1.0]], [[0.0, 0.0]]]])
    assert inter_affinity(teacher, student).item() == pytest.approx(sqrt(0.5))


def cosine(a, b) -> float:
    return torch.cosine_similarity(a, b, dim=0).item()


@pytest.mark.parametrize(
    "shape", [(3, 2, 2, 2), (3, 4, 2, 2), (3, 6, 2, 2)], ids=["N > C", "N = C", "N < C"]
)
def test_equals_a_double_loop_over_locations(levels, shape) -> None:
    teacher, student = levels(shape)
    expected = 0.0
    for t, s in zip(teacher.flatten(2), student.flatten(2), strict=True):
        squares = 0.0
        for i in range(4):
            for j in range(4):
                squares += (cosine(t[:, i], s[:, j]) - cosine(t[:, i], t[:, j])) ** 2
        expected += sqrt(squares / 16) / shape[0]
    assert inter_affinity(teacher, student).item() == pytest.approx(expected)


def test_a_turned_student_pays_although_its_own_relations_are_right() -> None:
    # T = I, S is T turned by a quarter: every entry of T'S - T'T is 1 or -1.
    teacher = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    student = torch.tensor([[[[0.0, 1.0]], [[-1.0, 0.0]]]])
    assert intra_affinity(teacher, student).item() == pytest.approx(0.0, abs=1e-5)
    assert inter_affinity(teacher, student).item() == pytest.approx(1.0)

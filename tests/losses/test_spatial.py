"""Spatial distillation: the direction of each channel's vector over the locations."""

from math import sqrt

import pytest
import torch

from snlad.losses.spatial import spatial_distillation


def test_worked_by_hand() -> None:
    # Channel 1: (3, 4) against (4, 3), cos = 24/25. Channel 2: (1, 0) against (0, 1), cos = 0.
    teacher = torch.tensor([[[[3.0, 4.0]], [[1.0, 0.0]]]])
    student = torch.tensor([[[[4.0, 3.0]], [[0.0, 1.0]]]])
    assert spatial_distillation(teacher, student).item() == pytest.approx((1 / 25 + 1) / 2)


def test_equals_a_loop_over_channels_and_locations(levels) -> None:
    teacher, student = levels()
    total = 0.0
    for t, s in zip(
        teacher.flatten(0, 1).flatten(1), student.flatten(0, 1).flatten(1), strict=True
    ):
        product = sum(a * b for a, b in zip(t.tolist(), s.tolist(), strict=True))
        total += 1 - product / sqrt(sum(a * a for a in t.tolist()) * sum(b * b for b in s.tolist()))
    expected = total / (teacher.shape[0] * teacher.shape[1])
    assert spatial_distillation(teacher, student).item() == pytest.approx(expected)

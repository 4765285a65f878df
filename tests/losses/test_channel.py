"""Channel distillation: the direction of each location's vector."""

from math import sqrt

import pytest
import torch
from torch.nn import functional as F

from snlad.losses.channel import channel_distillation, location_distance

# Locations: equal direction (cos 1), right angle (cos 0), opposite (cos -1).
TEACHER = torch.tensor([[[[2.0, 1.0, 0.0]], [[0.0, 0.0, 3.0]]]])
STUDENT = torch.tensor([[[[5.0, 0.0, 0.0]], [[0.0, 4.0, -1.0]]]])


def test_worked_by_hand_at_each_location() -> None:
    assert location_distance(TEACHER, STUDENT)[0, 0].tolist() == pytest.approx([0.0, 1.0, 2.0])


def test_worked_by_hand_over_locations() -> None:
    assert channel_distillation(TEACHER, STUDENT).item() == pytest.approx(1.0)


def test_equals_a_loop_over_images_and_locations(levels) -> None:
    teacher, student = levels()
    images, channels, height, width = teacher.shape
    total = 0.0
    for b in range(images):
        for y in range(height):
            for x in range(width):
                t = [teacher[b, c, y, x].item() for c in range(channels)]
                s = [student[b, c, y, x].item() for c in range(channels)]
                product = sum(p * q for p, q in zip(t, s, strict=True))
                lengths = sqrt(sum(p * p for p in t)) * sqrt(sum(q * q for q in s))
                assert location_distance(teacher, student)[b, y, x].item() == pytest.approx(
                    1 - product / lengths
                )
                total += 1 - product / lengths
    assert channel_distillation(teacher, student).item() == pytest.approx(
        total / (images * height * width)
    )


def test_is_stfpm_s_half_squared_distance_of_unit_vectors(levels) -> None:
    teacher, student = levels()
    squared = (F.normalize(teacher, dim=1) - F.normalize(student, dim=1)).square().sum(1)
    torch.testing.assert_close(location_distance(teacher, student), 0.5 * squared)


def test_a_dead_location_is_half_away_from_any_direction_and_none_from_another_dead_one() -> None:
    dead = torch.zeros(1, 2, 1, 3)
    assert location_distance(TEACHER, dead)[0, 0].tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert location_distance(dead, dead).abs().max() == 0


def test_small_angles_keep_their_digits_in_float32() -> None:
    # 1 - cos of an angle of 1e-4 is 5e-9, which 1 - cos in float32 rounds to 0.
    teacher = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)
    student = torch.tensor([1.0, 1e-4]).reshape(1, 2, 1, 1)
    assert location_distance(teacher, student).item() == pytest.approx(5e-9, rel=1e-5)

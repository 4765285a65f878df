"""Flattened cosine: one direction for a whole level."""

from math import sqrt

import pytest
import torch

from snlad.losses.flattened import flattened_cosine


def test_worked_by_hand() -> None:
    # Image 1: (1, 0, 0, 0) against (1, 1, 0, 0), cos = 1 / sqrt 2. Image 2: opposite, cos = -1.
    teacher = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 2.0]]).reshape(2, 2, 1, 2)
    student = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, -1.0, 0.0, -1.0]]).reshape(2, 2, 1, 2)
    expected = ((1 - 1 / sqrt(2)) + 2) / 2
    assert flattened_cosine(teacher, student).item() == pytest.approx(expected)


def test_equals_a_loop_over_every_number_of_an_image(levels) -> None:
    teacher, student = levels()
    expected = 0.0
    for t, s in zip(teacher, student, strict=True):
        product = t_square = s_square = 0.0
        for a, b in zip(t.flatten().tolist(), s.flatten().tolist(), strict=True):
            product, t_square, s_square = product + a * b, t_square + a * a, s_square + b * b
        expected += (1 - product / sqrt(t_square * s_square)) / len(teacher)
    assert flattened_cosine(teacher, student).item() == pytest.approx(expected)


def test_a_loud_location_outweighs_a_quiet_one() -> None:
    # The flattened reading differs from the one per location in just this: a wrong quiet location
    # costs next to nothing, a wrong loud one costs nearly everything.
    teacher = torch.tensor([[[[100.0, 1.0]], [[0.0, 0.0]]]])
    quiet_wrong = torch.tensor([[[[100.0, 0.0]], [[0.0, 1.0]]]])
    loud_wrong = torch.tensor([[[[0.0, 1.0]], [[100.0, 0.0]]]])
    assert flattened_cosine(teacher, quiet_wrong) < 1e-3
    assert flattened_cosine(teacher, loud_wrong) > 0.99

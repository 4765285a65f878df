"""Spatial distillation: how each channel spreads over the locations."""

from math import exp, log, sqrt

import pytest
import torch

from snlad.losses.spatial import spatial_cosine, spatial_kl

# Channel 1: the teacher says (3/4, 1/4), the student (1/2, 1/2); channel 2: both say (1/2, 1/2).
TEACHER = torch.tensor([[[[log(3.0), 0.0]], [[1.0, 1.0]]]])
STUDENT = torch.tensor([[[[0.0, 0.0]], [[2.0, 2.0]]]])


def test_kl_worked_by_hand() -> None:
    expected = (0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5)) / 2
    assert spatial_kl(TEACHER, STUDENT).item() == pytest.approx(expected)


def test_kl_runs_from_teacher_to_student_not_back() -> None:
    backwards = (0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25)) / 2
    assert spatial_kl(TEACHER, STUDENT).item() != pytest.approx(backwards)
    assert spatial_kl(STUDENT, TEACHER).item() == pytest.approx(backwards)


def test_temperature_worked_by_hand() -> None:
    # At tau = 1/2 the teacher's channel 1 says (9/10, 1/10), and the whole is divided by four.
    expected = 0.25 * (0.9 * log(0.9 / 0.5) + 0.1 * log(0.1 / 0.5)) / 2
    assert spatial_kl(TEACHER, STUDENT, temperature=0.5).item() == pytest.approx(expected)


def test_cosine_worked_by_hand() -> None:
    # Channel 1: (3, 4) against (4, 3), cos = 24/25. Channel 2: (1, 0) against (0, 1), cos = 0.
    teacher = torch.tensor([[[[3.0, 4.0]], [[1.0, 0.0]]]])
    student = torch.tensor([[[[4.0, 3.0]], [[0.0, 1.0]]]])
    assert spatial_cosine(teacher, student).item() == pytest.approx((1 / 25 + 1) / 2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_kl_equals_a_loop_over_channels_and_locations(levels, temperature: float) -> None:
    teacher, student = levels()
    total = 0.0
    for t, s in zip(
        teacher.flatten(0, 1).flatten(1), student.flatten(0, 1).flatten(1), strict=True
    ):
        p, q = ([exp(x / temperature) for x in channel.tolist()] for channel in (t, s))
        for a, b in zip(p, q, strict=True):
            total += a / sum(p) * log((a / sum(p)) / (b / sum(q)))
    expected = temperature**2 * total / (teacher.shape[0] * teacher.shape[1])
    assert spatial_kl(teacher, student, temperature).item() == pytest.approx(expected)


def test_cosine_equals_a_loop_over_channels_and_locations(levels) -> None:
    teacher, student = levels()
    total = 0.0
    for t, s in zip(
        teacher.flatten(0, 1).flatten(1), student.flatten(0, 1).flatten(1), strict=True
    ):
        product = sum(a * b for a, b in zip(t.tolist(), s.tolist(), strict=True))
        total += 1 - product / sqrt(sum(a * a for a in t.tolist()) * sum(b * b for b in s.tolist()))
    expected = total / (teacher.shape[0] * teacher.shape[1])
    assert spatial_cosine(teacher, student).item() == pytest.approx(expected)


def test_kl_ignores_what_a_channel_adds_everywhere(levels) -> None:
    teacher, student = levels()
    offset = torch.arange(4.0, dtype=torch.float64)[None, :, None, None]
    torch.testing.assert_close(
        spatial_kl(teacher + offset, student - offset), spatial_kl(teacher, student)
    )


def test_kl_stays_finite_for_large_features() -> None:
    assert spatial_kl(1e4 * TEACHER, -1e4 * STUDENT - 1e4).isfinite()

"""Affinity difference map: root mean square row of A_S - A_T, upsampled, summed over levels."""

from math import sqrt

import pytest
import torch
from torch.nn import functional as F

from snlad.maps.affinity_difference import affinity_difference_map


def random_pyramids():
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 4, 3), (2, 5, 2, 2)]
    return tuple(
        [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
        for _ in range(2)
    )


def test_worked_by_hand() -> None:
    # Teacher: three equal vectors, A_T all ones. Student: the third at a right angle, so rows 1 and
    # 2 differ in one of three entries, row 3 in two.
    teacher = torch.tensor([[[[1.0, 1.0, 1.0]], [[0.0, 0.0, 0.0]]]])
    student = torch.tensor([[[[1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]])
    result = affinity_difference_map([teacher], [student], (1, 3))
    assert result.shape == (1, 1, 1, 3)
    expected = [sqrt(1 / 3), sqrt(1 / 3), sqrt(2 / 3)]
    assert result[0, 0, 0].tolist() == pytest.approx(expected)


def test_levels_are_added_and_corners_aligned_by_hand() -> None:
    teacher = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]])
    student = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    single = affinity_difference_map([teacher], [student], (1, 4))
    assert single[0, 0, 0].tolist() == pytest.approx([sqrt(1 / 2)] * 4)
    twice = affinity_difference_map([teacher, teacher], [student, student], (1, 4))
    torch.testing.assert_close(twice, 2 * single)


@pytest.mark.parametrize("align_corners", [True, False])
def test_equals_a_double_loop_over_locations(align_corners: bool) -> None:
    teacher, student = random_pyramids()
    expected = torch.zeros(2, 1, 6, 5, dtype=torch.float64)
    for t, s in zip(teacher, student, strict=True):
        rows = torch.empty(2, t[0, 0].numel(), dtype=torch.float64)
        for b in range(2):
            unit_t, unit_s = (F.normalize(x[b].flatten(1), dim=0) for x in (t, s))
            for i in range(rows.shape[1]):
                squares = 0.0
                for j in range(rows.shape[1]):
                    a_s, a_t = unit_s[:, i] @ unit_s[:, j], unit_t[:, i] @ unit_t[:, j]
                    squares += (a_s - a_t).item() ** 2
                rows[b, i] = sqrt(squares / rows.shape[1])
        small = rows.reshape(2, 1, *t.shape[2:])
        expected += F.interpolate(small, (6, 5), mode="bilinear", align_corners=align_corners)
    result = affinity_difference_map(teacher, student, (6, 5), align_corners=align_corners)
    torch.testing.assert_close(result, expected)


def test_gradients_are_exact() -> None:
    teacher, student = random_pyramids()
    fine_t, fine_s = (x[0][:1, :, :2, :2].requires_grad_() for x in (teacher, student))
    assert torch.autograd.gradcheck(
        lambda t, s: affinity_difference_map([t], [s], (3, 3)), (fine_t, fine_s)
    )


def test_an_odd_location_stands_out_and_a_common_turn_of_all_features_does_not() -> None:
    teacher = torch.ones(1, 4, 3, 3)
    student = teacher.clone()
    student[0, 0, 1, 1] = -3.0
    result = affinity_difference_map([teacher], [student], (3, 3))[0, 0]
    assert result.argmax() == 4
    turned = torch.linalg.qr(torch.arange(16.0).reshape(4, 4) + torch.eye(4)).Q
    everywhere = torch.einsum("dc,bchw->bdhw", turned, teacher)
    assert affinity_difference_map([teacher], [everywhere], (3, 3)).max() < 1e-3


def test_equal_features_give_next_to_nothing_and_a_finite_gradient() -> None:
    teacher = random_pyramids()[0]
    student = [level.clone().requires_grad_() for level in teacher]
    result = affinity_difference_map(teacher, student, (4, 4))
    assert result.max() < 1e-5
    result.sum().backward()
    assert all(level.grad.isfinite().all() for level in student)


def test_a_batch_is_its_images_and_autocast_changes_nothing() -> None:
    teacher, student = ([level.float() for level in pyramid] for pyramid in random_pyramids())
    result = affinity_difference_map(teacher, student, (5, 5))
    second = affinity_difference_map([t[1:] for t in teacher], [s[1:] for s in student], (5, 5))
    torch.testing.assert_close(second, result[1:])
    with torch.autocast("cpu", torch.bfloat16):
        again = affinity_difference_map(teacher, student, (5, 5))
    torch.testing.assert_close(again, result, rtol=0, atol=0)

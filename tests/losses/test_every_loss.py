"""What holds for every loss of a level."""

import pytest
import torch

from snlad.losses.channel import channel_distillation
from snlad.losses.flattened import flattened_cosine
from snlad.losses.inter_affinity import inter_affinity
from snlad.losses.intra_affinity import intra_affinity
from snlad.losses.spatial import spatial_distillation

LOSSES = [
    flattened_cosine,
    channel_distillation,
    spatial_distillation,
    intra_affinity,
    inter_affinity,
]
every_loss = pytest.mark.parametrize("loss", LOSSES)


@every_loss
@pytest.mark.parametrize("shape", [(2, 2, 3, 1), (2, 3, 2, 1)], ids=["N > C", "N < C"])
def test_gradients_are_exact_for_student_and_teacher(loss, levels, shape) -> None:
    teacher, student = levels(shape)
    inputs = (teacher.requires_grad_(), student.requires_grad_())
    assert torch.autograd.gradcheck(loss, inputs)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_features_cost_nothing_and_give_a_vanishing_gradient(loss, levels, dtype) -> None:
    teacher, _ = levels()
    student = teacher.to(dtype).requires_grad_()
    value = loss(teacher.to(dtype), student)
    value.backward()
    assert 0 <= value.item() < 2e-6
    assert student.grad.abs().max() < 1e-5


@every_loss
@pytest.mark.parametrize("shape", [(3, 4, 3, 2), (3, 24, 3, 2)], ids=["N > C", "N < C"])
def test_dead_student_features_give_a_finite_gradient(loss, levels, shape) -> None:
    teacher, student = levels(shape)
    student = (student * 0).requires_grad_()
    loss(teacher, student).backward()
    assert student.grad.isfinite().all()


@every_loss
def test_the_order_of_locations_does_not_matter(loss, levels) -> None:
    teacher, student = levels((3, 4, 3, 2))
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    shuffled = (x.flatten(2)[:, :, order].unflatten(2, (2, 3)) for x in (teacher, student))
    torch.testing.assert_close(loss(*shuffled), loss(teacher, student))


@every_loss
def test_the_order_of_images_and_so_their_class_does_not_matter(loss, levels) -> None:
    teacher, student = levels()
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(loss(teacher[order], student[order]), loss(teacher, student))


@every_loss
def test_the_scale_of_features_does_not_matter(loss, levels) -> None:
    teacher, student = levels()
    torch.testing.assert_close(loss(7 * teacher, student / 5), loss(teacher, student))


@every_loss
def test_a_batch_costs_the_mean_of_its_images(loss, levels) -> None:
    teacher, student = levels()
    singles = [loss(t[None], s[None]) for t, s in zip(teacher, student, strict=True)]
    torch.testing.assert_close(loss(teacher, student), torch.stack(singles).mean())


@every_loss
def test_computed_in_float32_from_half_precision_features(loss, levels) -> None:
    teacher, student = (x.to(torch.bfloat16) for x in levels())
    value = loss(teacher, student)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(teacher.float(), student.float()), rtol=0, atol=0)


@every_loss
def test_autocast_changes_nothing(loss, levels) -> None:
    teacher, student = (x.float() for x in levels())
    expected = loss(teacher, student)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(loss(teacher, student), expected, rtol=0, atol=0)


@every_loss
def test_float64_is_not_cast_down_even_beside_float32(loss, levels) -> None:
    teacher, student = levels(difference=1e-3)
    assert loss(teacher, student).dtype == torch.float64
    assert loss(teacher.float(), student).dtype == torch.float64

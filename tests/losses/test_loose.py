"""Loose loss: the values stay, the gradients of easy locations shrink."""

import dataclasses

import pytest
import torch

from snlad.losses.channel import channel_distillation, location_distance
from snlad.losses.loose import loosen
from snlad.losses.structural import structural_loss


def gradients(teacher, student, easy_share, loss=channel_distillation):
    student = student.clone().requires_grad_()
    loss(teacher, loosen(teacher, student, easy_share)).backward()
    return student.grad


@pytest.mark.parametrize(("share", "easy"), [(0.0, 0), (0.5, 9), (0.9, 16), (0.999, 17)])
def test_the_easiest_locations_keep_a_tenth_of_their_gradient(levels, share, easy):
    teacher, student = levels()  # 18 locations
    ratio = gradients(teacher, student, share) / gradients(teacher, student, 0.0)
    order = location_distance(teacher, student).flatten().argsort()
    by_location = ratio.permute(0, 2, 3, 1).flatten(0, 2)[order]
    expected = torch.ones(18, 1, dtype=torch.float64)
    expected[:easy] = 0.1
    torch.testing.assert_close(by_location, expected.expand_as(by_location))


def test_the_values_do_not_change(levels):
    teacher, student = levels()
    torch.testing.assert_close(loosen(teacher, student, 0.9), student, rtol=0, atol=1e-15)


def test_the_structural_loss_is_loose_in_every_term_and_level(levels, nothing):
    pairs = [levels(), levels((3, 6, 2, 2))]
    tight = dataclasses.replace(nothing, channel=0.3, intra=0.2)

    def loss(teacher, student):
        return torch.stack(list(structural_loss([teacher], [student], tight).values())).sum()

    leaves = [student.clone().requires_grad_() for _, student in pairs]
    loose = dataclasses.replace(tight, easy_share=0.5)
    terms = structural_loss([teacher for teacher, _ in pairs], leaves, loose)
    assert terms.keys() == {"channel", "intra"}
    torch.stack(list(terms.values())).sum().backward()
    for leaf, (teacher, student) in zip(leaves, pairs, strict=True):
        torch.testing.assert_close(leaf.grad, gradients(teacher, student, 0.5, loss))

"""The reconstruction student: levels of one stride, rebuilt through a bottleneck."""

from copy import copy

import pytest
import torch
from torch import nn

from snlad.errors import ConfigError
from snlad.models.reconstruction import LinearAttention, ReconstructionStudent

VIT = "vit_tiny_patch16_224"


@pytest.fixture
def vit(build_teacher):
    return build_teacher(VIT)


def test_shapes_equal_the_teachers_and_gradients_reach_every_parameter(vit, images):
    student = ReconstructionStudent(vit, dropout=0.2).train()
    targets = vit(images)
    levels = student(images, targets)
    assert [x.shape for x in levels] == [t.shape for t in targets]
    sum(x.square().mean() for x in levels).backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in student.parameters())


def test_the_first_block_answers_for_the_deepest_level(vit, images):
    student = ReconstructionStudent(vit).eval()
    before = student(images, vit(images))
    with torch.no_grad():
        student.decoder[-1].mlp.fc2.bias.add_(1.0)
    after = student(images, vit(images))
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [True, False, False]


def test_dropout_acts_in_training_only(vit, images):
    student = ReconstructionStudent(vit, dropout=0.5)
    targets = vit(images)
    student.eval()
    first, second = (student(images, targets)[0] for _ in range(2))
    torch.testing.assert_close(first, second)
    student.train()
    first, second = (student(images, targets)[0] for _ in range(2))
    assert not torch.equal(first, second)


def test_cram_receives_the_embedding_as_a_map(vit, images):
    class Seen(nn.Module):
        def forward(self, x):
            self.shape = x.shape
            return torch.zeros_like(x)

    seen = Seen()
    levels = ReconstructionStudent(vit, cram=seen).eval()(images, vit(images))
    assert seen.shape == (2, 192, 4, 4)
    first = levels[-1].flatten(2)
    torch.testing.assert_close(first, first[..., :1].expand_as(first))  # nothing is left to tell


def test_attention_is_a_mean_with_weights_that_sum_to_one():
    torch.manual_seed(0)
    attention = LinearAttention(128).double()
    x = torch.randn(2, 5, 128, dtype=torch.float64)
    q, k, v = attention.qkv(x).chunk(3, dim=-1)
    expected = []
    for head in range(2):
        part = slice(64 * head, 64 * (head + 1))
        a = (nn.functional.elu(q[..., part]) + 1) @ (nn.functional.elu(k[..., part]) + 1).mT
        expected.append((a / a.sum(dim=-1, keepdim=True)) @ v[..., part])
    torch.testing.assert_close(attention(x), attention.out(torch.cat(expected, dim=-1)))


@pytest.mark.parametrize(("what", "values"), [("channels", (3, 4)), ("strides", (8, 16))])
def test_levels_of_different_shapes_are_refused(vit, what, values):
    other = copy(vit)
    setattr(other, what, values)
    listed = ", ".join(map(str, values))
    with pytest.raises(ConfigError, match=f"equal {what}.* has {listed}: choose 'reverse'"):
        ReconstructionStudent(other)


@pytest.mark.parametrize("width", [3, 64, 200, 400])
def test_attention_takes_any_width(width):
    x = torch.rand(2, 5, width)
    assert LinearAttention(width)(x).shape == x.shape


def test_attention_survives_keys_that_vanish_in_lower_precision():
    attention = LinearAttention(64)
    with torch.no_grad():
        attention.qkv.bias.fill_(-30.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert attention(torch.rand(2, 5, 64)).isfinite().all()

"""Structural distillation: which terms are computed, how they are weighed and summed."""

import dataclasses

import pytest
import torch

from snlad.config import make_config
from snlad.errors import TrainingError
from snlad.losses import structural
from snlad.losses.channel import channel_distillation
from snlad.losses.flattened import flattened_cosine
from snlad.losses.inter_affinity import inter_affinity
from snlad.losses.intra_affinity import intra_affinity
from snlad.losses.spatial import spatial_distillation
from snlad.losses.structural import LossWeights, structural_loss

TERMS = [
    ("flattened", flattened_cosine),
    ("channel", channel_distillation),
    ("spatial", spatial_distillation),
    ("intra", intra_affinity),
    ("inter", inter_affinity),
]


@pytest.fixture
def pyramids(levels):
    fine, coarse = levels((2, 3, 4, 4)), levels((2, 6, 2, 2))
    return [fine[0], coarse[0]], [fine[1], coarse[1]]


@pytest.mark.parametrize(("name", "loss"), TERMS)
def test_a_term_is_its_weight_times_its_loss_summed_over_levels(
    pyramids, name, loss, nothing
) -> None:
    terms = structural_loss(*pyramids, dataclasses.replace(nothing, **{name: 0.25}))
    expected = 0.25 * sum(loss(t, s) for t, s in zip(*pyramids, strict=True))
    assert list(terms) == [name]
    torch.testing.assert_close(terms[name], expected)


def test_all_terms_stand_side_by_side_and_reach_every_level(pyramids, nothing) -> None:
    weights = dataclasses.replace(
        nothing, flattened=1.0, channel=1.0, spatial=1.0, intra=1.0, inter=1.0
    )
    student = [level.requires_grad_() for level in pyramids[1]]
    terms = structural_loss(pyramids[0], student, weights)
    assert list(terms) == ["flattened", "channel", "spatial", "intra", "inter"]
    torch.stack(list(terms.values())).sum().backward()
    assert all(level.grad.abs().sum() > 0 for level in student)


def test_a_term_of_weight_zero_is_never_computed(pyramids, monkeypatch, nothing) -> None:
    def explode(*_: object) -> None:
        raise AssertionError("computed although its weight is 0")

    monkeypatch.setattr(structural, "intra_affinity", explode)
    monkeypatch.setattr(structural, "inter_affinity", explode)
    assert list(structural_loss(*pyramids, dataclasses.replace(nothing, channel=1.0))) == [
        "channel"
    ]


def test_features_of_low_precision_give_terms_in_float32(pyramids, nothing) -> None:
    teacher, student = ([level.to(torch.bfloat16) for level in pyramid] for pyramid in pyramids)
    weights = dataclasses.replace(nothing, channel=1.0, intra=1.0)
    assert {term.dtype for term in structural_loss(teacher, student, weights).values()} == {
        torch.float32
    }


@pytest.mark.parametrize("fault", ["level missing", "wrong shape"])
def test_a_student_of_other_shapes_is_refused_with_both_shapes(
    pyramids, fault: str, nothing
) -> None:
    teacher, student = pyramids
    student = student[:1] if fault == "level missing" else [student[0], student[1][:, :1]]
    with pytest.raises(TrainingError, match=r"\(2, 3, 4, 4\).*\(2, 6, 2, 2\).*in its shape"):
        structural_loss(teacher, student, dataclasses.replace(nothing, channel=1.0))


# A default here once disagreed with the configuration's: every value is named by who asks.
@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(LossWeights)])
def test_no_weight_has_a_default(field: str, nothing) -> None:
    given = dataclasses.asdict(nothing)
    del given[field]
    with pytest.raises(TypeError, match=field):
        LossWeights(**given)


@pytest.mark.parametrize("method", ["fd", "rd", "fd-snl", "rd-snl"])
def test_the_configuration_names_every_weight(method: str) -> None:
    settings = make_config(method).loss.model_dump()
    assert dataclasses.asdict(LossWeights(**settings)) == settings


def test_weights_cannot_change_after_they_were_given(nothing) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        nothing.channel = 1.0  # type: ignore[misc]

"""Building: each switch of the configuration reaches the part that it names, and no other."""

import pytest
import torch
from torch import nn

from snlad.build import build_detector, build_loss, build_maps, build_student, build_teacher
from snlad.config import make_config
from snlad.errors import ConfigError
from snlad.models.central import CentralMaps
from snlad.models.cram import Cram
from snlad.models.forward import ForwardStudent
from snlad.models.reverse import ReverseStudent

CRAM = {"reading": "residual", "centers": 4}
METHODS = ("fd", "rd", "fd-snl", "rd-snl")


@pytest.fixture
def make(tiny_settings):
    return lambda method="rd-snl", **over: make_config(method, **{**tiny_settings, **over})


def crams(module: nn.Module) -> list[Cram]:
    return [part for part in module.modules() if isinstance(part, Cram)]


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("fd", ForwardStudent),
        ("fd-snl", ForwardStudent),
        ("rd", ReverseStudent),
        ("rd-snl", ReverseStudent),
    ],
)
def test_a_method_is_its_student_without_cram(make, method, kind):
    student = build_student(config := make(method), build_teacher(config))
    assert type(student) is kind
    assert not crams(student)


@pytest.mark.parametrize(
    ("method", "placement", "places"),
    [
        ("fd-snl", "auto", "levels"),
        ("fd-snl", "levels", "levels"),
        ("rd-snl", "auto", "bottleneck"),
        ("rd-snl", "bottleneck", "bottleneck"),
        ("rd-snl", "levels", "levels"),
        ("rd-snl", "both", "bottleneck and levels"),
    ],
)
def test_cram_stands_where_it_is_placed(make, method, placement, places):
    config = make(method, cram={**CRAM, "placement": placement})
    teacher = build_teacher(config)
    found = [cram.centers.shape[1] for cram in crams(build_student(config, teacher))]
    expected = [2 * teacher.channels[-1]] if "bottleneck" in places else []
    expected += teacher.channels if "levels" in places else []
    assert found == expected


@pytest.mark.parametrize("placement", ["bottleneck", "both"])
def test_a_forward_student_has_no_bottleneck_to_place_cram_in(make, placement):
    with pytest.raises(ConfigError, match="choose 'levels'"):
        make("fd-snl", cram={"placement": placement})


@pytest.mark.parametrize("centers", [0, 8])
def test_each_map_can_stand_alone(make, centers):
    for name in ("feature", "affinity"):
        chosen = {"feature": False, "affinity": False, name: True}
        maps = build_maps(make("rd", maps={"centers": centers, **chosen}), (5, 6))
        assert list(maps.names if centers else maps) == [name]
    alone = make("rd", maps={"centers": 8, "center_distance": True, "feature": False})
    assert list(build_maps(alone, (5, 6)).names) == ["center"]
    with pytest.raises(ConfigError, match="no map is left"):
        make("rd", maps={"feature": False})


def test_the_embedding_is_as_wide_as_asked(make):
    config = make("rd-snl", student={"bottleneck_channels": 6}, cram=CRAM)
    teacher = build_teacher(config)
    student = build_student(config, teacher)
    features = teacher(torch.rand(2, 3, 64, 64))
    assert student.embed(features).shape[1] == 6
    (cram,) = crams(student)
    assert cram.centers.shape == (4, 6)


def test_bottleneck_and_decoder_are_as_deep_as_asked(make):
    for blocks, expected in ((None, 2), (1, 1), (3, 3), ("auto", 1)):
        config = make("rd", student={"blocks": blocks})
        student = build_student(config, build_teacher(config))
        assert {len(stage) for stage in (student.bottleneck, *student.decoder)} == {expected}


@pytest.mark.parametrize("method", ["fd-snl", "rd-snl"])
def test_cram_fits_both_students(make, method):
    config = make(method, cram=CRAM)
    teacher = build_teacher(config)
    student = build_student(config, teacher)
    images = torch.rand(2, 3, 64, 64)
    levels = teacher(images)
    shapes = [level.shape for level in student(images, levels)]
    assert shapes == [level.shape for level in levels]
    assert {len(cram.centers) for cram in crams(student)} == {4}


@pytest.mark.parametrize("term", ["flattened", "channel", "spatial", "intra", "inter"])
def test_each_loss_term_can_stand_alone(make, term):
    weights = dict.fromkeys(("flattened", "channel", "spatial", "intra", "inter"), 0.0)
    loss = build_loss(make(loss={**weights, term: 2.0}))
    levels = [torch.rand(2, 5, 4, 4), torch.rand(2, 6, 2, 2)]
    others = [torch.rand_like(level) for level in levels]
    assert list(loss(levels, others)) == [term]


def test_a_weight_scales_its_term(make):
    levels, others = [torch.rand(2, 5, 4, 4)], [torch.rand(2, 5, 4, 4)]
    once, thrice = (build_loss(make(loss={"channel": w}))(levels, others) for w in (1.0, 3.0))
    torch.testing.assert_close(thrice["channel"], 3 * once["channel"])


@pytest.mark.parametrize("method", METHODS)
def test_central_maps_belong_to_snl(make, method):
    maps = build_maps(make(method), (5, 6))
    assert isinstance(maps, CentralMaps) == method.endswith("-snl")
    if isinstance(maps, CentralMaps):
        assert maps.names == ("feature", "center")
        assert maps.coarse.points.shape == (4096, 11)


def test_levels_of_the_feature_map_are_summed_or_multiplied(make):
    levels = [torch.rand(1, 5, 8, 8), torch.rand(1, 6, 4, 4)]
    others = [torch.rand_like(level) for level in levels]
    summed, product = (
        build_maps(make("rd", maps={"levels": how}), (5, 6))["feature"](levels, others, (8, 8))
        for how in ("sum", "product")
    )
    assert float((summed - product).abs().max()) > 0.01


def test_aligned_corners_reach_the_maps(make):
    levels, others = [torch.rand(1, 5, 4, 4)], [torch.rand(1, 5, 4, 4)]
    aligned, other = (
        build_maps(make("rd", maps={"align_corners": corners, "affinity": True}), (5,))
        for corners in (True, False)
    )
    for name in ("feature", "affinity"):
        difference = aligned[name](levels, others, (16, 16)) - other[name](levels, others, (16, 16))
        assert float(difference.abs().max()) > 1e-4


@pytest.mark.parametrize("score", ["top", "max"])
@pytest.mark.parametrize("combine", ["sum", "scaled-sum"])
def test_inference_settings_reach_the_detector(make, combine, score):
    detector = build_detector(
        make("rd", maps={"combine": combine, "score": score, "sigma_px": 2.0})
    )
    assert (detector.how, detector.score, detector.sigma_px) == (combine, score, 2.0)


def test_own_parts_replace_ours(make):
    def own_map(teacher, student, size):
        raise NotImplementedError

    student = nn.Identity()
    detector = build_detector(make(), student, {"mine": own_map})
    assert detector.student is student
    assert detector.maps == {"mine": own_map}


def test_dropout_reaches_the_bottleneck(make):
    config = make("rd", student={"dropout": 0.25})
    student = build_student(config, build_teacher(config))
    assert student.dropout.p == 0.25

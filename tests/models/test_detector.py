"""The detector: maps by name, one overall map, a scale from normal pictures, scores in a roi."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snlad.models.detector import Detector
from snlad.models.teacher import Teacher
from snlad.types import MAP_SIZE


class Echo(nn.Module):
    """A student that returns the teacher's levels, shifted by a learnable amount."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self, images: Tensor, teacher: list[Tensor]) -> list[Tensor]:
        return [level + self.shift for level in teacher]


def mean_error(teacher: list[Tensor], student: list[Tensor], size: tuple[int, int]) -> Tensor:
    error = (teacher[0] - student[0]).abs().mean(dim=1, keepdim=True)
    return F.interpolate(error, size=size, mode="nearest")


def brightness(teacher: list[Tensor], student: list[Tensor], size: tuple[int, int]) -> Tensor:
    return F.interpolate(teacher[0].mean(dim=1, keepdim=True), size=size, mode="nearest")


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def build(maps, how="sum", score="top", sigma_px=0.0, shift=2.0) -> Detector:
    torch.manual_seed(0)
    teacher = Teacher("test_efficientnet", image_size=(64, 64))
    return Detector(teacher, Echo(shift), maps, how=how, score=score, sigma_px=sigma_px).eval()


def raw(detector: Detector, images: Tensor) -> dict[str, Tensor]:
    return detector.raw_maps(*detector.features(images))


def test_every_map_comes_by_name_at_protocol_size(images):
    maps = build({"error": mean_error, "light": brightness})(images)
    assert list(maps) == ["error", "light", "overall"]
    assert {tuple(m.shape) for m in maps.values()} == {(3, 1, *MAP_SIZE)}


def test_one_map_alone_is_the_overall_map(images):
    maps = build({"error": mean_error})(images)
    torch.testing.assert_close(maps["overall"], maps["error"])
    torch.testing.assert_close(maps["error"], torch.full_like(maps["error"], 2.0))


def test_maps_are_summed_as_they_are(images):
    maps = build({"error": mean_error, "light": brightness})(images)
    torch.testing.assert_close(maps["overall"], maps["error"] + maps["light"])


def test_a_scaled_map_has_mean_0_and_spread_1_on_the_pictures_that_fitted_it(images):
    detector = build({"light": brightness}, how="scaled-sum")
    detector.fit_scale([(raw(detector, images), None)])
    overall = detector(images)["overall"].double()
    assert float(overall.mean()) == pytest.approx(0, abs=1e-4)
    assert float(overall.std(correction=0)) == pytest.approx(1, rel=1e-4)


def test_the_scale_does_not_depend_on_how_pictures_are_batched(images):
    whole, parts = (build({"light": brightness}, how="scaled-sum") for _ in range(2))
    whole.fit_scale([(raw(whole, images), None)])
    parts.fit_scale((raw(parts, one[None]), None) for one in images)
    torch.testing.assert_close(whole.map_mean, parts.map_mean)
    torch.testing.assert_close(whole.map_spread, parts.map_spread)


def test_pixels_outside_a_roi_do_not_set_the_scale(images):
    detector = build({"light": brightness}, how="scaled-sum")
    valid = torch.zeros(3, 1, *MAP_SIZE, dtype=torch.bool)
    valid[..., :64, :] = True
    detector.fit_scale([(raw(detector, images), valid)])
    inside = raw(detector, images)["light"][valid].double()
    assert float(detector.map_mean) == pytest.approx(float(inside.mean()), rel=1e-5)
    assert float(detector.map_spread) == pytest.approx(float(inside.std(correction=0)), rel=1e-4)


def test_a_constant_map_does_not_divide_by_zero(images):
    detector = build({"error": mean_error}, how="scaled-sum")
    detector.fit_scale([(raw(detector, images), None)])
    assert torch.isfinite(detector(images)["overall"]).all()


def test_the_overall_map_is_smoothed_and_the_raw_maps_are_not(images):
    plain, smooth = build({"light": brightness}), build({"light": brightness}, sigma_px=4.0)
    torch.testing.assert_close(plain(images)["light"], smooth(images)["light"])
    rough = plain(images)["overall"].diff(dim=-1).abs().mean()
    assert smooth(images)["overall"].diff(dim=-1).abs().mean() < rough


def test_the_score_is_the_top_hundredth_or_the_maximum(images):
    top, highest = build({"light": brightness}), build({"light": brightness}, score="max")
    overall = top(images)["overall"]
    ordered = overall.flatten(1).sort(descending=True).values
    torch.testing.assert_close(top.image_score(overall), ordered[:, :655].mean(dim=1))
    torch.testing.assert_close(highest.image_score(overall), ordered[:, 0])


def test_scale_and_student_travel_in_the_state(images):
    source, target = (build({"light": brightness}, how="scaled-sum", shift=s) for s in (1.0, 3.0))
    source.fit_scale([(raw(source, images), None)])
    target.load_state_dict(source.state_dict())
    torch.testing.assert_close(target(images)["overall"], source(images)["overall"])


def test_only_the_student_learns(images):
    detector = build({"error": mean_error}).train()
    detector(images)["overall"].sum().backward()
    learned = [name for name, p in detector.named_parameters() if p.grad is not None]
    assert learned == ["student.shift"]
    assert not detector.teacher.training


def test_an_input_of_another_shape_gives_maps_of_the_same_size():
    torch.manual_seed(0)
    teacher = Teacher("test_efficientnet", image_size=(64, 96))
    detector = Detector(
        teacher, Echo(1.0), {"light": brightness}, how="sum", score="top", sigma_px=4.0
    )
    with torch.no_grad():
        maps = detector(torch.rand(1, 3, 64, 96))
    assert np.prod(maps["overall"].shape) == np.prod(MAP_SIZE)

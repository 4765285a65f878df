"""Overall map and image score: how maps are combined, which pixels make the score."""

import pytest
import torch

from snlad.maps.affinity_difference import affinity_difference_map
from snlad.maps.feature_distance import feature_distance_map
from snlad.maps.overall import combine, image_score
from snlad.maps.smoothing import gaussian_smooth

MAPS = {
    "feature": torch.tensor([[[[1.0, 2.0]]]]),
    "affinity": torch.tensor([[[[10.0, 30.0]]]]),
}
MEAN, SPREAD = {"feature": 1.0, "affinity": 20.0}, {"feature": 0.5, "affinity": 5.0}


@pytest.mark.parametrize(
    ("how", "expected"), [("sum", [11.0, 32.0]), ("scaled-sum", [0.0 - 2.0, 2.0 + 2.0])]
)
def test_combined_by_hand(how, expected) -> None:
    assert combine(MAPS, MEAN, SPREAD, how)[0, 0, 0].tolist() == pytest.approx(expected)


def test_mean_and_spread_may_be_buffers_and_are_looked_up_by_name_not_by_order() -> None:
    mean = {name: torch.tensor(value) for name, value in reversed(MEAN.items())}
    spread = {name: torch.tensor(value) for name, value in reversed(SPREAD.items())}
    assert combine(MAPS, mean, spread, "scaled-sum")[0, 0, 0].tolist() == pytest.approx([-2, 4])


@pytest.mark.parametrize("how", ["sum", "scaled-sum"])
def test_gradients_are_exact(how) -> None:
    maps = [m.double().requires_grad_() for m in MAPS.values()]
    assert torch.autograd.gradcheck(
        lambda f, a: combine({"feature": f, "affinity": a}, MEAN, SPREAD, how), maps
    )


def ramp(*size: int) -> torch.Tensor:
    """Maps that count their pixels from 0, in shuffled places."""
    pixels = torch.arange(float(size[-1] * size[-2]))
    generator = torch.Generator().manual_seed(0)
    return pixels[torch.randperm(len(pixels), generator=generator)].reshape(1, 1, *size[-2:])


def test_score_is_the_mean_of_the_highest_percent_by_hand() -> None:
    # 300 pixels 0..299: the highest three are 297, 298, 299.
    assert image_score(ramp(15, 20)).item() == pytest.approx(298)


@pytest.mark.parametrize(("height", "top"), [(1, 1), (19, 1), (20, 2), (29, 2), (30, 3)], ids=str)
def test_the_number_of_pixels_is_rounded_down_but_never_to_none(height: int, top: int) -> None:
    overall = ramp(height, 10)
    expected = overall.flatten().sort().values[-top:].mean()
    assert image_score(overall).item() == pytest.approx(expected.item())


def test_score_by_maximum_and_by_another_share() -> None:
    overall = ramp(10, 10)
    assert image_score(overall, "max").item() == 99
    assert image_score(overall, share=0.04).item() == pytest.approx(97.5)


def test_the_number_of_pixels_is_exact_where_floating_point_is_not() -> None:
    # 0.29 * 100 is 28.999999999999996 in float64; 29 pixels 71..99 make the score.
    assert image_score(ramp(10, 10), share=0.29).item() == pytest.approx(85)


@pytest.mark.parametrize("how", ["top", "max"])
def test_a_broken_pixel_breaks_the_score(how) -> None:
    overall = torch.ones(2, 1, 20, 20)
    overall[0, 0, 3, 3] = torch.nan
    assert image_score(overall, how).isnan().tolist() == [True, False]


def test_score_is_a_mean_over_the_map_s_own_dtype_and_has_exact_gradients() -> None:
    overall = ramp(10, 20).double().requires_grad_()
    assert image_score(overall).dtype == torch.float64
    assert torch.autograd.gradcheck(
        lambda x: image_score(x), (overall[..., :2, :].detach().requires_grad_(),)
    )


class Inference(torch.nn.Module):
    """From two levels to the overall map and its score."""

    def forward(self, teacher, student):
        maps = {
            "feature": feature_distance_map([teacher], [student], (20, 20)),
            "affinity": affinity_difference_map([teacher], [student], (20, 20)),
        }
        overall = gaussian_smooth(combine(maps, MEAN, SPREAD, "scaled-sum"), 2.0)
        return overall, image_score(overall)


def test_the_whole_inference_is_one_graph_for_any_batch_without_autocast_regions() -> None:
    features = torch.randn(2, 3, 4, 5, 5)
    batch = torch.export.Dim("batch", min=1, max=16)
    program = torch.export.export(
        Inference(), (*features[:, :2],), dynamic_shapes=({0: batch}, {0: batch})
    )
    assert not any("autocast" in str(node.target) for node in program.graph.nodes)
    for ours, exported in zip(Inference()(*features), program.module()(*features), strict=True):
        torch.testing.assert_close(exported, ours)

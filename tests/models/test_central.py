"""Central maps against hand-computed numbers, and what they are for."""

import numpy as np
import pytest
import torch
from torch import Tensor

from snlad.metrics.ranking import auroc, rank
from snlad.models.central import CentralMaps, center_features
from snlad.models.clusters import k_means

SIZE = (8, 8)


def first_channels(teacher: list[Tensor], student: list[Tensor]) -> list[Tensor]:
    """A residual anyone can compute: the difference of the first channels."""
    return [(t - s)[:, 0].abs() for t, s in zip(teacher, student, strict=True)]


def central(*channels: int, centers: int = 2, distance: bool = False, **residuals) -> CentralMaps:
    return CentralMaps(
        channels or (2,),
        centers,
        residuals or {"plain": first_channels},
        distance=distance,
        align_corners=True,
    )


def two_places() -> list[Tensor]:
    """One picture whose left half has features (0, 0) and whose right half (9, 9)."""
    level = torch.zeros(1, 2, 8, 8)
    level[..., 4:] = 9.0
    return [level]


def with_points(maps: CentralMaps) -> CentralMaps:
    maps.points.copy_(torch.tensor([[0.0], [9.0]]).expand_as(maps.points))
    return maps


def test_a_residual_is_counted_in_units_of_its_center() -> None:
    """Usual residuals are 1 or 3 on the left and 10 or 14 on the right."""
    maps, teacher = with_points(central()), two_places()
    seen = [two_places()[0] + torch.zeros(1, 2, 8, 8) for _ in range(2)]
    low, high = (student.clone() for student in seen)
    low[:, 0, :, :4] += 1
    high[:, 0, :, :4] += 3
    low[:, 0, :, 4:] += 10
    high[:, 0, :, 4:] += 14
    maps.fit_residuals([(teacher, [low]), (teacher, [high])])
    everywhere = np.array([1, 3, 10, 14])
    mean, variance = everywhere.mean(), everywhere.var()
    count, prior = 64, 3.2
    usual = [(count * m + prior * mean) / (count + prior) for m in (2, 12)]
    around = [
        count * v + count * (m - u) ** 2 for v, m, u in zip((1, 4), (2, 12), usual, strict=True)
    ]
    spread = [((a + prior * variance) / (count + prior)) ** 0.5 for a in around]
    np.testing.assert_allclose(maps.usual[0], usual, rtol=1e-5)
    np.testing.assert_allclose(maps.scale[0], np.array(spread) + np.mean(spread), rtol=1e-5)
    shown = maps(teacher, [high], SIZE)["plain"][0, 0]
    expected = [(r - u) / s for r, u, s in zip((3, 14), usual, maps.scale[0].tolist(), strict=True)]
    np.testing.assert_allclose(shown[:, [0, 7]], np.tile(expected, (8, 1)), rtol=1e-5)


def test_units_of_a_residual_do_not_matter() -> None:
    torch.manual_seed(0)
    pairs = [([torch.rand(2, 2, 8, 8)], [torch.rand(2, 2, 8, 8)]) for _ in range(3)]

    def stretched(teacher: list[Tensor], student: list[Tensor]) -> list[Tensor]:
        return [1000 * level for level in first_channels(teacher, student)]

    shown = []
    for residual in (first_channels, stretched):
        maps = with_points(central(plain=residual))
        maps.fit_residuals(pairs)
        shown.append(maps(*pairs[0], SIZE)["plain"])
    torch.testing.assert_close(*shown, rtol=1e-4, atol=1e-4)


def test_levels_add_up_each_in_its_own_units() -> None:
    torch.manual_seed(0)
    teacher, student = ([torch.rand(4, 2, 16, 16), torch.rand(4, 2, 8, 8)] for _ in range(2))
    fine, coarse = (
        [
            level if i == kept else other
            for i, (level, other) in enumerate(zip(student, teacher, strict=True))
        ]
        for kept in (0, 1)
    )  # one level that disagrees, the other that does not
    maps = with_points(central(2, 2))
    maps.fit_residuals([(teacher, student)])
    both, first, second, none = (
        maps(teacher, some, SIZE)["plain"] for some in (student, fine, coarse, teacher)
    )
    torch.testing.assert_close(both, first + second - none)


def test_usual_places_are_near_zero() -> None:
    torch.manual_seed(0)
    pair = ([torch.rand(4, 2, 8, 8)], [torch.rand(4, 2, 8, 8)])
    maps = central(centers=3)
    maps.fit_points(center_features(pair[0]).flatten(2).mT.flatten(0, 1), seed=0)
    maps.fit_residuals([pair])
    shown = maps(*pair, SIZE)["plain"]
    assert shown.shape == (4, 1, 8, 8)
    assert abs(float(shown.mean())) < 0.01
    assert 0.3 < float(shown.std()) < 0.7  # the divisor is a spread and the mean of all spreads


def test_the_distance_to_the_nearest_center_is_a_map_of_its_own() -> None:
    maps = with_points(central(distance=True))
    teacher = two_places()
    teacher[0][..., :4] = 3.0  # 3 from (0, 0) in both channels, away from the border between places
    shown = maps(teacher, teacher, SIZE)
    assert list(shown) == list(maps.names) == ["plain", "center"]
    assert float(shown["center"][0, 0, 0, 0]) == pytest.approx(18**0.5)
    assert float(shown["center"][0, 0, 0, 7]) == pytest.approx(0, abs=1e-3)


def test_centers_are_of_the_two_deepest_levels_at_the_deepest_locations() -> None:
    torch.manual_seed(0)
    fine, middle, deep = (torch.rand(2, c, 2 * s, s) for c, s in ((2, 16), (3, 8), (4, 4)))
    features = center_features([fine, middle, deep])
    assert features.shape == (2, 7, 8, 4)
    i, j = 3, 0  # at the border: its 3 x 3 neighbours are six
    torch.testing.assert_close(features[:, 3:, i, j], deep[:, :, 2:5, :2].mean(dim=(2, 3)))
    inside = [middle[:, :, y - 1 : y + 2, x - 1 : x + 2] for y in (6, 7) for x in (2, 3)]
    expected = torch.stack([part.mean(dim=(2, 3)) for part in inside]).mean(dim=0)
    torch.testing.assert_close(features[:, :3, 3, 1], expected)


def test_no_level_decides_alone_whatever_its_units() -> None:
    torch.manual_seed(0)
    pair = ([torch.rand(4, 3, 8, 8), torch.rand(4, 2, 8, 8)],) * 2
    shown = []
    for factor in (1.0, 1000.0):
        teacher = [factor * pair[0][0], pair[0][1]]
        maps = central(3, 2, centers=5, distance=True)
        maps.fit_points(center_features(teacher).flatten(2).mT.flatten(0, 1), seed=0)
        maps.fit_residuals([(teacher, teacher)])
        shown.append(maps(teacher, teacher, SIZE)["center"])
    torch.testing.assert_close(*shown, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [(5, 7), (8, 8), (16, 24)])
def test_levels_of_any_size_take_the_center_that_lies_over_them(size: tuple[int, int]) -> None:
    teacher = [torch.rand(2, 3, *size), torch.rand(2, 2, 4, 6)]
    maps = central(3, 2)
    maps.fit_residuals([(teacher, [level + 1 for level in teacher])])
    assert maps(teacher, teacher, SIZE)["plain"].shape == (2, 1, *SIZE)


@pytest.mark.parametrize(("locations", "different"), [(3, 1), (89, 2), (90, 3), (400, 7)])
def test_a_center_has_thirty_locations_or_there_are_fewer_of_them(
    locations: int, different: int
) -> None:
    maps = central(centers=7)
    maps.fit_points(torch.rand(locations, 2), seed=0)
    assert len(maps.points.unique(dim=0)) == different
    maps.fit_residuals([(two_places(), two_places())])
    assert all(torch.isfinite(value).all() for value in maps.state_dict().values())
    assert (maps.scale > 0).all()


def test_the_same_vectors_and_seed_give_the_same_centers() -> None:
    features = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    for centers in (5, 300):
        first, second, other = (k_means(features, centers, seed=seed) for seed in (0, 0, 1))
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        assert not torch.equal(first, other)


# What they are for: in one place the student is always wrong by much, in the other by little, and a
# defect is wrong by a little more than is usual in the quiet place.
def test_a_defect_in_a_quiet_place_is_found_beside_a_restless_one() -> None:
    torch.manual_seed(0)

    def pictures(n: int) -> tuple[list[Tensor], list[Tensor]]:
        teacher = two_places()[0].repeat(n, 1, 1, 1)
        wrong = torch.tensor([0.1] * 4 + [4.0] * 4) * torch.rand(n, 2, 8, 8)
        return [teacher], [teacher + wrong]

    maps = with_points(central())
    maps.fit_residuals([pictures(20)])
    teacher, student = pictures(40)
    student[0][:20, 0, 2:5, 0:3] += 1.0
    labels = np.arange(40) < 20

    def separation(shown: Tensor) -> float:
        scores = shown.flatten(1).topk(9, dim=1).values.mean(dim=1).numpy()
        return auroc(rank(scores[labels], [np.sort(scores[~labels])]))

    assert separation(first_channels(teacher, student)[0]) < 0.75
    assert separation(maps(teacher, student, SIZE)["plain"]) > 0.95


def test_more_centers_than_are_used_change_no_unit() -> None:
    torch.manual_seed(0)
    teacher, student = [torch.rand(4, 2, 8, 8)], [torch.rand(4, 2, 8, 8)]
    shown = []
    for centers in (8, 300):
        maps = central(centers=centers, distance=True)
        maps.fit_points(center_features(teacher).flatten(2).mT.flatten(0, 1), seed=0)
        maps.fit_residuals([(teacher, student)])
        shown.append(maps(teacher, student, SIZE)["plain"])
    torch.testing.assert_close(*shown)


def test_a_picture_has_the_maps_that_it_has_in_a_batch() -> None:
    torch.manual_seed(0)
    teacher, student = [torch.rand(5, 2, 8, 8)], [torch.rand(5, 2, 8, 8)]
    maps = with_points(central(distance=True))
    maps.fit_residuals([(teacher, student)])
    whole = maps(teacher, student, SIZE)
    alone = maps([teacher[0][3:4]], [student[0][3:4]], SIZE)
    for name in maps.names:
        torch.testing.assert_close(alone[name], whole[name][3:4])

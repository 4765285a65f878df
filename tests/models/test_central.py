"""Central maps against hand-computed numbers, and what they are for."""

import numpy as np
import pytest
import torch
from torch import Tensor

from snlad.metrics.ranking import auroc, rank
from snlad.models.central import CentralMaps

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


def with_points(maps: CentralMaps, right: float = 6.5) -> CentralMaps:
    """Centers of two places; a corner of nines has a mean of 4, as zeros lie around a level."""
    for centers in (maps.coarse, maps.fine):
        if centers is not None:
            centers.place(torch.tensor([[0.0], [right]]).expand_as(centers.points))
    return maps


def fit_points(maps: CentralMaps, teacher: list[Tensor]) -> None:
    levels = maps.center_features(teacher)
    maps.fit_points([[level.flatten(2).mT.flatten(0, 1) for level in levels]], seed=0)


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


def test_a_level_weighs_the_root_of_its_side_over_the_finest_ones() -> None:
    """The same residuals at three levels of sides 8, 4 and 2; a distance at side 4 is alone."""
    teacher = [torch.full((1, 2, side, side), 5.0) for side in (8, 4, 2)]
    maps = central(2, 2, 2, distance=True, plain=lambda teacher, student: student)
    for centers in (maps.coarse, maps.fine):
        assert centers is not None
        centers.place(torch.zeros_like(centers.points))
    shown = []
    for kept in range(3):
        residuals = [torch.full((1, s, s), float(i == kept)) for i, s in enumerate((8, 4, 2))]
        shown.append(float(maps(teacher, residuals, SIZE)["plain"].mean()))
    assert shown == pytest.approx([1, 0.5**0.5, 0.5])
    _, distances = maps.fine(maps.center_features(teacher)[1])
    center = maps(teacher, [torch.zeros(1, s, s) for s in (8, 4, 2)], SIZE)["center"]
    assert float(center[0, 0, 0, 0]) == pytest.approx(float(distances[0, 0, 0]))


def test_a_place_that_is_wrong_by_less_than_usual_shows_nothing() -> None:
    torch.manual_seed(0)
    pair = ([torch.rand(4, 2, 8, 8)], [torch.rand(4, 2, 8, 8)])
    maps = central(centers=3)
    fit_points(maps, pair[0])
    maps.fit_residuals([pair])
    shown = maps(*pair, SIZE)["plain"]
    assert shown.shape == (4, 1, 8, 8)
    assert 0.4 < float((shown == 0).float().mean()) < 0.6
    assert 0.2 < float(shown.square().mean().sqrt()) < 0.5  # units: a spread and the mean of all
    assert torch.equal(maps(pair[0], pair[0], SIZE)["plain"], torch.zeros(4, 1, 8, 8))


def test_what_is_rebuilt_well_at_one_level_excuses_nothing_at_another() -> None:
    torch.manual_seed(0)
    teacher, student = ([torch.rand(4, 2, 8, 8), torch.rand(4, 2, 8, 8)] for _ in range(2))
    maps = with_points(central(2, 2))
    maps.fit_residuals([(teacher, student)])
    fine = maps(teacher, [student[0], teacher[1]], SIZE)["plain"]
    both = maps(teacher, student, SIZE)["plain"]
    assert bool((both >= fine).all())


def test_the_distance_to_the_nearest_center_is_a_map_of_its_own() -> None:
    maps = with_points(central(distance=True), right=9.0)
    teacher = two_places()
    teacher[0][..., :4] = 3.0  # 3 from (0, 0) in both channels, away from the border between places
    shown = maps(teacher, teacher, SIZE)
    assert list(shown) == list(maps.names) == ["plain", "center"]
    assert float(shown["center"][0, 0, 4, 1]) == pytest.approx(18**0.5)
    assert float(shown["center"][0, 0, 4, 6]) == pytest.approx(0, abs=1e-3)


def test_an_odd_place_smaller_than_a_deep_location_is_as_far_as_it_is() -> None:
    """The distance is taken where the second level has its locations, not the deepest one."""
    fine, deep = torch.zeros(1, 2, 12, 12), torch.zeros(1, 1, 3, 3)
    maps = central(2, 1, distance=True)
    normal = [fine, deep]
    odd = [fine.clone(), deep]
    odd[0][0, 0, 6, 6] = 9.0  # its 3 x 3 neighbours have a mean of 1
    shown = maps(odd, normal, (12, 12))["center"][0, 0]
    np.testing.assert_allclose(shown[5:8, 5:8], 1.0, rtol=1e-5)
    assert float(shown.sum()) == pytest.approx(9.0, abs=1e-3)


@pytest.mark.parametrize("size", [(5, 7), (8, 8), (16, 24)])
def test_levels_of_any_size_take_the_center_that_lies_over_them(size: tuple[int, int]) -> None:
    teacher = [torch.rand(2, 3, *size), torch.rand(2, 2, 4, 6)]
    maps = central(3, 2)
    maps.fit_residuals([(teacher, [level + 1 for level in teacher])])
    assert maps(teacher, teacher, SIZE)["plain"].shape == (2, 1, *SIZE)


def test_an_odd_location_does_not_excuse_itself() -> None:
    """It is nearest to a center where much is usual; all around it, little is."""
    teacher = [torch.zeros(1, 2, 9, 9)]
    teacher[0][..., 4, 4] = 99.0  # its 3 x 3 mean is 11, and 11 those of its neighbours
    maps = with_points(central(), right=99.0)
    maps.usual.copy_(torch.tensor([[1.0, 5.0]]))
    student = [teacher[0].clone()]
    student[0][:, 0] -= 5.0
    as_usual = maps(teacher, student, (9, 9))["plain"][0, 0]
    assert torch.allclose(as_usual, torch.tensor(4.0))  # no location is nearest to the second
    maps = with_points(central(), right=11.0)
    maps.usual.copy_(torch.tensor([[1.0, 5.0]]))
    odd = maps(teacher, student, (9, 9))["plain"][0, 0]
    assert float(odd[0, 0]) == pytest.approx(4)  # three locations away
    inside = float(weights(0.75, 3)[2:5].sum() ** 2)  # of 3 x 3 odd locations
    assert float(odd[4, 4]) == pytest.approx(5 - (inside * 5 + (1 - inside) * 1), rel=1e-4)
    assert float(odd[4, 4]) > 0.2  # by its own center alone all of it would be usual


def weights(sigma: float, radius: int) -> Tensor:
    """Of a Gaussian's locations on a line."""
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1.0) / sigma) ** 2)
    return kernel / kernel.sum()


def test_the_context_of_the_distance_is_as_wide_in_the_picture_as_the_students() -> None:
    """Twice as many finer locations: one odd one shares what is usual and its spread."""
    teacher = [torch.zeros(1, 2, 16, 16), torch.zeros(1, 2, 8, 8)]
    maps = central(2, 2, distance=True)
    odd = torch.zeros(1, 16, 16, dtype=torch.long)
    odd[0, 8, 8] = 1
    maps.fine.forward = lambda *_: (odd, 10.0 * odd)
    maps.usual[2], maps.scale[2] = torch.tensor([0.0, 5.0]), torch.tensor([1.0, 3.0])
    center = maps(teacher, teacher, (16, 16))["center"][0, 0]
    own = float(weights(1.5, 5)[5] ** 2)
    assert float(center[8, 8]) == pytest.approx((10 - 5 * own) / (1 + 2 * own))
    assert float(center[8, 9]) == 0


def test_between_two_deep_locations_what_is_usual_is_between_theirs() -> None:
    """A row of two deep locations over four fine ones, worked by hand."""
    teacher, student = ([torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 2)] for _ in range(2))
    student[0] = student[0] + 9.0
    maps = central(2, 2)
    maps.coarse.forward = lambda *_: (torch.tensor([[[0, 1]]]), torch.zeros(1, 1, 2))
    maps.usual[0], maps.scale[0] = torch.tensor([1.0, 5.0]), torch.tensor([1.0, 2.0])
    other = float(weights(0.75, 3)[4:].sum())  # the border repeats what is on one's own side
    shown = maps(teacher, student, (1, 4))["plain"][0, 0, 0].tolist()
    shares = (other, 0.75 * other + 0.25 * (1 - other))  # of the right one in what is usual
    for found, right in zip(shown, (*shares, *(1 - share for share in shares[::-1])), strict=True):
        assert found == pytest.approx((9 - (1 + 4 * right)) / (1 + right))


@pytest.mark.parametrize("side", [1, 2, 5])
def test_what_is_usual_everywhere_is_usual_at_the_border(side: int) -> None:
    teacher, student = [torch.zeros(1, 2, side, side)], [torch.full((1, 2, side, side), 3.0)]
    maps = with_points(central())
    maps.usual.fill_(1.0)
    torch.testing.assert_close(
        maps(teacher, student, SIZE)["plain"], torch.full((1, 1, *SIZE), 2.0)
    )


# What they are for: in one place the student is always wrong by much, in the other by little, and a
# defect is wrong by a little more than is usual in the quiet place.
def test_a_defect_in_a_quiet_place_is_found_beside_a_restless_one() -> None:
    torch.manual_seed(0)

    def pictures(n: int) -> tuple[list[Tensor], list[Tensor]]:
        teacher = two_places()[0].repeat_interleave(4, dim=3).repeat(n, 1, 1, 1)
        wrong = torch.tensor([0.1] * 16 + [4.0] * 16) * torch.rand(n, 2, 8, 32)
        return [teacher], [teacher + wrong]

    maps = with_points(central())
    maps.fit_residuals([pictures(20)])
    teacher, student = pictures(40)
    student[0][:20, 0, 2:6, 0:6] += 2.0
    labels = np.arange(40) < 20

    def separation(shown: Tensor) -> float:
        scores = shown.flatten(1).topk(24, dim=1).values.mean(dim=1).numpy()
        return auroc(rank(scores[labels], [np.sort(scores[~labels])]))

    assert separation(first_channels(teacher, student)[0]) < 0.75
    assert separation(maps(teacher, student, (8, 32))["plain"]) > 0.95


def test_more_centers_than_are_used_change_no_unit() -> None:
    torch.manual_seed(0)
    teacher, student = [torch.rand(4, 2, 8, 8)], [torch.rand(4, 2, 8, 8)]
    shown = []
    for centers in (8, 300):
        maps = central(centers=centers, distance=True)
        fit_points(maps, teacher)
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


def of_two_products(student_error: tuple[float, float]) -> tuple[list[Tensor], list[Tensor]]:
    """A picture of each product: its first channel is 1 or 5; how wrong the student is in each."""
    teacher = torch.zeros(2, 2, 8, 8)
    teacher[0, 0], teacher[1, 0] = 1.0, 5.0
    student = teacher.clone()
    student[:, 0] += torch.tensor(student_error)[:, None, None]
    return [teacher], [student]


def with_groups(maps: CentralMaps) -> CentralMaps:
    """They are told apart by the mean of their first channel: below 3 or above."""
    weight = torch.zeros(4, 2)
    weight[0, 1] = 1.0
    maps.fit_groups(weight, torch.tensor([0.0, -3.0]))
    teacher, _ = of_two_products((0.0, 0.0))
    maps.fit_points(
        (
            [level[i].flatten(1).T for level in maps.center_features(teacher)]
            for i in range(len(teacher[0]))
        ),
        seed=0,
    )
    return maps


def test_what_is_usual_in_one_product_is_not_in_another() -> None:
    """The student is wrong by 4 in one product and never in the other: only there it shows."""
    maps = with_groups(central(distance=True))
    teacher, student = of_two_products((4.0, 0.0))
    maps.fit_residuals([(teacher, student)])
    assert maps.groups_of(teacher).tolist() == [0, 1]
    assert float(maps(teacher, student, SIZE)["plain"].abs().max()) < 0.3
    _, odd = of_two_products((4.0, 4.0))
    shown = maps(teacher, odd, SIZE)["plain"]
    assert float(shown[0].max()) < 0.3
    assert float(shown[1].min()) > 1


def test_residuals_are_aggregated_around_the_centers_of_the_groups_that_are_given() -> None:
    maps, pair = with_groups(central()), of_two_products((4.0, 0.0))
    first = int(maps.coarse.counts[0])
    found = []
    for groups in (None, [torch.tensor([0, 1])], [torch.tensor([1, 0])]):
        maps.fit_residuals([pair], groups)
        found.append([float(part.mean()) for part in maps.usual[0].split([first, first])])
    assert found[0] == found[1]
    assert found[0][0] > 3 > 1 > found[0][1]
    assert found[2][1] > 2.5 > 1.5 > found[2][0]


def test_the_distance_is_that_to_a_center_of_what_the_picture_looks_like() -> None:
    """A place of the first product in a picture of the second is as far from it as the products."""
    maps = with_groups(central(distance=True))
    maps.fine.place(torch.tensor([[1.0, 0.0]]), torch.tensor([[5.0, 0.0]]))
    maps.usual, maps.scale = torch.zeros(2, 4), torch.ones(2, 4)
    teacher, _ = of_two_products((0.0, 0.0))
    swapped = [teacher[0].clone()]
    swapped[0][1, 0, 3:6, 3:6] = 1.0
    assert maps.groups_of(swapped).tolist() == [0, 1]
    before, after = (maps(some, some, SIZE)["center"][:, 0, 4, 4] for some in (teacher, swapped))
    assert before.tolist() == [0, 0]
    assert after.tolist() == pytest.approx([0, 4])
    maps.fit_groups(torch.zeros(4, 2), torch.tensor([1.0, 0.0]))  # always the first
    assert maps(teacher, teacher, SIZE)["center"][1, 0, 4, 4] == pytest.approx(4)


def test_maps_of_other_groups_and_centers_are_loaded_whole() -> None:
    maps, loaded = with_groups(central(distance=True)), central(centers=9, distance=True)
    maps.fit_residuals([of_two_products((4.0, 0.0))])
    loaded.load_state_dict(maps.state_dict())
    teacher, student = of_two_products((2.0, 3.0))
    expected, found = maps(teacher, student, SIZE), loaded(teacher, student, SIZE)
    for name in maps.names:
        assert torch.equal(found[name], expected[name])


@pytest.mark.parametrize(
    ("name", "shape"),
    [("usual", (2, 1)), ("scale", (2, 9)), ("group_weight", (4, 3)), ("group_bias", (1,))],
)
def test_statistics_of_other_groups_or_centers_are_not_loaded(name: str, shape) -> None:
    maps = with_groups(central(distance=True))
    maps.fit_residuals([of_two_products((4.0, 0.0))])
    state = {**maps.state_dict(), name: torch.zeros(shape)}
    with pytest.raises(RuntimeError, match="do not go together"):
        central(distance=True).load_state_dict(state)

"""Normality centers: what they are of, how many there are, and what they cover."""

import pytest
import torch

from snlad.models import clusters
from snlad.models.clusters import farthest_points, k_means
from snlad.models.normality import NormalityCenters, coarse_features, fine_features


def pyramid() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.rand(2, c, 2 * s, s) for c, s in ((2, 16), (3, 8), (4, 4))]


def test_centers_are_of_the_two_deepest_levels_at_the_deepest_locations() -> None:
    _, middle, deep = levels = pyramid()
    features = coarse_features(levels)
    assert features.shape == (2, 7, 8, 4)
    inside = [middle[:, :, y - 1 : y + 2, x - 1 : x + 2] for y in (6, 7) for x in (2, 3)]
    expected = torch.stack([part.mean(dim=(2, 3)) for part in inside]).mean(dim=0)
    torch.testing.assert_close(features[:, :3, 3, 1], expected)
    torch.testing.assert_close(features[:, 3:, 3, 1], deep[:, :, 2:5, :3].mean(dim=(2, 3)))


def test_or_at_the_locations_of_the_finer_level() -> None:
    _, middle, deep = levels = pyramid()
    features = fine_features(levels)
    assert features.shape == (2, 7, 16, 8)
    torch.testing.assert_close(features[:, :3, 5, 4], middle[:, :, 4:7, 3:6].mean(dim=(2, 3)))
    mean = torch.nn.functional.avg_pool2d(deep, 3, stride=1)  # of location (1, 1) onwards
    near = 0.75 * mean[..., 0] + 0.25 * mean[..., 1]  # between columns 1 and 2, a quarter of a step
    near = 0.75 * near[..., 1] + 0.25 * near[..., 2]  # between rows 2 and 3
    torch.testing.assert_close(features[:, 3:, 5, 3], near)


@pytest.mark.parametrize("features", [coarse_features, fine_features])
def test_zeros_lie_around_a_level(features) -> None:
    ones = [torch.ones(1, 1, 8, 8)]
    at_border = features(ones)[0, 0]
    assert float(at_border[0, 0]) == pytest.approx(4 / 9)
    assert float(at_border[0, 3]) == pytest.approx(6 / 9)
    assert float(at_border[3, 3]) == pytest.approx(1)


def test_the_nearest_center_and_how_far_it_is() -> None:
    centers = NormalityCenters(2, 3)
    centers.place(torch.tensor([[0.0, 0.0], [3.0, 4.0], [10.0, 0.0]]))
    features = torch.tensor([[0.0, 0.0], [0.0, 1.0], [3.0, 4.5]]).T.reshape(1, 2, 1, 3)
    nearest, distance = centers(features.repeat(2, 1, 1, 1))
    assert nearest.tolist() == [[[0, 0, 1]]] * 2
    torch.testing.assert_close(distance, torch.tensor([[[0.0, 1.0, 0.5]]] * 2))


@pytest.mark.parametrize("count", [1, 3, 64, 130, 256])
def test_the_nearest_of_many_is_found_however_many_there_are(count: int) -> None:
    centers = NormalityCenters(5, count)
    centers.place(torch.randn(count, 5))
    features = torch.randn(2, 5, 4, 6)
    nearest, distance = centers(features)
    apart = torch.cdist(features.flatten(2).mT, centers.points)
    assert torch.equal(nearest.flatten(1), apart.argmin(dim=2))
    torch.testing.assert_close(distance.flatten(1), apart.amin(dim=2), atol=1e-5, rtol=1e-4)


def two_groups() -> NormalityCenters:
    """One group has centers at 0 and 4 of a line, the other at 1, 2 and 9."""
    centers = NormalityCenters(1, 3)
    centers.place(torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0], [2.0], [9.0]]))
    return centers


def test_a_picture_is_measured_against_the_centers_of_its_group_alone() -> None:
    features = torch.tensor([1.2, 2.9, 8.0, -1.0]).expand(3, 1, 1, 4)
    nearest, distance = two_groups()(features, torch.tensor([0, 1, 0]))
    assert nearest[:, 0].tolist() == [[0, 1, 1, 0], [2, 3, 4, 2], [0, 1, 1, 0]]
    first, second = [1.2, 1.1, 4.0, 1.0], [0.2, 0.9, 1.0, 2.0]
    torch.testing.assert_close(distance[:, 0], torch.tensor([first, second, first]))


@pytest.mark.parametrize("counts", [(1, 200), (64, 65), (3, 5, 2), (130, 1, 64)])
def test_groups_of_any_numbers_of_centers(counts: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    groups = [10.0 * torch.rand(1, 5) + torch.randn(count, 5) for count in counts]
    centers = NormalityCenters(5, 256)
    centers.place(*groups)
    assert centers.counts.tolist() == list(counts)
    features = 5.0 + torch.randn(2 * len(counts), 5, 4, 6)
    asked = torch.arange(len(counts)).repeat(2).flip(0)
    found = centers(features, asked)
    for picture, one, nearest, distance in zip(features, asked, *found, strict=True):
        apart = torch.cdist(picture.flatten(1).T, groups[one])
        assert torch.equal(nearest.flatten() - sum(counts[:one]), apart.argmin(dim=1))
        torch.testing.assert_close(distance.flatten(), apart.amin(dim=1), atol=1e-4, rtol=1e-4)


def test_an_export_searches_all_pictures_at_once_and_finds_the_same(monkeypatch) -> None:
    torch.manual_seed(0)
    centers = NormalityCenters(5, 128)
    centers.place(torch.randn(100, 5), 3 + torch.randn(30, 5))
    features, groups = 2 * torch.randn(4, 5, 3, 3), torch.tensor([1, 0, 0, 1])
    one_by_one = centers(features, groups)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    for one, other in zip(one_by_one, centers(features, groups), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("locations", "different"), [(3, 1), (89, 2), (90, 3), (400, 7)])
def test_a_center_has_thirty_locations_or_there_are_fewer_of_them(
    locations: int, different: int
) -> None:
    centers = NormalityCenters(2, 7)
    found = centers.find(torch.rand(locations, 2), seed=0)
    assert len(found) == len(found.unique(dim=0)) == different


def test_what_is_rare_has_centers_of_its_own() -> None:
    """One location in a hundred is of a product of its own, as varied as the frequent one."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(6000, 4, generator=generator)
    features[::100] += 40
    centers = NormalityCenters(4, 100)
    centers.place(centers.find(features, seed=0))
    of_the_rare = int((centers.points.mean(dim=1) > 20).sum())
    plain = int((k_means(features, 100, seed=0).mean(dim=1) > 20).sum())
    assert plain <= 5
    assert of_the_rare >= 3 * max(plain, 1)


def test_farthest_points_cover_what_random_ones_leave_open() -> None:
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(100, 100, generator=generator)).Q[:3]
    for into in (torch.eye(3), turn):  # as they are, and projected
        x = (torch.randn(2000, 3, generator=generator) ** 3) @ into
        chosen = farthest_points(x, 50, seed=0)
        assert len(chosen.unique(dim=0)) == 50
        reach, by_chance = (
            float(torch.cdist(x, some).min(dim=1).values.max()) for some in (chosen, x[:50])
        )
        assert reach < 0.5 * by_chance


@pytest.mark.parametrize("candidates", [1, 5, 1000])
def test_each_next_point_is_the_farthest_from_all_before_it(
    monkeypatch: pytest.MonkeyPatch, candidates: int
) -> None:
    monkeypatch.setattr(clusters, "_CANDIDATES", candidates)
    monkeypatch.setattr(clusters, "_ROWS", 64)
    x = torch.rand(200, 3, generator=torch.Generator().manual_seed(1))
    chosen = farthest_points(x, 40, seed=3)
    for n in range(1, 40):
        farthest = x[torch.cdist(x, chosen[:n]).min(dim=1).values.argmax()]
        torch.testing.assert_close(chosen[n], farthest)


def test_all_points_are_chosen_where_all_are_asked_for() -> None:
    x = torch.arange(12.0).reshape(6, 2)
    assert sorted(farthest_points(x, 6, seed=0)[:, 0].tolist()) == x[:, 0].tolist()
    alike = torch.ones(5, 2)
    assert farthest_points(alike, 5, seed=0).shape == (5, 2)


def test_the_same_vectors_and_seed_give_the_same_centers() -> None:
    features = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    for centers in (5, 300):
        first, second, other = (k_means(features, centers, seed=seed) for seed in (0, 0, 1))
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        assert not torch.equal(first, other)
    first, second, other = (farthest_points(features, 9, seed=seed) for seed in (0, 0, 1))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_distances_are_exact_far_from_the_origin() -> None:
    torch.manual_seed(0)
    centers = NormalityCenters(3, 5)
    centers.place(torch.rand(5, 3) + 1000)
    features = torch.rand(2, 3, 4, 6) + 1000
    nearest, distance = centers(features)
    vectors = features.flatten(2).mT.double()
    expected = torch.cdist(vectors, centers.points.double().expand(2, 5, 3)).min(dim=2)
    assert torch.equal(nearest.flatten(1), expected.indices)
    torch.testing.assert_close(distance.flatten(1).double(), expected.values, rtol=0, atol=2e-3)


def test_the_search_leaves_out_axes_along_which_centers_hardly_differ() -> None:
    """Of 40 axes 30 have a hundredth of the others' deviation; a defect may lie along these."""
    torch.manual_seed(0)
    spread = torch.cat([torch.ones(10), torch.full((30,), 0.01)])
    turn = torch.linalg.qr(torch.randn(40, 40)).Q
    centers = NormalityCenters(40, 512)
    centers.place(spread * torch.randn(512, 40) @ turn)
    assert centers.state_dict().keys() == {"points", "counts"}
    assert centers._axes.shape == (40, 16)
    along = (-centers._columns[0] / 2).std(dim=1)
    assert int((along > 0.5).sum()) == 10
    vectors = torch.cat([spread * torch.randn(200, 40) @ turn, 5 * torch.randn(200, 40)])
    nearest, distance = centers(vectors.T.reshape(1, 40, 20, 20))
    exact = torch.cdist(vectors, centers.points)
    found = exact.gather(1, nearest.flatten()[:, None])[:, 0]
    torch.testing.assert_close(distance.flatten(), found)
    assert float((found / exact.amin(dim=1)).max()) < 1.02


def test_equal_centers_are_sought_along_some_axes_all_the_same() -> None:
    centers = NormalityCenters(20, 4)
    centers.place(torch.ones(4, 20))
    assert centers._axes.shape == (20, 16)
    nearest, distance = centers(torch.zeros(1, 20, 1, 2))
    assert nearest.tolist() == [[[0, 0]]]
    torch.testing.assert_close(distance, torch.full((1, 1, 2), 20**0.5))


def test_centers_that_are_loaded_are_found_as_those_that_were_placed() -> None:
    torch.manual_seed(0)
    placed, loaded = NormalityCenters(20, 64), NormalityCenters(20, 64)
    placed.place(torch.randn(64, 20))
    loaded.load_state_dict(placed.state_dict())
    features = torch.randn(1, 20, 4, 4)
    for one, other in zip(placed(features), loaded(features), strict=True):
        assert torch.equal(one, other)


def test_as_many_groups_and_centers_are_loaded_as_there_were() -> None:
    loaded = NormalityCenters(1, 7)
    loaded.load_state_dict(two_groups().state_dict())
    features = torch.tensor([[[[1.2, 2.9, 8.0, -1.0]]]])
    for one, other in zip(
        two_groups()(features, torch.tensor([1])), loaded(features, torch.tensor([1])), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("points", "counts"),
    [
        (torch.zeros(5, 1), [2, 2]),  # fewer than there are
        (torch.zeros(5, 1), [6, -1]),
        (torch.zeros(5, 1), [5, 0]),  # a group of none
        (torch.zeros(5, 1), []),
        (torch.zeros(5, 2), [2, 3]),  # of other features
        (torch.zeros(5), [2, 3]),
        (torch.zeros(5, 1), [[2, 3]]),
    ],
)
def test_centers_that_do_not_go_together_are_not_loaded(points: torch.Tensor, counts) -> None:
    state = {"points": points, "counts": torch.tensor(counts, dtype=torch.long)}
    with pytest.raises(RuntimeError, match=r"size mismatch|a group has no|the groups. centers are"):
        NormalityCenters(1, 3).load_state_dict(state)

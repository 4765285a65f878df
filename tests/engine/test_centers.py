"""Centers of the training pictures: shared by all, by pictures that look alike, or by a class."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from snlad.config import make_config
from snlad.engine.centers import fit_centers
from snlad.maps.feature_distance import feature_distances
from snlad.models.central import CentralMaps
from snlad.models.statistics import channel_statistics

PICTURES = 60
PRODUCTS = torch.arange(PICTURES) % 3
"""Three products, one after the other."""


class Data:
    """Pictures whose features are at hand: each product has a texture of its own."""

    def __init__(self, level: Tensor | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        look = 3 * torch.randn(3, 6, 1, 1, generator=generator)
        products = look[PRODUCTS] + torch.randn(PICTURES, 6, 8, 8, generator=generator)
        self.level = products if level is None else level

    def __len__(self) -> int:
        return len(self.level)

    def batch(self, indices) -> tuple[Tensor, list[Tensor]]:
        return torch.zeros(len(indices), 3, 8, 8), [self.level[list(indices)]]


def fitted(
    centers_for: str, names: list[str], centers: int = 20, level: Tensor | None = None
) -> CentralMaps:
    residuals = {"feature": feature_distances}
    maps = CentralMaps((6,), centers, residuals, distance=True, align_corners=True)
    training = SimpleNamespace(
        config=make_config("rd-snl", maps={"centers": centers, "centers_for": centers_for}),
        data=Data(level),
        views=[SimpleNamespace(sample=i) for i in range(len(names))],
        detector=SimpleNamespace(student=lambda _, teacher: [level + 0.1 for level in teacher]),
        progress=lambda *_: None,
    )
    fit_centers(training, maps, names)
    return maps


def told(maps: CentralMaps) -> list[int]:
    """The group of each picture."""
    return maps.groups_of([Data().level]).tolist()


def same(one: CentralMaps, other: CentralMaps) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


ONE = ["part"] * PICTURES
BY_PRODUCT = [f"part {product}" for product in PRODUCTS.tolist()]
HALVES = [f"part {product // 2}" for product in PRODUCTS.tolist()]


def test_pictures_that_look_alike_share_centers_whatever_they_are_called(caplog) -> None:
    with caplog.at_level("INFO", "snlad"):
        maps = fitted("alike", ONE)
    assert "pictures that share centers: 20 of part; 20 of part; 20 of part" in caplog.text
    assert maps.coarse.counts.tolist() == [20, 20, 20]
    groups = told(maps)
    assert len(set(zip(groups, PRODUCTS.tolist(), strict=True))) == 3
    assert same(maps, fitted("alike", BY_PRODUCT))
    assert same(maps, fitted("alike", HALVES))


@pytest.mark.parametrize(("names", "groups"), [(ONE, 1), (HALVES, 2), (BY_PRODUCT, 3)])
def test_or_those_of_a_class(names: list[str], groups: int) -> None:
    maps = fitted("class", names)
    assert len(maps.coarse.counts) == len(maps.fine.counts) == groups
    assert told(maps) == [sorted(set(names)).index(name) for name in names]


def test_or_all_of_them() -> None:
    maps = fitted("all", BY_PRODUCT)
    assert maps.coarse.counts.tolist() == [20]
    assert set(told(maps)) == {0}


def test_a_picture_between_two_groups_lends_its_places_to_both() -> None:
    """Of 64 locations each, one center to thirty: a third of the pictures, or all of them."""
    apart, mixed = (
        fitted("class", names, centers=200) for names in (BY_PRODUCT, ["a", "b"] * (PICTURES // 2))
    )
    assert apart.coarse.counts.tolist() == [PICTURES // 3 * 64 // 30] * 3
    assert mixed.coarse.counts.tolist() == [PICTURES * 64 // 30] * 2


def test_every_group_has_pictures_and_centers_near_them() -> None:
    maps = fitted("alike", ONE)
    level = Data().level
    _, distance = maps.coarse(maps.center_features([level])[0], maps.groups_of([level]))
    elsewhere = (maps.groups_of([level]) + 1) % 3
    _, farther = maps.coarse(maps.center_features([level])[0], elsewhere)
    assert float(farther.mean()) > 2 * float(distance.mean())
    assert channel_statistics([level]).shape == (PICTURES, 12)


def pictures(*numbers: int, alike: bool = False) -> Tensor:
    """So many pictures of each product, all of a product equal if they are to be."""
    generator = torch.Generator().manual_seed(1)
    looks = 3 * torch.randn(len(numbers), 6, 1, 1, generator=generator)
    of = torch.arange(len(numbers)).repeat_interleave(torch.tensor(numbers))
    return looks[of] + (not alike) * torch.randn(len(of), 6, 8, 8, generator=generator)


@pytest.mark.parametrize("numbers", [(1,), (2,), (40, 1), (60, 60, 1), (1, 1), (40, 3)])
@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("centers_for", ["alike", "class"])
def test_few_or_equal_pictures_have_centers_too(centers_for, alike, numbers) -> None:
    level = pictures(*numbers, alike=alike)
    names = [str(i) for i, number in enumerate(numbers) for _ in range(number)]
    maps = fitted(centers_for, names, level=level)
    if centers_for == "class":
        assert len(maps.coarse.counts) == len(numbers)
    teacher = [level]
    shown = maps(teacher, [level + 0.1], (8, 8))
    assert all(bool(one.isfinite().all()) for one in shown.values())
    groups = maps.groups_of(teacher)
    assert int(groups.max()) < len(maps.coarse.counts)

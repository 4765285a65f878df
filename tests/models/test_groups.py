"""Groups of pictures that look alike: as many as there are, and one where none are."""

import numpy as np
import pytest

from snlad.models.groups import find_groups


def drawn(*sizes: int, apart: float = 6.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Statistics of so many pictures of each product, channels in units of their own; their order
    is mixed."""
    random = np.random.default_rng(seed)
    products = apart * random.standard_normal((len(sizes), 40))
    of = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    statistics = products[of] + random.standard_normal((len(of), 40))
    return (statistics * np.logspace(-3, 3, 40) + 7).astype(np.float32), of


def partition(groups: np.ndarray) -> set[frozenset[int]]:
    """The same whatever the groups' numbers are."""
    return {frozenset(np.flatnonzero(groups == group).tolist()) for group in np.unique(groups)}


@pytest.mark.parametrize("sizes", [(40, 40), (20, 300), (30, 50, 70), (25,) * 12])
def test_each_product_is_a_group(sizes: tuple[int, ...]) -> None:
    statistics, of = drawn(*sizes)
    groups = find_groups(statistics)
    assert partition(groups) == partition(of)
    assert sorted(set(groups.tolist())) == list(range(len(sizes)))


@pytest.mark.parametrize("pictures", [1, 2, 29, 30, 200])
def test_pictures_of_one_product_are_one_group(pictures: int) -> None:
    statistics, _ = drawn(pictures)
    assert find_groups(statistics).tolist() == [0] * pictures


def test_equal_pictures_are_one_group() -> None:
    assert not find_groups(np.ones((60, 8), np.float32)).any()


def test_a_product_of_few_pictures_may_be_a_group_too() -> None:
    statistics, of = drawn(60, 5, 60, 80)
    assert partition(find_groups(statistics)) == partition(of)


def test_the_order_of_the_pictures_does_not_matter() -> None:
    statistics, _ = drawn(40, 40, 40, apart=0.8)
    order = np.random.default_rng(1).permutation(len(statistics))
    groups = np.empty(len(statistics), dtype=np.int64)
    groups[order] = find_groups(statistics[order])
    assert partition(groups) == partition(find_groups(statistics))


def test_products_that_vary_among_themselves_are_not_split() -> None:
    """Each has two makes, a third as far apart as the products are."""
    products, makes = drawn(40, 40, 40, apart=9.0), drawn(20, 20, apart=1.0)[1]
    of = 2 * products[1] + makes[products[1].argsort().argsort() % 40]
    random = np.random.default_rng(0)
    look = 9.0 * random.standard_normal((3, 40)).repeat(2, axis=0)
    look[1::2] += 3.0 * random.standard_normal((3, 40))
    statistics = look[of] + random.standard_normal((len(of), 40))
    assert partition(find_groups(statistics)) == partition(of // 2)

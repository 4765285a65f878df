"""Foreground: the product on a plain background, and everything where there is no background."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snlad.data.foreground import find_foreground, otsu

SIDE = 96


def plain(background: tuple[int, int, int], noise: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(0)
    picture = np.tile(np.array(background, float), (SIDE, SIDE, 1))
    return np.clip(picture + random.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)


def disc(radius: float) -> np.ndarray:
    rows, columns = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    return rows**2 + columns**2 < radius**2


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (40, 90, 160)])
@pytest.mark.parametrize("noise", [0.0, 6.0])
def test_an_object_is_told_from_its_plain_background(background, noise):
    picture, truth = plain(background, noise), disc(25)
    picture[truth] = (200, 60, 30)
    found = find_foreground(picture)
    assert (found == truth).mean() > 0.99


def test_colour_alone_tells_an_object_of_the_same_grey():
    """Red and green of one brightness."""
    picture, truth = plain((120, 60, 60)), disc(25)
    picture[truth] = (60, 91, 60)
    np.testing.assert_array_equal(find_foreground(picture), truth)


def test_an_object_that_leaves_the_picture_at_one_side_is_found():
    picture, truth = plain((20, 20, 20), 4.0), np.zeros((SIDE, SIDE), bool)
    truth[30:, 30:66] = True
    picture[truth] = 180
    assert (find_foreground(picture) == truth).mean() > 0.99


def textures() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    rows, columns = np.indices((SIDE, SIDE))
    stripes = np.where(columns // 8 % 2, 60, 190)
    waves = 128 + 60 * np.sin(1 + rows / 3) * np.cos(1 + columns / 4)
    grey = {"stripes": stripes, "checks": np.where((rows // 6 + columns // 6) % 2, 30, 220)}
    grey |= {"noise": random.normal(120, 20, (SIDE, SIDE)), "waves": waves}
    pictures = {name: np.repeat(np.uint8(values)[..., None], 3, 2) for name, values in grey.items()}
    return pictures | {"constant": plain((77, 77, 77))}


@pytest.mark.parametrize("name", ["stripes", "checks", "noise", "waves", "constant"])
def test_a_texture_is_foreground_everywhere(name):
    assert find_foreground(textures()[name]).all()


@pytest.mark.parametrize(("radius", "everywhere"), [(3, True), (14, False), (40, False)])
def test_a_speck_is_no_product(radius, everywhere):
    """A foreground of less than 5 % is not believed."""
    picture, truth = plain((10, 10, 10)), disc(radius)
    picture[truth] = 200
    found = find_foreground(picture)
    np.testing.assert_array_equal(found, np.ones_like(truth) if everywhere else truth)


def test_a_product_that_fills_all_but_the_border_is_no_product():
    picture = plain((200, 200, 200))
    picture[1:-1, 1:-1] = plain((20, 20, 20))[1:-1, 1:-1]
    assert find_foreground(picture).all()


def test_size_and_type_are_those_of_the_picture_whatever_its_sides():
    picture = np.zeros((64, 200, 3), np.uint8)
    picture[20:50, 60:140] = (0, 0, 250)
    found = find_foreground(picture)
    assert found.shape == (64, 200)
    assert found.dtype == np.bool_
    assert found.sum() == 30 * 80


def test_otsu_of_two_levels_lies_at_the_lower():
    assert otsu(np.uint8([10, 10, 10, 200])) == 10


def test_otsu_of_one_level_puts_everything_on_one_side():
    levels = np.full(9, 30, np.uint8)
    assert not 0 < (levels > otsu(levels)).mean() < 1


@given(
    hnp.arrays(np.uint8, st.integers(2, 60), elements=st.integers(0, 255)).filter(
        lambda levels: np.ptp(levels) > 0
    )
)
@settings(deadline=None, derandomize=True)
def test_otsu_has_the_largest_variance_between_its_sides(levels):
    """Against the definition: no threshold separates the means more."""

    def between(threshold: int) -> float:
        low, high = levels[levels <= threshold], levels[levels > threshold]
        if not len(low) or not len(high):
            return 0.0
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    assert between(otsu(levels)) == pytest.approx(max(map(between, range(256))))


def test_otsu_is_that_of_scikit_image():
    filters = pytest.importorskip("skimage.filters", reason="an outside reference")
    random = np.random.default_rng(3)
    levels = np.uint8(np.clip([*random.normal(60, 15, 500), *random.normal(180, 25, 300)], 0, 255))
    ours, theirs = otsu(levels), filters.threshold_otsu(levels)
    np.testing.assert_array_equal(levels > ours, levels > theirs)

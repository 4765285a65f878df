import time
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFilter

from snlad.data.duplicates import Fingerprint, exact_duplicates, fingerprint, near_duplicates


def scene(seed: int, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    """A smooth random picture with a little grain, like a photograph."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(30, 226, (8, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC)).astype(float)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def product(seed: int) -> np.ndarray:
    """One of many parts on the same fixture: equal but for its own mottle."""
    rng = np.random.default_rng(seed)
    mottle = Image.fromarray(rng.normal(128, 25, (12, 12)).clip(0, 255).astype(np.uint8))
    mottle = np.asarray(mottle.resize((160, 120), Image.Resampling.BICUBIC)).astype(float) - 128
    return np.clip(scene(0) + mottle[..., None] * 0.5, 0, 255).astype(np.uint8)


def compressed(image: np.ndarray, quality: int = 60) -> np.ndarray:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def shrunk(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    return np.asarray(picture.resize((width * 7 // 10, height * 7 // 10), Image.Resampling.BICUBIC))


def prints(*images: np.ndarray) -> list[Fingerprint]:
    return [fingerprint(image) for image in images]


@pytest.mark.parametrize("copy", [compressed, shrunk])
@pytest.mark.parametrize("seed", range(5))
def test_a_recompressed_or_shrunk_copy_is_near(
    copy: Callable[[np.ndarray], np.ndarray], seed: int
) -> None:
    image = scene(seed)
    assert near_duplicates(prints(image, scene(99), copy(image))) == [(0, 2)]


def test_parts_on_one_fixture_are_not_near() -> None:
    assert near_duplicates(prints(*(product(seed) for seed in range(1, 12)))) == []


def test_a_small_change_of_the_scene_is_not_near() -> None:
    image = scene(3)
    changed = image.copy()
    changed[40:60, 60:80] = 255 - changed[40:60, 60:80]  # a defect of 2 % of the area
    assert near_duplicates(prints(image, changed)) == []


def test_another_brightness_is_another_picture() -> None:
    image = scene(4)
    assert near_duplicates(prints(image, image + np.uint8(3))) == []


def test_two_plain_surfaces_are_not_near_because_both_are_plain() -> None:
    rng = np.random.default_rng(0)
    surfaces = [
        np.repeat(
            np.asarray(
                Image.fromarray(rng.integers(80, 176, (120, 160), dtype=np.uint8)).filter(
                    ImageFilter.GaussianBlur(1)
                )
            )[..., None],
            3,
            axis=2,
        )
        for _ in range(4)
    ]
    assert near_duplicates(prints(*surfaces)) == []


def test_each_picture_names_only_the_first_that_it_is_near_to() -> None:
    image = scene(5)
    found = near_duplicates(prints(image, compressed(image), compressed(image, 80), scene(6)))
    assert found == [(0, 1), (0, 2)]


def test_exact_copies_are_not_near_but_exact() -> None:
    image = scene(7)
    copies = [
        fingerprint(image),
        fingerprint(scene(8)),
        fingerprint(image.copy()),
    ]
    assert near_duplicates(copies) == []
    assert exact_duplicates(copies) == [[0, 2]]


def test_black_pictures_of_two_sizes_are_near() -> None:
    black = [np.zeros((side, side, 3), np.uint8) for side in (40, 50)]
    assert near_duplicates(prints(*black)) == [(0, 1)]


def alike(count: int, grain: float, mottle: float, seed: int = 0) -> list[Fingerprint]:
    """Thumbnails of one fixture: equal but for grain of each pixel and a smooth mottle, in levels.

    Their low frequencies agree, so that every pair must be compared.
    """
    rng = np.random.default_rng(seed)
    fixture = np.asarray(Image.fromarray(scene(0)).convert("L").resize((32, 32))).astype(float)
    same = fingerprint(scene(0)).frequencies
    found = []
    for index in range(count):
        patches = Image.fromarray(rng.normal(0, mottle, (6, 6)).astype(np.float32))
        smooth = np.asarray(patches.resize((32, 32), Image.Resampling.BICUBIC))
        noisy = fixture + smooth + rng.normal(0, grain, fixture.shape)
        thumbnail = noisy.round().clip(0, 255).astype(np.uint8)
        found.append(Fingerprint(f"{index}", thumbnail, same))
    return found


def one_by_one(prints: list[Fingerprint]) -> list[tuple[int, int]]:
    """The stated limits, pair by pair, in the words of the module."""
    pairs = []
    for later in range(len(prints)):
        for earlier in range(later):
            one, other = prints[earlier], prints[later]
            first, second = (x.thumbnail.astype(int) for x in (one, other))
            steps = np.abs(first - second)
            contrast = np.abs(first - first.mean()).mean()
            if (
                one.sha256 != other.sha256
                and int(one.frequencies ^ other.frequencies).bit_count() <= 8
                and steps.mean() <= min(0.75, 0.2 * contrast)
                and steps.max() <= 4
            ):
                pairs.append((earlier, later))
                break
    return pairs


# Some pairs are near and some are not, on both sides of each limit; the first of several is named.
@pytest.mark.parametrize(
    ("grain", "mottle"), [(0.3, 0.0), (0.64, 0.0), (0.7, 0.0), (0.3, 0.5), (0.0, 1.0), (0.3, 2.0)]
)
def test_the_fast_comparison_finds_what_the_slow_one_finds(grain: float, mottle: float) -> None:
    prints = alike(60, grain, mottle)
    assert near_duplicates(prints) == one_by_one(prints)


def test_both_find_some_near_and_some_not() -> None:
    assert 5 < len(near_duplicates(alike(60, 0.7, 0.0))) < 55
    assert 5 < len(near_duplicates(alike(60, 0.0, 1.0))) < 55


# Levels are bytes: 0 and 255 are far apart, though a byte that wraps around says one.
@pytest.mark.parametrize(("one", "other"), [(0, 255), (255, 0), (0, 4), (0, 5), (250, 255)])
def test_one_pixel_decides_by_its_true_difference(one: int, other: int) -> None:
    prints = alike(2, 0.0, 0.0)
    for fingerprint_, level in zip(prints, (one, other), strict=True):
        fingerprint_.thumbnail[5, 7] = level
    assert near_duplicates(prints) == one_by_one(prints) == [(0, 1)] * (abs(one - other) <= 4)


# The mean may differ by exactly 0.75 of a level: 768 of 1024 pixels by one.
@pytest.mark.parametrize(("pixels", "found"), [(768, [(0, 1)]), (769, [])])
def test_the_limit_of_the_mean_is_part_of_what_is_near(
    pixels: int, found: list[tuple[int, int]]
) -> None:
    prints = alike(2, 0.0, 0.0)
    prints[1].thumbnail.ravel()[:pixels] += np.uint8(1)
    assert near_duplicates(prints) == one_by_one(prints) == found


# Flat pictures differ by little and are not near for that: contrast sets the limit.
def test_the_contrast_of_the_first_of_a_pair_sets_the_limit() -> None:
    flat = np.full((32, 32), 128, np.uint8)
    grained = flat.copy()
    grained[::4, ::4] += np.uint8(4)  # contrast 0.47, difference to flat 0.25
    same = np.uint64(0)
    pair = [Fingerprint("a", flat, same), Fingerprint("b", grained, same)]
    assert near_duplicates(pair) == one_by_one(pair) == []


def test_the_hash_still_finds_the_candidates() -> None:
    one, other = alike(2, 0.0, 0.0)
    for bits, found in ((0xFF, [(0, 1)]), (0x1FF, [])):
        flipped = Fingerprint("x", other.thumbnail, other.frequencies ^ np.uint64(bits))
        assert near_duplicates([one, flipped]) == found


# Among copies of one file only another file can be near: none pairs with its own copy.
def test_many_exact_copies_cost_nothing_and_are_near_to_others_only() -> None:
    one, other = alike(2, 0.0, 0.0)
    copies = [Fingerprint("same", one.thumbnail, one.frequencies) for _ in range(50)]
    assert near_duplicates(copies) == []
    assert near_duplicates([*copies, other, copies[0]]) == [(0, 50), (50, 51)]


# Every pair passes the hash and is compared: 2 million comparisons, a minute of Python.
@pytest.mark.parametrize(("grain", "mottle"), [(0.3, 2.0), (1.5, 0.0), (0.3, 0.0)])
def test_thousands_of_like_pictures_are_compared_in_seconds(grain: float, mottle: float) -> None:
    prints = alike(2000, grain, mottle)
    start = time.process_time()
    found = near_duplicates(prints)
    assert time.process_time() - start < 12
    assert len(found) == (1999 if (grain, mottle) == (0.3, 0.0) else 0)


def test_no_picture_has_no_duplicate() -> None:
    assert exact_duplicates([]) == []
    assert near_duplicates([]) == []


def test_what_is_kept_does_not_grow_with_the_picture() -> None:
    kept = fingerprint(scene(9, (600, 800)))
    assert kept.thumbnail.shape == (32, 32)
    assert kept.thumbnail.base is None
    assert kept.frequencies.dtype == np.uint64

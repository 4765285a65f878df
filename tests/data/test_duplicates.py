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
    return [fingerprint(image, sha256=str(index)) for index, image in enumerate(images)]


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
        fingerprint(image, "same"),
        fingerprint(scene(8), "other"),
        fingerprint(image, "same"),
    ]
    assert near_duplicates(copies) == []
    assert exact_duplicates(copies) == [[0, 2]]


def test_black_pictures_of_two_sizes_are_near() -> None:
    black = [np.zeros((side, side, 3), np.uint8) for side in (40, 50)]
    assert near_duplicates(prints(*black)) == [(0, 1)]


def test_no_picture_has_no_duplicate() -> None:
    assert exact_duplicates([]) == []
    assert near_duplicates([]) == []


def test_what_is_kept_does_not_grow_with_the_picture() -> None:
    kept = fingerprint(scene(9, (600, 800)), "x")
    assert kept.thumbnail.shape == (32, 32)
    assert kept.thumbnail.base is None
    assert kept.frequencies.dtype == np.uint64

"""Defects: exact masks, the promised strength, the promised shapes."""

import numpy as np
import pytest
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy import ndimage

from snlad.demo.defects import DEFECT_TYPES, DefectType, Pixels, make_defect

SIDE = 96
KINDS = pytest.mark.parametrize("kind", DEFECT_TYPES)
SEEDS = range(4)


def noise(seed: int, *, mean: float = 128, spread: float = 20, grain: float = 1.0) -> Pixels:
    """A colourless texture of blurred noise."""
    grey = ndimage.gaussian_filter(default_rng(seed).normal(size=(SIDE, SIDE)), grain)
    grey = mean + spread * grey / grey.std()
    return np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def stripes() -> Pixels:
    """Vertical stripes, eight pixels from one to the next."""
    row = np.where(np.arange(SIDE) % 8 < 4, 90, 170).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (SIDE, SIDE, 3)).copy()


CROP, DONOR = noise(0), noise(1, grain=3.0)


def make(
    kind: DefectType,
    crop: Pixels = CROP,
    donor: Pixels = DONOR,
    *,
    seed: int = 0,
    strength: float = 1,
) -> tuple[Pixels, NDArray[np.bool_]]:
    return make_defect(kind, crop, donor, default_rng(seed), strength=strength)


def change(kind: DefectType, seed: int, strength: float) -> float:
    """Mean absolute change inside the mask, in grey levels."""
    picture, mask = make(kind, seed=seed, strength=strength)
    return float(np.abs(picture[mask].astype(int) - CROP[mask]).mean())


def test_the_five_kinds_of_defect_are_there() -> None:
    assert DEFECT_TYPES == ("scratch", "blob", "contrast", "rotated", "foreign")


@KINDS
@pytest.mark.parametrize("crop", [CROP, stripes(), noise(2, mean=5, spread=3)], ids=["n", "s", "d"])
def test_the_mask_is_exactly_the_set_of_changed_pixels(kind: DefectType, crop: Pixels) -> None:
    for seed in SEEDS:
        picture, mask = make(kind, crop, seed=seed)
        np.testing.assert_array_equal(mask, (picture != crop).any(axis=2))


@KINDS
@pytest.mark.parametrize("level", [0, 255])
def test_even_on_a_flat_black_or_white_crop_the_mask_is_what_changed(
    kind: DefectType, level: int
) -> None:
    # a rotated patch of a flat crop equals it: each pixel is then moved by one level
    crop = np.full((SIDE, SIDE, 3), level, dtype=np.uint8)
    picture, mask = make(kind, crop)
    assert mask.any()
    np.testing.assert_array_equal(mask, (picture != crop).any(axis=2))


@KINDS
def test_the_mask_is_one_piece_without_holes(kind: DefectType) -> None:
    for seed in SEEDS:
        _, mask = make(kind, seed=seed)
        pieces, count = ndimage.label(mask, structure=np.ones((3, 3)))
        assert count == 1, pieces
        np.testing.assert_array_equal(ndimage.binary_fill_holes(mask), mask)


@KINDS
def test_a_defect_is_small_beside_its_picture(kind: DefectType) -> None:
    for seed in SEEDS:
        _, mask = make(kind, seed=seed)
        assert 40 < mask.sum() < 0.2 * mask.size


@KINDS
def test_a_defect_lies_wholly_inside_the_picture(kind: DefectType) -> None:
    for seed in SEEDS:
        _, mask = make(kind, seed=seed)
        assert not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


@KINDS
def test_the_same_generator_paints_the_same_defect(kind: DefectType) -> None:
    first, again, other = make(kind, seed=3), make(kind, seed=3), make(kind, seed=4)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


@KINDS
def test_the_crop_and_the_donor_are_left_alone(kind: DefectType) -> None:
    crop, donor = CROP.copy(), DONOR.copy()
    make(kind, crop, donor)
    np.testing.assert_array_equal(crop, CROP)
    np.testing.assert_array_equal(donor, DONOR)


@KINDS
def test_more_strength_changes_more(kind: DefectType) -> None:
    weak = np.mean([change(kind, seed, 0.3) for seed in SEEDS])
    plain = np.mean([change(kind, seed, 1.0) for seed in SEEDS])
    assert plain > 1.5 * weak


@pytest.mark.parametrize("kind", ["scratch", "blob", "contrast"])
def test_strength_zero_is_invisible(kind: DefectType) -> None:
    picture, _ = make(kind, strength=0)
    assert np.abs(picture.astype(int) - CROP).max() <= 1


@KINDS
def test_contrast_is_near_the_textures_own(kind: DefectType) -> None:
    # the texture spreads by 20 levels around its mean
    for seed in SEEDS:
        assert 5 < change(kind, seed, 1.0) < 60


@pytest.mark.parametrize(("kind", "contrast"), [("scratch", 1.6), ("blob", 1.1)])
def test_a_tone_is_measured_in_the_textures_spread(kind: DefectType, contrast: float) -> None:
    # at the defect's most opaque pixel the offset is contrast x spread, one rounding apart
    picture, mask = make(kind)
    offset = np.abs(picture.astype(int) - CROP)[mask].max()
    spread = np.diff(np.percentile(CROP[..., 0], [16, 84]))[0] / 2
    assert offset == pytest.approx(contrast * spread, abs=1)


def test_a_blob_lets_the_texture_through() -> None:
    picture, mask = make("blob")
    core = ndimage.binary_erosion(mask, iterations=3)
    shift = picture[core].astype(int) - CROP[core]
    assert shift.std() < 1  # a plain offset: the texture's own variation is kept


@pytest.mark.parametrize(("mean", "sign"), [(4, 1), (251, -1)])
@pytest.mark.parametrize("kind", ["scratch", "blob"])
def test_dark_textures_get_light_defects_and_light_ones_dark(
    kind: DefectType, mean: int, sign: int
) -> None:
    crop = noise(2, mean=mean, spread=3)
    for seed in SEEDS:
        picture, mask = make(kind, crop, seed=seed)
        assert np.sign((picture[mask].astype(int) - crop[mask]).mean()) == sign


@pytest.mark.parametrize("kind", ["scratch", "blob"])
def test_defects_on_middle_grey_are_light_or_dark(kind: DefectType) -> None:
    signs = set()
    for seed in range(12):
        picture, mask = make(kind, seed=seed)
        signs.add(np.sign((picture[mask].astype(int) - CROP[mask]).mean()))
    assert signs == {-1, 1}


def test_a_contrast_defect_washes_out_or_exaggerates() -> None:
    ratios = []
    for seed in range(12):
        picture, mask = make("contrast", seed=seed)
        core = ndimage.binary_erosion(mask, iterations=3)
        ratios.append(picture[core].std() / CROP[core].std())
        assert picture[core].mean() == pytest.approx(CROP[core].mean(), abs=12)
    assert min(ratios) == pytest.approx(np.exp(-0.9), abs=0.05)
    assert 1.5 < max(ratios) < np.exp(0.9 * 0.75) + 0.05


def test_a_rotated_patch_turns_the_stripes() -> None:
    crop = stripes()
    for seed in SEEDS:
        picture, mask = make("rotated", crop, seed=seed)
        core = ndimage.binary_erosion(mask, iterations=2)
        inside = picture[..., 0].astype(float)
        along = np.abs(np.diff(inside, axis=0))[core[1:] & core[:-1]].mean()
        assert along > 5  # vertical stripes do not change along a column
        # nothing but the stripes' own levels is used, but for one level where it had not changed
        assert picture[core].min() >= 90
        assert picture[core].max() <= 170 + 1


def test_a_foreign_patch_carries_the_donors_pattern_at_the_crops_level() -> None:
    crop, donor = noise(0, mean=100), stripes()
    picture, mask = make("foreign", crop, donor)
    core = ndimage.binary_erosion(mask, iterations=2)
    rows, columns = np.nonzero(core)
    patch = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1, 0].astype(int)
    assert np.ptp(patch, axis=0).max() <= 1  # upright stripes, but for pixels moved by one level
    assert patch.mean() == pytest.approx(100, abs=20)
    assert patch[0].std() == pytest.approx(20, abs=3)  # the crop's spread, not the donor's 40


def test_only_a_foreign_patch_looks_at_the_donor() -> None:
    for kind in DEFECT_TYPES:
        with_noise, _ = make(kind, donor=DONOR)
        with_stripes, _ = make(kind, donor=stripes())
        assert (with_noise == with_stripes).all() == (kind != "foreign")


def test_a_coloured_foreign_patch_brings_no_colour_into_a_grey_texture() -> None:
    donor = default_rng(5).integers(0, 256, size=(SIDE, SIDE, 3), dtype=np.uint8)
    picture, mask = make("foreign", CROP, donor)
    assert (np.ptp(picture[mask].astype(int), axis=1) <= 1).all()


def test_of_several_places_the_most_visible_is_kept() -> None:
    # half the picture is flat: a rotated patch is invisible there
    crop = CROP.copy()
    crop[:, : SIDE // 2] = 128
    seen = 0
    for seed in range(12):
        picture, mask = make("rotated", crop, seed=seed)
        seen += np.abs(picture[mask].astype(int) - crop[mask]).mean() > 3
    assert seen >= 9  # one blind place in two would show about seven

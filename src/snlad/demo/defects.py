"""Synthetic defects on a crop: five kinds, contrast in the texture's own spread, exact masks.

Every painter returns what the defect looks like and how opaque it is; `make_defect` composes them
so that the mask is exactly the set of changed pixels.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
DefectType = Literal["scratch", "blob", "contrast", "rotated", "foreign"]
Painter = Callable[[Floats, Floats, Generator, float], tuple[Floats, Floats]]

DEFECT_TYPES: tuple[DefectType, ...] = get_args(DefectType)
SUPERSAMPLING = 4  # a scratch is drawn this many times larger, then reduced: soft edges
MIN_OPACITY = 0.1  # below it a soft edge is invisible, and so not part of the defect
MIN_SPREAD = 7.0  # grey levels; a flat crop still gets a visible defect
ATTEMPTS = 3  # places tried; the one where the defect changes most is kept
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's mode "L"


def make_defect(
    kind: DefectType, crop: Pixels, donor: Pixels, rng: Generator, *, strength: float = 1.0
) -> tuple[Pixels, Mask]:
    """Paint one defect on a crop.

    Args:
        kind: the defect.
        crop: (H, W, 3), not changed.
        donor: (H, W, 3), a crop of another class; only "foreign" looks at it.
        rng: the source of place, shape and tone.
        strength: factor on contrast; 0 is invisible, 1 near the texture's own contrast.

    Returns:
        The defective picture (H, W, 3) and the mask (H, W) of exactly its changed pixels.
    """
    attempts = [
        _compose(crop, *PAINTERS[kind](crop.astype(float), donor.astype(float), rng, strength))
        for _ in range(ATTEMPTS)
    ]
    return max(attempts, key=lambda attempt: _visibility(crop, *attempt))


def _visibility(crop: Pixels, picture: Pixels, mask: Mask) -> float:
    """Mean absolute change inside the mask, in grey levels."""
    return float(np.abs(picture[mask].astype(float) - crop[mask]).mean()) if mask.any() else 0.0


def _compose(crop: Pixels, painted: Floats, opacity: Floats) -> tuple[Pixels, Mask]:
    """Blend, then move each pixel that came out unchanged by one level: the mask has no holes."""
    mask = opacity > MIN_OPACITY
    blend = crop + opacity[..., None] * (painted - crop)
    picture = np.where(mask[..., None], np.clip(np.rint(blend), 0, 255), crop).astype(np.uint8)
    unchanged = mask & (picture == crop).all(axis=2)
    picture[unchanged] = np.where(crop[unchanged] < 255, crop[unchanged] + 1, 254)
    return picture, mask


def paint_scratch(
    crop: Floats, _donor: Floats, rng: Generator, strength: float
) -> tuple[Floats, Floats]:
    """A thin curved line, lighter or darker than the texture."""
    side = crop.shape[0] * SUPERSAMPLING
    angle, length = rng.uniform(0, np.pi), rng.uniform(0.35, 0.6) * side
    along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    centre = rng.uniform(0.32, 0.68, size=2) * side
    bend = centre + rng.uniform(-0.4, 0.4) * along[::-1] * [-1, 1]
    t = np.linspace(0, 1, 40)[:, None]
    curve = (1 - t) ** 2 * (centre - along) + 2 * t * (1 - t) * bend + t**2 * (centre + along)
    canvas = Image.new("L", (side, side))
    width = int(rng.integers(5, 10))
    ImageDraw.Draw(canvas).line([tuple(p) for p in curve], fill=255, width=width, joint="curve")
    opacity = np.asarray(canvas.reduce(SUPERSAMPLING)) / 255
    return crop + _tone(crop, rng, 1.6 * strength), opacity


def paint_blob(
    crop: Floats, _donor: Floats, rng: Generator, strength: float
) -> tuple[Floats, Floats]:
    """A stain with soft edges that lets the texture through."""
    opacity = _soft_shape(crop.shape[0], rng, radius=(6, 12), edge=1.5)
    return crop + _tone(crop, rng, 1.1 * strength), opacity


def paint_contrast(
    crop: Floats, _donor: Floats, rng: Generator, strength: float
) -> tuple[Floats, Floats]:
    """A spot whose texture is washed out or exaggerated, with the spot's mean kept."""
    opacity = _soft_shape(crop.shape[0], rng, radius=(11, 17), edge=2.0)
    mean = np.average(crop, axis=(0, 1), weights=np.repeat(opacity[..., None], 3, axis=2))
    gain = np.exp(rng.choice([-1.0, 0.75]) * 0.9 * strength)
    return mean + gain * (crop - mean), opacity


def paint_rotated(
    crop: Floats, _donor: Floats, rng: Generator, strength: float
) -> tuple[Floats, Floats]:
    """A square piece of the crop turned in its place."""
    half = int(rng.integers(10, 16))
    reach = int(np.ceil(half * np.sqrt(2))) + 1  # the turned square's corners stay inside
    y, x = rng.integers(reach, crop.shape[0] - reach, size=2)
    window = (slice(y - reach, y + reach + 1), slice(x - reach, x + reach + 1))
    painted = crop.copy()
    angle = rng.uniform(50, 130)
    painted[window] = ndimage.rotate(crop[window], angle, reshape=False, order=1, mode="reflect")
    return painted, _square(crop.shape[0], (int(y), int(x)), half) * min(1.0, strength)


def paint_foreign(
    crop: Floats, donor: Floats, rng: Generator, strength: float
) -> tuple[Floats, Floats]:
    """A square piece of another class, its mean and spread moved to the crop's own."""
    half = int(rng.integers(8, 13))
    y, x, from_y, from_x = rng.integers(half + 1, crop.shape[0] - half - 1, size=4)
    size = np.arange(-half, half + 1)
    here, there = np.ix_(size + y, size + x), np.ix_(size + from_y, size + from_x)
    grey = (donor @ LUMINANCE)[there]
    pattern = (grey - grey.mean()) / max(grey.std(), MIN_SPREAD)
    mean = crop[here].mean(axis=(0, 1))
    painted = crop.copy()
    painted[here] = mean + pattern[..., None] * _spread(crop)
    return painted, _square(crop.shape[0], (int(y), int(x)), half) * min(1.0, strength)


def _spread(crop: Floats) -> Floats:
    """Half the range of the middle two thirds, by channel, in grey levels (robust to stars)."""
    low, high = np.percentile(crop, [16, 84], axis=(0, 1))
    return np.asarray(np.maximum((high - low) / 2, MIN_SPREAD))


def _tone(crop: Floats, rng: Generator, contrast: float) -> Floats:
    """An offset of `contrast` spreads, light or dark, light where dark would be clipped."""
    offset = contrast * _spread(crop)
    mean = crop.mean(axis=(0, 1))
    sign = rng.choice([-1.0, 1.0])
    if (mean < offset).any():
        sign = 1.0
    elif (mean + offset > 255).any():
        sign = -1.0
    return np.asarray(sign * offset)


def _soft_shape(side: int, rng: Generator, *, radius: tuple[float, float], edge: float) -> Floats:
    """Opacity of a wobbling disc; radius and the width of its soft edge in pixels."""
    size = rng.uniform(*radius)
    margin = 1.25 * size + 2 * edge
    y, x = rng.uniform(margin, side - margin, size=2)
    rows, columns = np.mgrid[:side, :side]
    angle = np.arctan2(rows - y, columns - x)
    phases = rng.uniform(0, 2 * np.pi, size=2)
    wobble = 1 + 0.15 * np.cos(2 * angle + phases[0]) + 0.1 * np.cos(3 * angle + phases[1])
    distance = np.hypot(rows - y, columns - x) - size * wobble
    return np.asarray(np.clip(0.5 - distance / (2 * edge), 0, 1))


def _square(side: int, centre: tuple[int, int], half: int) -> Floats:
    """Opacity of a square with one soft pixel around it."""
    distance = np.maximum(*np.abs(np.mgrid[:side, :side] - np.reshape(centre, (2, 1, 1))))
    return np.asarray(np.clip(half + 0.5 - distance, 0, 1))


PAINTERS: dict[DefectType, Painter] = {
    "scratch": paint_scratch,
    "blob": paint_blob,
    "contrast": paint_contrast,
    "rotated": paint_rotated,
    "foreign": paint_foreign,
}

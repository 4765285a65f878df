"""The embedded data set: crops of real pictures that ship with scikit-image, in MVTec AD layout.

Training, calibration and test crops come from boxes that share no pixel: a crop that overlaps those
the model trained on says little about the next picture. A defect borrows only from test boxes.
"""

import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from snlad.demo.defects import DEFECT_TYPES, Pixels, make_defect
from snlad.demo.sources import TEXTURES, Box, Texture
from snlad.errors import MissingExtraError

CROP_PX = 128
TRAIN_NORMAL = 36
TEST_NORMAL = 12
CALIBRATION_NORMAL = 20
DEFECTS_OF_A_TYPE = 3
CANDIDATES = 8  # places tried for each crop; the farthest from the others wins


LICENCES_HEAD = """\
# Where these pictures come from

Each class is made of crops of one picture that ships with scikit-image (https://scikit-image.org).
Pictures were cropped, some reduced or stretched in contrast; the defects were painted by snlad.
"""


def write_textures(folder: Path, *, seed: int = 0, strength: float = 1.0) -> Path:
    """Write the embedded data set; the same seed and strength give the same bytes.

    Args:
        folder: written to `folder/CLASS/train/good` and so on; made if absent.
        seed: of the places of crops and of the defects.
        strength: factor on the contrast of the defects.

    Returns:
        The folder.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    pictures = {texture.class_name: _read(texture) for texture in TEXTURES}
    for texture in TEXTURES:
        rng = _generator(texture, seed)
        root = folder / texture.class_name
        picture = pictures[texture.class_name]
        for split, boxes, count in (
            ("train", texture.regions.train, TRAIN_NORMAL),
            ("test", texture.regions.test, TEST_NORMAL),
        ):
            _write_crops(root / split / "good", picture, place_crops(boxes, count, rng))
        _write_defects(root, texture, pictures, rng, strength)
    _write_licences(folder)
    return folder


def write_calibration(folder: Path, *, seed: int = 0) -> Path:
    """Write good pictures to calibrate on; the same seed gives the same bytes.

    Args:
        folder: written to `folder/CLASS`; made if absent.
        seed: of the places of crops.

    Returns:
        The folder.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    for texture in TEXTURES:
        places = place_crops(
            texture.regions.calibration, CALIBRATION_NORMAL, _generator(texture, seed)
        )
        _write_crops(folder / texture.class_name, _read(texture), places)
    _write_licences(folder)
    return folder


def place_crops(boxes: tuple[Box, ...], count: int, rng: Generator) -> list[Box]:
    """Spread `count` square crops over the boxes, each one wholly inside a box."""
    corners = np.array([b[:2] for b in boxes])
    freedom = np.array([(b[2] - b[0], b[3] - b[1]) for b in boxes]) - CROP_PX + 1
    share = freedom.prod(axis=1) / freedom.prod(axis=1).sum()
    placed = np.empty((0, 2), dtype=np.int64)
    for _ in range(count):
        inside = rng.choice(len(boxes), size=CANDIDATES, p=share)
        candidates = corners[inside] + rng.integers(0, freedom[inside])
        gaps = np.abs(candidates[:, None] - placed[None]).sum(axis=2)
        best = candidates[gaps.min(axis=1, initial=np.iinfo(np.int64).max).argmax()]
        placed = np.vstack([placed, best])
    return [(int(y), int(x), int(y) + CROP_PX, int(x) + CROP_PX) for y, x in placed]


def _write_defects(
    root: Path, texture: Texture, pictures: dict[str, Pixels], rng: Generator, strength: float
) -> None:
    """Write the test defects of one class with their masks."""
    others = [other for other in TEXTURES if other is not texture]
    places = iter(place_crops(texture.regions.test, len(DEFECT_TYPES) * DEFECTS_OF_A_TYPE, rng))
    for kind in DEFECT_TYPES:
        for index in range(DEFECTS_OF_A_TYPE):
            other = others[rng.integers(len(others))]
            donor = _cut(pictures[other.class_name], place_crops(other.regions.test, 1, rng)[0])
            crop = _cut(pictures[texture.class_name], next(places))
            picture, mask = make_defect(kind, crop, donor, rng, strength=strength)
            _write(root / "test" / kind / f"{index:03d}.png", picture)
            _write(root / "ground_truth" / kind / f"{index:03d}_mask.png", mask)


def _generator(texture: Texture, seed: int) -> Generator:
    """Each class draws from its own stream."""
    return np.random.default_rng([seed, zlib.crc32(texture.class_name.encode())])


def _read(texture: Texture) -> Pixels:
    """Read one picture of the installed scikit-image without importing it (its import is slow)."""
    package = find_spec("skimage")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("snlad demo", "demo")
    path = Path(package.submodule_search_locations[0]) / "data" / texture.file
    black, white = texture.levels
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB").reduce(texture.reduce), dtype=float)
    gain = 255 / (white - black)
    grain = np.random.default_rng(0).uniform(-0.5, 0.5, size=(*pixels.shape[:2], 1)) * (gain - 1)
    stretched = (pixels - black) * gain + grain  # no gaps between levels for a defect to fill
    return np.clip(np.rint(stretched), 0, 255).astype(np.uint8)


def _cut(picture: Pixels, place: Box) -> Pixels:
    """The pixels of a box."""
    top, left, bottom, right = place
    return picture[top:bottom, left:right]


def _write(path: Path, picture: NDArray[np.uint8] | NDArray[np.bool_]) -> None:
    """Write a picture or a mask (0 and 255) as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = picture * np.uint8(255) if picture.dtype == bool else picture
    Image.fromarray(pixels).save(path, compress_level=1)


def _write_crops(folder: Path, picture: Pixels, places: list[Box]) -> None:
    for index, place in enumerate(places):
        _write(folder / f"{index:03d}.png", _cut(picture, place))


def _write_licences(folder: Path) -> None:
    """Say whose picture each class is, and what was changed."""
    classes = "\n".join(
        f"- **{t.class_name}** (`{t.file}`, reduced by {t.reduce}, levels {t.levels}): {t.credit}."
        for t in TEXTURES
    )
    text = f"{LICENCES_HEAD}\n{classes}\n"
    (folder / "DATA-LICENSES.md").write_text(text, encoding="utf-8")

"""The embedded data set: crops of real pictures that ship with scikit-image, in MVTec AD layout.

Training and test crops come from boxes that share no pixel; a defect borrows only from test boxes.
"""

import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from snlad.demo.defects import DEFECT_TYPES, Pixels, make_defect
from snlad.errors import MissingExtraError

Box = tuple[int, int, int, int]  # top, left, bottom, right, in pixels of the reduced picture

CROP_PX = 128
TRAIN_NORMAL = 36
TEST_NORMAL = 12
DEFECTS_OF_A_TYPE = 3
CANDIDATES = 8  # places tried for each crop; the farthest from the others wins


LICENCES_HEAD = """\
# Where these pictures come from

Each class is made of crops of one picture that ships with scikit-image (https://scikit-image.org).
Pictures were cropped, some reduced or stretched in contrast; the defects were painted by snlad.
"""


class Regions(NamedTuple):
    """Where crops may lie; training and test boxes share no pixel."""

    train: tuple[Box, ...]
    test: tuple[Box, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """One class: a picture, how it is prepared, its regions, and whom to thank."""

    class_name: str
    file: str
    reduce: int = 1  # pixels averaged along each side
    levels: tuple[int, int] = (0, 255)  # grey levels stretched to black and white, with grain
    regions: Regions
    credit: str


# Regions were chosen so that mean, contrast and sharpness alone do not tell training from test.
MIDDLE_ROWS = Regions(
    train=((0, 0, 176, 512), (336, 0, 512, 512)),
    test=((176, 0, 336, 512),),
)
MIDDLE_COLUMNS = Regions(
    train=((0, 0, 512, 176), (0, 336, 512, 512)),
    test=((0, 176, 512, 336),),
)
TEXTURES = (
    Texture(
        class_name="brick",
        file="brick.png",
        regions=MIDDLE_ROWS,
        credit="Bricks25 of CC0Textures (https://cc0textures.com/view.php?tex=Bricks25), CC0",
    ),
    Texture(
        class_name="film",
        file="cell.png",
        levels=(20, 120),
        regions=Regions(train=((285, 0, 660, 330),), test=((125, 0, 285, 330),)),
        credit="The empty part of a phase image by Paul Müller, Mirjam Schürmann, Salvatore"
        " Girardo, Gheorghe Cojoc and Jochen Guck (https://doi.org/10.1364/OE.26.010729), CC0",
    ),
    Texture(
        class_name="grass",
        file="grass.png",
        regions=MIDDLE_COLUMNS,
        credit="Grass 01 by linolafett"
        " (https://www.deviantart.com/linolafett/art/Grass-01-434853879), CC0",
    ),
    Texture(
        class_name="gravel",
        file="gravel.png",
        regions=MIDDLE_COLUMNS,
        credit="Gravel04 of CC0Textures (https://cc0textures.com/view.php?tex=Gravel04), CC0",
    ),
    Texture(
        class_name="retina",
        file="retina.jpg",
        reduce=2,
        regions=Regions(  # neither fovea nor optic disc
            train=((80, 180, 280, 540), (210, 480, 420, 650)), test=((420, 180, 620, 540),)
        ),
        credit="Fundus photograph of normal left eye by Mikael Häggström"
        " (https://doi.org/10.15347/wjm/2014.008), CC0",
    ),
    Texture(
        class_name="stars",
        file="hubble_deep_field.jpg",
        reduce=2,
        regions=Regions(train=((0, 0, 288, 500),), test=((288, 0, 436, 500),)),
        credit="Hubble eXtreme Deep Field, NASA"
        " (http://hubblesite.org/newscenter/archive/releases/2012/37/image/a/), public domain",
    ),
    Texture(
        class_name="tissue",
        file="ihc.png",
        regions=MIDDLE_COLUMNS,
        credit="Immunohistochemical staining of colonic glands, Center for Microscopy and Molecular"
        " Imaging (CMMI), no known copyright restrictions",
    ),
)


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
        rng = np.random.default_rng([seed, zlib.crc32(texture.class_name.encode())])
        root = folder / texture.class_name
        picture = pictures[texture.class_name]
        for split, boxes, count in (
            ("train", texture.regions.train, TRAIN_NORMAL),
            ("test", texture.regions.test, TEST_NORMAL),
        ):
            for index, place in enumerate(place_crops(boxes, count, rng)):
                _write(root / split / "good" / f"{index:03d}.png", _cut(picture, place))
        _write_defects(root, texture, pictures, rng, strength)
    (folder / "DATA-LICENSES.md").write_text(_licences(), encoding="utf-8")
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


def _licences() -> str:
    """The text of DATA-LICENSES.md: whose picture each class is, and what was changed."""
    classes = "\n".join(
        f"- **{t.class_name}** (`{t.file}`, reduced by {t.reduce}, levels {t.levels}): {t.credit}."
        for t in TEXTURES
    )
    return f"{LICENCES_HEAD}\n{classes}\n"

"""Whose pictures the embedded data set is cut from, and where: a row a class."""

from dataclasses import dataclass
from typing import NamedTuple

Box = tuple[int, int, int, int]  # top, left, bottom, right, in pixels of the reduced picture


class Regions(NamedTuple):
    """Where crops may lie; the boxes of two purposes share no pixel."""

    train: tuple[Box, ...]
    calibration: tuple[Box, ...]
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


# Chosen so that mean, contrast, sharpness and colour alone do not tell training from test, and
# calibration from either as little as these pictures allow; no model was asked.
MIDDLE_ROWS = Regions(
    train=((0, 200, 176, 512), (336, 0, 512, 312)),
    calibration=((0, 0, 176, 200), (336, 312, 512, 512)),
    test=((176, 0, 336, 512),),
)
MIDDLE_COLUMNS = Regions(
    train=((0, 0, 312, 176), (200, 336, 512, 512)),
    calibration=((312, 0, 512, 176), (0, 336, 200, 512)),
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
        regions=Regions(
            train=((285, 140, 660, 330),),
            calibration=((285, 0, 660, 140),),
            test=((125, 0, 285, 330),),
        ),
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
            train=((80, 180, 280, 320), (210, 480, 420, 650)),
            calibration=((80, 320, 280, 480),),
            test=((420, 180, 620, 540),),
        ),
        credit="Fundus photograph of normal left eye by Mikael Häggström"
        " (https://doi.org/10.15347/wjm/2014.008), CC0",
    ),
    Texture(
        class_name="stars",
        file="hubble_deep_field.jpg",
        reduce=2,
        regions=Regions(
            train=((0, 0, 288, 330),),
            calibration=((0, 330, 288, 500),),
            test=((288, 0, 436, 500),),
        ),
        credit="Hubble eXtreme Deep Field, NASA"
        " (http://hubblesite.org/newscenter/archive/releases/2012/37/image/a/), public domain",
    ),
    Texture(
        class_name="tissue",
        file="ihc.png",
        regions=Regions(
            train=((0, 0, 200, 176), (0, 336, 512, 512)),
            calibration=((200, 0, 512, 176),),
            test=((0, 176, 512, 336),),
        ),
        credit="Immunohistochemical staining of colonic glands, Center for Microscopy and Molecular"
        " Imaging (CMMI), no known copyright restrictions",
    ),
)

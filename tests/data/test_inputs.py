"""Network inputs all at once: stacked, tiles cut of pictures that are read once, bad ones named."""

import numpy as np
import pytest
from PIL import Image

from snlad.data import inputs
from snlad.data.images import read_image, resize_image
from snlad.data.inputs import load_inputs, load_tiles, read_sizes
from snlad.data.tiles import Tiling, cut
from snlad.errors import ImageError


@pytest.fixture
def files(tmp_path, paint):
    return [paint(tmp_path / f"{index}.png", (40 + index, 60)) for index in range(3)]


def test_inputs_are_stacked_and_a_bad_one_is_named(files, tmp_path):
    found = load_inputs(files, (3, 3))
    assert found.shape == (3, 3, 3, 3)
    np.testing.assert_array_equal(found[1], resize_image(read_image(files[1]), (3, 3)))
    (tmp_path / "bad.png").write_bytes(b"")
    for load in (load_inputs, lambda paths, size: read_sizes(paths)):
        with pytest.raises(ImageError, match=r"bad\.png"):
            load([*files, tmp_path / "bad.png"], (3, 3))


def test_with_tiles_the_middle_one_stands_for_its_picture(files):
    middle = load_inputs(files[:1], (24, 24), Tiling(24, 8))
    np.testing.assert_array_equal(middle[0], read_image(files[0])[:24, 16:40])


def test_tiles_are_cut_then_stretched_and_each_picture_is_read_once(files, monkeypatch):
    boxes = [(0, 0, 24, 24), (8, 8, 32, 32), (16, 36, 40, 60)]
    paths, read = [files[0], files[1], files[0]], []
    monkeypatch.setattr(inputs, "read_image", lambda path: (read.append(path), read_image(path))[1])
    tiles = load_tiles(paths, boxes, (16, 20))
    assert sorted(read) == files[:2]
    for tile, path, box in zip(tiles, paths, boxes, strict=True):
        np.testing.assert_array_equal(tile, resize_image(cut(read_image(path), box), (16, 20)))


def test_sizes_are_those_of_pictures_turned_upright(files, tmp_path):
    picture, exif = Image.open(files[0]), Image.Exif()
    exif[274] = 6  # a quarter turn
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert read_sizes([*files[:2], tmp_path / "turned.jpg"]) == [(40, 60), (41, 60), (60, 40)]

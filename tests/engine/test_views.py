"""Views: pictures as a whole, or their tiles with the masks of each."""

import numpy as np
import pytest
from PIL import Image

from snlad.data.roi import FittedRois
from snlad.data.samples import Sample
from snlad.data.tiles import Tiling
from snlad.engine.views import View, choose_views, valid_pixels
from snlad.errors import ImageError

SIZE = (64, 64)


@pytest.fixture
def samples(tmp_path):
    """Two pictures of 100 x 100 pixels of class a, and one of 100 x 64 of class b."""
    found = []
    for index, (name, size) in enumerate([("a", (100, 100)), ("a", (100, 100)), ("b", (100, 64))]):
        path = tmp_path / f"{index}.png"
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path)
        found.append(Sample(path=path, class_name=name, split="train", is_anomalous=False))
    return found


def half(height=100, width=100):
    roi = np.zeros((height, width), bool)
    roi[:, : width // 2] = True
    return roi


def test_without_tiles_each_picture_is_a_view(samples):
    views = choose_views(samples, FittedRois({"a": half()}, SIZE), None)
    assert [(view.sample, view.box) for view in views] == [(0, None), (1, None), (2, None)]
    assert views[0].seen[:, :31].all()
    assert not views[0].seen[:, 32:].any()
    assert views[0].inspected.mean() == 0.5
    assert views[2].seen is views[2].inspected is None


def test_with_tiles_each_tile_is_a_view_picture_by_picture(samples):
    views = choose_views(samples, FittedRois({}, SIZE), Tiling(64, 16))
    assert [view.sample for view in views] == [0] * 4 + [1] * 4 + [2] * 2
    assert views[1].box == (0, 36, 64, 100)
    assert views[9].box == (36, 0, 100, 64)
    assert all(view.seen is view.inspected is None for view in views)


def test_tiles_that_are_not_inspected_are_left_out(samples):
    roi = half()
    roi[:, 30:] = False
    views = choose_views(samples, FittedRois({"a": roi}, SIZE), Tiling(64, 16))
    assert [view.sample for view in views] == [0, 0, 1, 1, 2, 2]
    assert views[0].box == (0, 0, 64, 64)
    assert views[0].seen[:, :29].all()
    assert not views[0].seen[:, 30:].any()
    assert views[0].inspected.mean() == pytest.approx(30 / 64)
    assert views[0].seen is views[2].seen  # of one class and size: kept once


def test_a_mask_of_another_size_than_its_pictures_lies_over_them(samples):
    views = choose_views(samples[:1], FittedRois({"a": half(50, 200)}, SIZE), Tiling(50, 0))
    assert [view.box[1] for view in views] == [0, 0]
    assert all(view.inspected.all() for view in views)


def test_a_mask_thinner_than_a_pixel_keeps_one(samples):
    roi = np.zeros((2000, 2000), bool)
    roi[:, 777:779] = True  # 39 of 100, less than a pixel of the tile's
    views = choose_views(samples[:1], FittedRois({"a": roi | half(2000, 2000)}, SIZE), None)
    assert views[0].inspected.any()
    thin = FittedRois({"a": half()}, SIZE)
    thin._rois = {"a": roi}
    for box in ((0, 0, 64, 64), (36, 36, 100, 100)):
        seen, inspected = thin.of_tile("a", (100, 100), box)
        assert seen.any()
        assert inspected.any()


def test_valid_pixels_are_stacked_where_some_do_not_count():
    inside = np.zeros((256, 256), bool)
    assert valid_pixels([View(0), View(1)]) is None
    valid = valid_pixels([View(0), View(1, inspected=inside)])
    assert valid.shape == (2, 1, 256, 256)
    assert valid[0].all()
    assert not valid[1].any()


def test_a_picture_to_be_cut_that_cannot_be_read_is_named(samples):
    samples[1].path.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"1\.png"):
        choose_views(samples, FittedRois({}, SIZE), Tiling(64, 16))

"""Inspection by tiles with a stub for the networks: highest score, one map, masks and classes."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from snlad import inspection
from snlad.calibration.class_answer import AnswerLimits
from snlad.data.limits import learn_limits, measure_picture
from snlad.data.loading import load_picture
from snlad.data.roi import BLANK, FittedRois
from snlad.data.tiles import Tiling
from snlad.inspection import Inspector, Output

SIZE = (256, 256)


class Stub:
    """Mean of the pixels around each, as far as ``reach``; its highest pixel; its mean as class."""

    map_names = ("half", "overall")

    def __init__(self, reach: int = 3) -> None:
        self.field, self.seen = 2 * reach + 1, []

    def map(self, picture: np.ndarray) -> np.ndarray:
        grey = picture.mean(axis=2, dtype=np.float32) / 255
        return ndimage.uniform_filter(grey, self.field, mode="reflect")

    def run(self, pictures: np.ndarray) -> Output:
        self.seen += list(pictures)
        overall = np.stack([self.map(one) for one in pictures])
        means = pictures.mean(axis=(1, 2, 3))[:, None] / 255
        return Output(
            overall.max(axis=(1, 2)),
            {"half": overall / 2, "overall": overall},
            np.abs(means - np.array([[0.1, 0.5]])),
        )


def make(network, tiling, rois=None, limits=None, how="max") -> Inspector:
    config = SimpleNamespace(
        image_size=SIZE, tiling=tiling, maps=SimpleNamespace(score=how, centers=0)
    )
    card = SimpleNamespace(config=config, limits=limits or {}, classes={"a": 1, "b": 1})
    return Inspector(network, card, FittedRois(rois or {}, SIZE))


def draw(height, width, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def inspect(inspector, picture, stated=None, limits=None):
    (found,) = inspector.inspect([load_picture(picture, SIZE)], [stated], limits)
    return found


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.integers(256, 700), st.integers(256, 700), st.integers(4, 128), st.data())
def test_a_network_that_looks_less_far_than_the_overlap_gives_one_map(height, width, overlap, data):
    network = Stub(data.draw(st.integers(0, overlap // 2 - 1)))
    picture = draw(height, width)
    found = inspect(make(network, Tiling(256, overlap)), picture)
    whole = network.map(picture)
    np.testing.assert_allclose(found.maps["overall"], whole, atol=1e-5)
    np.testing.assert_allclose(found.maps["half"], whole / 2, atol=1e-5)


def test_the_score_is_that_of_the_highest_tile():
    picture = np.zeros((600, 600, 3), np.uint8)
    picture[560:, 560:] = 255
    network = Stub()
    inspector = make(network, Tiling(256, 32))
    assert inspect(inspector, picture).score == 1.0
    assert len(network.seen) == 1 + 9  # the whole, which tells the class, and its tiles
    scores = [float(network.map(tile).max()) for tile in network.seen[1:]]
    assert sorted(scores)[-2:] == [0.0, 1.0]


def test_without_tiles_a_picture_is_inspected_whole():
    network = Stub()
    found = inspect(make(network, None), draw(300, 500))
    assert len(network.seen) == 1
    assert found.maps["overall"].shape == SIZE


def test_the_class_and_the_limits_are_those_of_the_whole_picture():
    dark = np.full((512, 512, 3), 26, np.uint8)
    dark[:256, :256] = 255  # a tile that alone would be of neither class
    dark[256:] = 0
    limits = AnswerLimits({"a": 1.0, "b": 1.0}, 1.0)
    usual = load_picture(np.full((512, 512, 3), 200, np.uint8), SIZE)
    known = learn_limits([measure_picture(usual.fitted, (512, 512))])
    inspector = make(Stub(), Tiling(256, 32), limits={"a": known, "b": known})
    found = inspect(inspector, dark, limits=limits)
    assert found.answer == "a"
    np.testing.assert_allclose(found.distances, [0.1760, 0.2239], atol=0.01)
    assert found.cause == "exposure"
    assert inspect(inspector, usual.original, limits=limits).cause is None


def test_what_is_not_inspected_moves_no_tile():
    roi = np.zeros((600, 600), bool)
    roi[:, :300] = True
    dim, bright = np.full((2, 600, 600, 3), 50, np.uint8)
    bright[:, 300:] = 255
    network = Stub()
    inspector = make(network, Tiling(256, 32), {"a": roi})
    found = [inspect(inspector, picture, stated="a") for picture in (dim, bright)]
    assert found[0].score == found[1].score
    for kind in ("half", "overall"):
        np.testing.assert_array_equal(found[0].maps[kind][:, :280], found[1].maps[kind][:, :280])
    assert len(network.seen) == 2 * (1 + 6)  # the third column of tiles shows nothing inspected
    assert inspect(inspector, bright, stated="b").score == 1.0


def test_a_tile_counts_only_where_it_is_inspected():
    roi = np.zeros((256, 480), bool)
    roi[:, 100:110] = True
    picture = np.zeros((256, 480, 3), np.uint8)
    picture[:, 100:110] = 200
    picture[:, 300:] = 255
    network = Stub(0)
    found = inspect(make(network, Tiling(256, 32), {"a": roi}), picture, stated="a")
    assert found.score == pytest.approx(200 / 255)
    assert len(network.seen) == 2
    assert (network.seen[1][:, 110:] == BLANK).all()


def test_a_picture_without_a_size_is_a_tile_inspected_everywhere():
    roi = np.zeros((600, 600), bool)
    roi[:300] = True
    network = Stub()
    tile = draw(*SIZE)
    picture = inspection.Picture(path=None, fitted=tile)
    inspector = make(network, Tiling(256, 32), {"a": roi})
    (found,) = inspector.inspect([picture], ["a"], None)
    assert len(network.seen) == 1
    np.testing.assert_array_equal(found.maps["overall"], network.map(tile))


def test_a_cut_model_refuses_a_picture_whose_pixels_were_dropped():
    picture = load_picture(draw(300, 300), SIZE, keep_original=False)
    with pytest.raises(AssertionError, match="needs the decoded picture"):
        make(Stub(), Tiling(256, 32)).inspect([picture], [None], None)


def test_a_damaged_tile_makes_the_score_not_a_number():
    class Damaged(Stub):
        def run(self, pictures):
            found = super().run(pictures)
            found.scores[pictures.max(axis=(1, 2, 3)) == 0] = np.nan
            return found

    picture = np.full((300, 600, 3), 100, np.uint8)
    picture[:, 300:] = 0
    assert np.isnan(inspect(make(Damaged(), Tiling(256, 32)), picture).score)


def test_more_tiles_than_the_networks_see_at_once_change_nothing(monkeypatch):
    picture = draw(700, 700)
    once = inspect(make(Stub(), Tiling(256, 32)), picture)
    monkeypatch.setattr(inspection, "_TILES", 2)
    parts = inspect(make(Stub(), Tiling(256, 32)), picture)
    assert once.score == parts.score
    np.testing.assert_array_equal(once.maps["overall"], parts.maps["overall"])

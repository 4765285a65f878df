"""The embedded data set: layout, the same bytes, and no test pixel in training."""

import hashlib
import itertools
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import default_rng
from numpy.typing import NDArray
from PIL import Image

from snlad.data.check import check_dataset
from snlad.data.opening import open_dataset
from snlad.demo import textures
from snlad.demo.defects import DEFECT_TYPES
from snlad.demo.sources import TEXTURES, Box, Texture
from snlad.demo.textures import CROP_PX, place_crops, write_calibration, write_textures
from snlad.errors import MissingExtraError

EACH_TEXTURE = pytest.mark.parametrize("texture", TEXTURES, ids=lambda texture: texture.class_name)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_textures(tmp_path_factory.mktemp("textures"))


@pytest.fixture(scope="module")
def aside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_calibration(tmp_path_factory.mktemp("calibration"))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two classes with few pictures: enough to compare whole sets quickly."""
    monkeypatch.setattr(textures, "TEXTURES", TEXTURES[:2])
    monkeypatch.setattr(textures, "TRAIN_NORMAL", 2)
    monkeypatch.setattr(textures, "TEST_NORMAL", 2)
    monkeypatch.setattr(textures, "DEFECTS_OF_A_TYPE", 1)


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def overlap(one: Box, other: Box) -> bool:
    return max(one[0], other[0]) < min(one[2], other[2]) and max(one[1], other[1]) < min(
        one[3], other[3]
    )


def inside(crop: Box, box: Box) -> bool:
    return box[0] <= crop[0] and box[1] <= crop[1] and crop[2] <= box[2] and crop[3] <= box[3]


def windows(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint64]:
    """A hash of every side x side window of the green channel, wrapping around in 64 bits."""
    hashed = picture[..., 1].astype(np.uint64)
    weights = default_rng(0).integers(1, 2**63, size=(2, side), dtype=np.uint64)
    last = picture.shape[0] - side + 1  # pictures are square
    hashed = sum(w * hashed[k : k + last] for k, w in enumerate(weights[0]))
    return sum(w * hashed[:, k : k + last] for k, w in enumerate(weights[1]))


# -- what is written


def test_there_are_at_least_five_classes_of_real_pictures() -> None:
    assert len({texture.file for texture in TEXTURES}) == len(TEXTURES) >= 5


def test_the_layout_is_read_as_mvtec_with_every_picture_and_mask(root: Path) -> None:
    dataset = open_dataset(root)
    assert dataset.layout.startswith("mvtec")
    assert dataset.class_names == tuple(sorted(texture.class_name for texture in TEXTURES))
    assert len(dataset.train_normal) == len(TEXTURES) * 36
    defects = [sample for sample in dataset.test if sample.is_anomalous]
    assert len(dataset.test) - len(defects) == len(TEXTURES) * 12
    assert len(defects) == len(TEXTURES) * 15
    assert all(sample.mask is not None for sample in defects)


def test_calibration_pictures_are_good_ones_of_every_class_and_keep_a_promise_of_5_percent(
    aside: Path,
) -> None:
    dataset = open_dataset(aside)
    counts = Counter(sample.class_name for sample in dataset.train_normal)
    assert counts == {texture.class_name: 20 for texture in TEXTURES}
    assert not dataset.test
    assert "CC0" in (aside / "DATA-LICENSES.md").read_text(encoding="utf-8")


@EACH_TEXTURE
def test_each_class_has_three_defects_of_each_type(root: Path, texture: Texture) -> None:
    for kind in DEFECT_TYPES:
        names = [
            path.stem for path in sorted((root / texture.class_name / "test" / kind).iterdir())
        ]
        masks = sorted((root / texture.class_name / "ground_truth" / kind).iterdir())
        assert names == ["000", "001", "002"]
        assert [path.stem for path in masks] == [f"{name}_mask" for name in names]


@EACH_TEXTURE
def test_pictures_are_rgb_of_one_size_and_masks_black_and_white(
    root: Path, texture: Texture
) -> None:
    for path in (root / texture.class_name).rglob("*.png"):
        picture = pixels(path)
        if "ground_truth" in path.parts:
            assert picture.shape == (CROP_PX, CROP_PX)
            assert set(np.unique(picture)) == {0, 255}
        else:
            assert picture.shape == (CROP_PX, CROP_PX, 3)
            assert picture.dtype == np.uint8


@EACH_TEXTURE
def test_no_picture_is_flat_or_written_twice(root: Path, texture: Texture) -> None:
    pictures = [
        path
        for path in (root / texture.class_name).rglob("*.png")
        if "ground_truth" not in path.parts
    ]
    assert len({path.read_bytes() for path in pictures}) == len(pictures)
    assert min(pixels(path).std() for path in pictures) > 5


def test_licences_name_every_class_its_file_and_its_terms(root: Path) -> None:
    text = (root / "DATA-LICENSES.md").read_text(encoding="utf-8")
    lines = {line.split("**")[1]: line for line in text.splitlines() if line.startswith("- ")}
    assert set(lines) == {texture.class_name for texture in TEXTURES}
    for texture in TEXTURES:
        assert texture.file in lines[texture.class_name]
        assert any(
            terms in lines[texture.class_name]
            for terms in ("CC0", "public domain", "no known copyright restrictions")
        )


# -- the same bytes each time


@pytest.mark.usefixtures("few")
def test_a_seed_gives_the_same_bytes_each_time(tmp_path: Path) -> None:
    first = digests(write_textures(tmp_path / "a", seed=1))
    assert first == digests(write_textures(tmp_path / "b", seed=1))
    assert len(first) == 2 * (2 + 2 + 5 + 5) + 1
    aside = digests(write_calibration(tmp_path / "c", seed=1))
    assert aside == digests(write_calibration(tmp_path / "d", seed=1))


@pytest.mark.usefixtures("few")
def test_another_seed_gives_other_pictures(tmp_path: Path) -> None:
    first = digests(write_textures(tmp_path / "a", seed=1))
    second = digests(write_textures(tmp_path / "b", seed=2))
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] == second[name]] == ["DATA-LICENSES.md"]


@pytest.mark.usefixtures("few")
def test_strength_changes_defects_and_nothing_else(tmp_path: Path) -> None:
    plain = digests(write_textures(tmp_path / "a"))
    weak = digests(write_textures(tmp_path / "b", strength=0.5))
    for name in plain:
        if "/good/" in name:
            assert plain[name] == weak[name]
        elif "/test/" in name:
            assert plain[name] != weak[name]


@pytest.mark.usefixtures("few")
def test_a_class_does_not_depend_on_the_other_classes_normals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # each class draws from its own stream: a class added later changes no normal picture
    two = digests(write_textures(tmp_path / "a"))
    monkeypatch.setattr(textures, "TEXTURES", TEXTURES[1:3])
    shifted = digests(write_textures(tmp_path / "b"))
    shared = [name for name in two if name in shifted and "/good/" in name]
    assert len(shared) == 4
    assert all(two[name] == shifted[name] for name in shared)


# -- no test pixel in training


@EACH_TEXTURE
def test_boxes_of_two_purposes_share_no_pixel(texture: Texture) -> None:
    for some, others in itertools.combinations(texture.regions, 2):
        assert not any(overlap(one, other) for one, other in itertools.product(some, others))


@EACH_TEXTURE
def test_boxes_lie_inside_the_picture_and_hold_a_crop(texture: Texture) -> None:
    height, width, _ = textures._read(texture).shape
    for box in itertools.chain(*texture.regions):
        assert inside(box, (0, 0, height, width))
        assert box[2] - box[0] > CROP_PX
        assert box[3] - box[1] > CROP_PX


@EACH_TEXTURE
def test_every_training_crop_is_cut_from_a_training_box(root: Path, texture: Texture) -> None:
    _assert_cut_from(root / texture.class_name / "train" / "good", texture, texture.regions.train)


@EACH_TEXTURE
def test_every_test_crop_is_cut_from_a_test_box(root: Path, texture: Texture) -> None:
    _assert_cut_from(root / texture.class_name / "test" / "good", texture, texture.regions.test)


@EACH_TEXTURE
def test_every_calibration_crop_is_cut_from_a_calibration_box(
    aside: Path, texture: Texture
) -> None:
    _assert_cut_from(aside / texture.class_name, texture, texture.regions.calibration)


def _assert_cut_from(folder: Path, texture: Texture, boxes: tuple[Box, ...]) -> None:
    picture = textures._read(texture)
    starts = sliding_window_view(picture[:, :, 0], 8, axis=1)[: 1 - CROP_PX, : 8 - CROP_PX]
    for path in sorted(folder.iterdir())[::6]:  # a search over the whole picture: a sample of them
        crop = pixels(path)
        places = np.argwhere((starts == crop[0, :8, 0]).all(axis=2))
        found = [
            (y, x, y + CROP_PX, x + CROP_PX)
            for y, x in places.tolist()
            if np.array_equal(picture[y : y + CROP_PX, x : x + CROP_PX], crop)
        ]
        assert len(found) == 1
        assert any(inside(found[0], box) for box in boxes)


def test_no_window_of_a_test_picture_occurs_in_any_training_picture(root: Path) -> None:
    # pixel comparison over all classes at once: also what a defect borrows from another class;
    # of the test windows every fourth in both directions, so no shared 19 x 19 piece escapes
    train = np.sort([windows(pixels(p), 16) for p in root.glob("*/train/good/*.png")], axis=None)
    paths = sorted(root.glob("*/test/*/*.png"))
    test = np.stack([windows(pixels(path), 16)[::4, ::4].ravel() for path in paths])
    nearest = train[np.minimum(np.searchsorted(train, test), train.size - 1)]
    shared = (nearest == test).any(axis=1)
    assert [path for path, found in zip(paths, shared, strict=True) if found] == []


def test_no_window_of_a_calibration_picture_occurs_in_any_other(root: Path, aside: Path) -> None:
    paths = [*root.glob("*/train/good/*.png"), *root.glob("*/test/*/*.png")]
    others = np.sort([windows(pixels(path), 16) for path in paths], axis=None)
    for path in aside.glob("*/*.png"):
        own = windows(pixels(path), 16)[::4, ::4].ravel()
        nearest = others[np.minimum(np.searchsorted(others, own), others.size - 1)]
        assert not (nearest == own).any(), path


def test_the_fingerprint_finds_a_window_that_moved() -> None:
    # guards the test above: a shared window is found wherever it lies
    one, other = default_rng(0).integers(0, 256, size=(2, 40, 40, 3), dtype=np.uint8)
    assert not np.isin(windows(one, 16), windows(other, 16)).any()
    other[3:19, 20:36] = one[10:26, 5:21]
    assert np.argwhere(np.isin(windows(one, 16), windows(other, 16))).tolist() == [[10, 5]]


def test_the_data_check_finds_nothing_to_say(root: Path) -> None:
    # no copy in training and test, and no trivial statistic tells defects or the splits apart
    assert check_dataset(open_dataset(root)).findings == ()


# -- where crops lie


def test_crops_lie_wholly_inside_the_boxes() -> None:
    boxes = ((0, 0, CROP_PX, CROP_PX + 9), (200, 300, 200 + CROP_PX + 5, 300 + CROP_PX))
    for crop in place_crops(boxes, 30, default_rng(0)):
        assert crop[2] - crop[0] == crop[3] - crop[1] == CROP_PX
        assert any(inside(crop, box) for box in boxes)


def test_a_box_of_the_size_of_a_crop_holds_just_that_crop() -> None:
    box = (7, 9, 7 + CROP_PX, 9 + CROP_PX)
    assert place_crops((box,), 2, default_rng(0)) == [box, box]


def test_crops_reach_both_ends_of_a_box() -> None:
    corners = {crop[1] for crop in place_crops(((0, 0, CROP_PX, CROP_PX + 2),), 30, default_rng(0))}
    assert corners == {0, 1, 2}


def test_larger_boxes_get_more_crops() -> None:
    small, large = (0, 0, CROP_PX + 9, CROP_PX + 9), (300, 0, CROP_PX + 329, CROP_PX + 29)
    crops = place_crops((small, large), 60, default_rng(0))
    assert sum(crop[0] >= 300 for crop in crops) > 40


def test_crops_are_spread_further_apart_than_by_chance() -> None:
    def nearest(crops: list[Box]) -> float:
        corners = np.array([crop[:2] for crop in crops])
        gaps = np.abs(corners[:, None] - corners[None]).sum(axis=2)
        return float(np.median(np.where(gaps == 0, np.inf, gaps).min(axis=1)))

    box = (0, 0, 512, 512)
    by_chance = [(int(y), int(x), 0, 0) for y, x in default_rng(0).integers(0, 385, size=(30, 2))]
    assert nearest(place_crops((box,), 30, default_rng(0))) > 1.3 * nearest(by_chance)


# -- scikit-image


def test_without_scikit_image_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(textures, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'snlad\[demo\]'"):
        write_textures(tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_pictures_are_read_without_importing_scikit_image(root: Path) -> None:
    assert root.exists()
    assert "skimage" not in sys.modules

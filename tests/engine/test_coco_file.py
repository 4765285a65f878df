"""The COCO file: the regions of the rows as masks of the picture, in constant memory, whole."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.calibration.regions import find_regions
from snlad.data.masks import resize_nearest
from snlad.engine.coco_file import CocoFile
from snlad.types import MAP_SIZE, Prediction

CLASSES = ("bolt", "nut")


@pytest.fixture(scope="module")
def judged(predicted):
    """A prediction with regions where a mask (256, 256) says so, of a picture of some size."""

    def make(mask: np.ndarray, size: tuple[int, int] = (512, 768), **fields) -> Prediction:
        overall = np.where(mask, 2.0, 0.5).astype(np.float32)
        min_area = fields.pop("min_area", 0.0)
        return predicted(
            **{
                "maps": {"overall": overall},
                "pred_mask": mask,
                "regions": find_regions(overall, mask, size, min_area),
                "image": np.empty((*size, 3), np.uint8),
            }
            | fields
        )

    return make


def mask_of(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(MAP_SIZE, bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def written(folder: Path, *predictions: Prediction, min_area: float = 0.0) -> dict:
    file = CocoFile(folder / "p.coco.json", CLASSES, min_area)
    for number, prediction in enumerate(predictions):
        file.add(number, prediction)
    file.close()
    assert [path.name for path in folder.iterdir()] == ["p.coco.json"]
    return json.loads((folder / "p.coco.json").read_bytes())


@pytest.fixture(scope="module")
def painted(expand_rle):
    """The mask of an annotation, as a tool would decode it."""

    def paint(annotation: dict) -> np.ndarray:
        height, width = annotation["segmentation"]["size"]
        lengths = expand_rle(annotation["segmentation"]["counts"])
        values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        return values.reshape(width, height).T

    return paint


def test_one_region_by_hand(judged, expand_rle, tmp_path):
    """Two by three pixels of the map are four by nine of the picture; text by pycocotools."""
    found = written(tmp_path, judged(mask_of((10, 12, 20, 23)), path="a/b.png", class_name="nut"))
    lengths = [60 * 512 + 20, *[4, 508] * 8, 4]
    lengths.append(512 * 768 - sum(lengths))
    text = "dPn04l?000000000000000\\_m:"
    assert expand_rle(text) == lengths
    assert found == {
        "categories": [
            {"id": 1, "name": "bolt anomaly", "supercategory": "anomaly"},
            {"id": 2, "name": "nut anomaly", "supercategory": "anomaly"},
            {"id": 3, "name": "anomaly", "supercategory": "anomaly"},
        ],
        "images": [{"id": 0, "file_name": "a/b.png", "width": 768, "height": 512}],
        "annotations": [
            {
                "id": 1,
                "image_id": 0,
                "category_id": 2,
                "segmentation": {"size": [512, 768], "counts": text},
                "bbox": [60, 20, 9, 4],
                "area": 36,
                "iscrowd": 0,
                "score": 2.0,
            }
        ],
    }


def test_annotations_are_the_rows_regions_in_their_order(judged, tmp_path):
    first = judged(mask_of((0, 9, 0, 9), (100, 120, 50, 60)), class_name="bolt")
    second = judged(mask_of())
    third = judged(mask_of((0, 256, 0, 256)))
    first.maps["overall"][110, 55] = 9.5
    first.regions[:] = find_regions(first.maps["overall"], first.pred_mask, (512, 768))
    found = written(tmp_path, first, second, third)
    assert [image["id"] for image in found["images"]] == [0, 1, 2]
    assert [
        (a["id"], a["image_id"], a["category_id"], a["score"]) for a in found["annotations"]
    ] == [
        (1, 0, 1, 9.5),
        (2, 0, 1, 2.0),
        (3, 2, 3, 2.0),
    ]
    assert [a["bbox"] for a in found["annotations"]] == [
        [150, 200, 30, 40],
        [0, 0, 27, 18],
        [0, 0, 768, 512],
    ]


def test_regions_below_the_smallest_area_have_no_annotation(judged, tmp_path):
    mask = mask_of((0, 1, 0, 1), (50, 60, 50, 60))
    found = written(tmp_path, judged(mask, min_area=100.0), min_area=100.0)
    assert [a["area"] for a in found["annotations"]] == [20 * 30]


def test_an_unreadable_picture_is_neither_image_nor_annotation(judged, predicted, tmp_path):
    bad = predicted(error="bad", pred_score=None, image=None, maps={})
    found = written(tmp_path, bad, judged(mask_of((0, 1, 0, 1))), bad)
    assert [image["id"] for image in found["images"]] == [1]  # the number of its row
    assert [a["image_id"] for a in found["annotations"]] == [1]


def test_no_picture_is_a_file_without_images(tmp_path):
    assert written(tmp_path)["images"] == written(tmp_path)["annotations"] == []


@pytest.mark.parametrize("name", ["a\tb\n.png", '",]}\\.png', "\udcff.png", "名前.png"])
def test_any_name_is_kept_exactly(judged, tmp_path, name):
    found = written(tmp_path, judged(mask_of((0, 1, 0, 1)), path=name), judged(mask_of()))
    assert [image["file_name"] for image in found["images"]] == [name, "a/b.png"]


# A region between the centres of the pixels of a small picture would vanish.
@pytest.mark.parametrize(("size", "box"), [((16, 16), [6, 3, 1, 1]), ((1, 1), [0, 0, 1, 1])])
def test_a_region_smaller_than_a_pixel_of_the_picture_keeps_one(judged, tmp_path, size, box):
    (annotation,) = written(tmp_path, judged(mask_of((50, 51, 100, 101)), size))["annotations"]
    assert (annotation["area"], annotation["bbox"]) == (1, box)


@given(
    st.lists(st.tuples(*[st.integers(0, 250), st.integers(1, 40)] * 2), max_size=6),
    st.sampled_from([(256, 256), (48, 60), (300, 1), (400, 300), (7, 900)]),
)
@settings(deadline=None, derandomize=True, max_examples=40)
def test_masks_boxes_and_areas_agree(tmp_path_factory, judged, painted, boxes, size):
    mask = mask_of(*[(top, top + high, left, left + wide) for top, high, left, wide in boxes])
    prediction = judged(mask, size)
    annotations = written(tmp_path_factory.mktemp("coco"), prediction)["annotations"]
    assert [a["score"] for a in annotations] == [r["score"] for r in prediction.regions]
    together = np.zeros(size, bool)
    for annotation in annotations:
        part = painted(annotation)
        rows, columns = np.nonzero(part)
        assert annotation["area"] == len(rows) > 0
        corner, far = (columns.min(), rows.min()), (columns.max(), rows.max())
        assert annotation["bbox"] == [*corner, far[0] + 1 - corner[0], far[1] + 1 - corner[1]]
        together |= part
    assert (together >= resize_nearest(mask, size)).all()
    if min(size) >= 256:  # no region had to be kept
        np.testing.assert_array_equal(together, resize_nearest(mask, size))


def test_a_job_that_is_killed_leaves_its_lines_and_no_broken_file(judged, tmp_path):
    file = CocoFile(tmp_path / "p.coco.json", CLASSES)
    file.add(0, judged(mask_of((0, 1, 0, 1))))
    assert [path.name for path in tmp_path.iterdir()] == ["p.coco.json.part"]
    image, annotations = (tmp_path / "p.coco.json.part").read_text().rstrip("\n").split("\t")
    assert json.loads(image)["id"] == json.loads(annotations)["image_id"] == 0
    file.close()


def test_a_full_disk_names_the_lines_file_and_makes_no_broken_one(judged, tmp_path, limited_files):
    file = CocoFile(tmp_path / "p.coco.json", CLASSES)
    file.add(0, judged(mask_of((0, 1, 0, 1))))
    with limited_files(400):
        for step in (
            lambda: file.add(1, judged(mask_of((0, 1, 0, 1), (9, 10, 9, 10)))),
            file.close,
        ):
            with pytest.raises(OSError, match="File too large") as caught:
                step()
            assert caught.value.filename == str(tmp_path / "p.coco.json.part")
    assert [path.name for path in tmp_path.iterdir()] == ["p.coco.json.part"]


def test_a_full_disk_at_the_end_names_the_file_and_keeps_the_lines(judged, tmp_path, limited_files):
    file = CocoFile(tmp_path / "p.coco.json", CLASSES)
    for number in range(9):
        file.add(number, judged(mask_of((0, 1, 0, 1))))
    with limited_files(400), pytest.raises(OSError, match="File too large") as caught:
        file.close()
    assert caught.value.filename == str(tmp_path / "p.coco.json.new")
    assert not (tmp_path / "p.coco.json").exists()
    assert len((tmp_path / "p.coco.json.part").read_text().splitlines()) == 9


def test_memory_does_not_grow_with_the_pictures(judged, tmp_path):
    """Six megabytes on disk pass through less than two in memory."""
    prediction = judged(mask_of((0, 9, 0, 9)), (64, 64), path="x" * 100_000)
    file = CocoFile(tmp_path / "p.coco.json", CLASSES)
    file.add(0, prediction)
    tracemalloc.start()
    for number in range(1, 60):
        file.add(number, prediction)
    file.close()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "p.coco.json").stat().st_size > 6e6
    assert peak < 2e6

from pathlib import Path

import numpy as np
import pytest

from snlad.data.samples import Sample
from snlad.data.statistics import STATISTICS, Separation, measure, separations, trivial_row


def measured(image: np.ndarray, file_bytes: int = 1000) -> dict[str, float]:
    return dict(zip(STATISTICS, measure(image, file_bytes), strict=True))


def sample(split: str, is_anomalous: bool, name: str = "bolt") -> Sample:
    return Sample(path=Path("x"), class_name=name, split=split, is_anomalous=is_anomalous)


def test_there_are_eight_statistics() -> None:
    assert len(STATISTICS) == len(set(STATISTICS)) == 8


def test_a_plain_picture_worked_by_hand() -> None:
    values = measured(np.full((4, 7, 3), (200, 100, 60), np.uint8), file_bytes=321)
    assert values["mean"] == 125  # 0.299 * 200 + 0.587 * 100 + 0.114 * 60 = 125.34, a whole level
    assert values["contrast"] == 0
    assert values["sharpness"] == 0
    assert values["red_green"] == 100
    assert values["blue_yellow"] == -90  # 60 - (200 + 100) / 2
    assert (values["height"], values["width"], values["file_bytes"]) == (4, 7, 321)


def test_contrast_and_sharpness_worked_by_hand() -> None:
    stripes = np.zeros((2, 4, 3), np.uint8)
    stripes[:, ::2] = 100
    values = measured(stripes)
    assert values["contrast"] == 50
    assert values["sharpness"] == pytest.approx(600 / 10)  # six steps of 100 and four of 0
    halves = np.zeros((2, 4, 3), np.uint8)
    halves[:, :2] = 100
    assert measured(halves)["contrast"] == 50
    assert measured(halves)["sharpness"] == pytest.approx(200 / 10)


def test_a_single_pixel_has_statistics() -> None:
    assert np.isfinite(measure(np.zeros((1, 1, 3), np.uint8), 70)).all()


def rows(*values: float, at: str) -> list[np.ndarray]:
    measures = np.ones((len(values), 8))
    measures[:, STATISTICS.index(at)] = values
    return list(measures)


def test_a_cue_in_either_direction_separates_and_others_do_not() -> None:
    samples = [sample("test", False)] * 2 + [sample("test", True)] * 3
    for defects in ((5, 6, 7), (1, 2, 3)):
        (one,) = separations(samples, rows(4, 4, *defects, at="sharpness"))
        assert one.comparison == "test normals vs test defects"
        assert one.counts == (2, 3)
        assert one.best == "sharpness"
        assert one.auroc == dict.fromkeys(STATISTICS, 0.5) | {"sharpness": 1.0}


def test_ties_count_half() -> None:
    samples = [sample("test", False)] * 2 + [sample("test", True)] * 2
    (one,) = separations(samples, rows(1, 2, 2, 3, at="mean"))
    assert one.auroc["mean"] == pytest.approx(0.875)  # of 4 pairs: 3 won, 1 tied


def test_train_and_test_normals_are_compared_per_class() -> None:
    parts = [("train", False), ("train", False), ("test", False), ("test", True)]
    samples = [sample(*part, name) for name in ("nut", "bolt") for part in parts]
    values = rows(1, 2, 9, 0, 1, 3, 2, 2, at="width")
    found = separations(samples, values)
    assert [(s.class_name, s.comparison, s.auroc["width"]) for s in found] == [
        ("bolt", "test normals vs test defects", 0.5),
        ("bolt", "train normals vs test normals", 0.5),
        ("nut", "test normals vs test defects", 1.0),
        ("nut", "train normals vs test normals", 1.0),
    ]


def test_a_class_without_both_parts_is_left_out_and_so_are_bad_pictures() -> None:
    samples = [sample("train", False), sample("test", True), sample("test", False)]
    assert separations(samples, [*rows(1, 2, at="mean"), None]) == ()


def test_the_trivial_row_takes_the_best_statistic_on_the_test() -> None:
    areas = dict.fromkeys(STATISTICS, 0.5) | {"mean": 0.8, "file_bytes": 0.95}
    found = [
        Separation("bolt", "test normals vs test defects", (2, 3), areas),
        Separation("bolt", "train normals vs test normals", (4, 2), areas | {"width": 1.0}),
    ]
    assert trivial_row(found) == {"bolt": 0.95}

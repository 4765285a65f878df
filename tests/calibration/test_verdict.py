"""The verdict: ok only where the score is low, the product is known and nobody disagrees."""

import numpy as np
import pytest

from snlad.calibration.record import Calibration, find_limits
from snlad.calibration.verdict import give_verdict

SCORES = {"a": [float(i) for i in range(40)], "b": [float(i) for i in range(100, 140)]}
CLASSES, POOLED = find_limits(SCORES, SCORES, 0.05)
CALIBRATION = Calibration(
    version=1,
    previous=None,
    created="",
    by="",
    target_fpr=0.05,
    source="",
    data="",
    model="",
    classes=CLASSES,
    pooled=POOLED,
    scores=SCORES,
    peaks=SCORES,
)


def verdict(score: float, **changed: object) -> dict:
    known = {
        "calibration": CALIBRATION,
        "overall": np.full((4, 4), score),
        "inspected": np.ones((4, 4), bool),
        "stated": None,
        "answer": "a",
        "is_unknown": False,
        "cause": None,
        "size": (8, 8),
        "min_area": 0.0,
    }
    return give_verdict(score=score, **{**known, **changed})


@pytest.mark.parametrize(
    ("score", "changed", "expected"),
    [
        (1.0, {}, ("ok", "score", "a", False)),
        (50.0, {}, ("ng", "score", "a", True)),
        (50.0, {"answer": "b"}, ("ok", "score", "b", False)),
        (50.0, {"stated": "b", "answer": "b"}, ("ok", "score", "b", False)),
        (50.0, {"stated": "b"}, ("not_judged", "class_mismatch", "b", False)),
        (1.0, {"answer": None, "is_unknown": True}, ("not_judged", "unknown_class", None, False)),
        (
            1.0,
            {"stated": "a", "answer": None, "is_unknown": True},
            ("not_judged", "unknown_class", "a", False),
        ),
        # a picture that cannot be judged is not, whatever its score; who it is comes first
        (1.0, {"cause": "sharpness"}, ("not_judged", "sharpness", "a", False)),
        (50.0, {"cause": "exposure"}, ("not_judged", "exposure", "a", True)),
        (1.0, {"stated": "b", "cause": "size"}, ("not_judged", "class_mismatch", "b", False)),
        # a model that cannot tell classes judges by what is stated, or by the pooled threshold
        (1.0, {"stated": "a", "answer": None, "is_unknown": None}, ("ok", "score", "a", False)),
        (135.0, {"answer": None, "is_unknown": None}, ("ok", "score", None, False)),
        (200.0, {"answer": None, "is_unknown": None}, ("ng", "score", None, True)),
    ],
)
def test_verdict_reason_class_and_label(score, changed, expected) -> None:
    found = verdict(score, **changed)
    keys = ("verdict", "reason", "class_name", "pred_label")
    assert tuple(found[key] for key in keys) == expected


def test_without_a_calibration_nothing_is_judged() -> None:
    found = verdict(1.0, calibration=None, is_unknown=None, stated="a")
    assert (found["verdict"], found["reason"]) == ("not_judged", "not_calibrated")
    assert "pred_label" not in found
    assert found["class_name"] == "a"


def test_pixels_outside_the_inspected_part_are_no_region() -> None:
    overall = np.full((4, 4), 0.0)
    overall[0, 0] = overall[3, 3] = 99.0
    inspected = np.ones((4, 4), bool)
    inspected[0] = False
    found = verdict(1.0, overall=overall, inspected=inspected)
    assert np.argwhere(found["pred_mask"]).tolist() == [[3, 3]]
    assert [region["box"] for region in found["regions"]] == [[6, 6, 2, 2]]


@pytest.mark.parametrize(
    ("stated", "answer", "expected"),
    [
        ("a", "b", ("ok", "score")),
        ("b", "a", ("ok", "score")),
        ("a", "c", ("not_judged", "class_mismatch")),
        ("c", "b", ("not_judged", "class_mismatch")),
        ("a", None, ("not_judged", "unknown_class")),
    ],
)
def test_a_class_that_cannot_be_told_from_the_stated_one_does_not_contradict_it(
    stated, answer, expected
) -> None:
    record = CALIBRATION.model_copy(update={"inseparable": [["a", "b"]]})
    found = verdict(
        1.0, calibration=record, stated=stated, answer=answer, is_unknown=answer is None
    )
    assert (found["verdict"], found["reason"]) == expected
    assert (found["class_name"], found["class_answer"]) == (stated, answer)

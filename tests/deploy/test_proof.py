"""The proof's numbers, worked by hand with models that say what they are told."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from snlad.calibration.record import Calibration, find_limits
from snlad.data.loading import Picture
from snlad.deploy.proof import Proof, prove, within_class_deviation
from snlad.deploy.tolerance import TOLERANCES
from snlad.errors import ArtifactError, UsageError
from snlad.types import Prediction, silent

SCORES = {"a": [1.0, 3.0], "b": [10.0, 10.0, 16.0]}


def calibration() -> Calibration:
    classes, pooled = find_limits(SCORES, SCORES, 0.5)
    return Calibration(
        version=1, previous=None, created="", by="", target_fpr=0.5, source="", data="", model="",
        classes=classes, pooled=pooled, scores=SCORES, peaks=SCORES,
    )  # fmt: skip


@dataclass
class Told:
    """A model that answers each picture with what stands in its place."""

    scores: list[float]
    map_: float = 0.0
    calibration: Calibration | None = None
    error: str | None = None
    cuts_tiles: bool = False

    def judge(self, pictures, names):
        rows = [self.scores.pop(0) for _ in pictures]
        return [
            Prediction(
                path="p", sha256=None, model="", time="", pred_score=score, threshold=5.0,
                pred_label=score > 5, verdict="ng" if score > 5 else "ok", error=self.error,
                maps={"overall": np.full((256, 256), self.map_, np.float32)},
            )
            for score in rows
        ]  # fmt: skip


def compare(ours: list[float], theirs: list[float], map_: float = 0.0) -> Proof:
    trained = Told(list(ours), calibration=calibration())
    pictures = [(Picture(path=None), None)] * len(ours)
    return prove(trained, Told(list(theirs), map_), pictures, len(ours), silent)


def test_the_scale_is_the_deviation_around_each_class_s_mean() -> None:
    # deviations -1, 1 around 2 and -2, -2, 4 around 12: squares 1 + 1 + 4 + 4 + 16 = 26 of five
    assert within_class_deviation(calibration()) == pytest.approx((26 / 5) ** 0.5)


def test_differences_are_in_units_of_the_scale() -> None:
    scale = (26 / 5) ** 0.5
    found = compare([1.0, 2.0, 7.0], [1.0, 2.5, 7.0], map_=0.25)
    assert found.pictures == 3
    assert found.scale == pytest.approx(scale)
    assert found.score_difference == pytest.approx(0.5 / scale)
    assert found.map_difference == pytest.approx(0.25 / scale)
    assert found.flipped == 0


def test_flips_are_counted_and_those_near_a_threshold_apart() -> None:
    far = [0.0] * 30
    found = compare([*far, 4.9, 5.1], [*far, 5.1, 5.2])
    assert (found.flipped, found.near, found.near_flipped) == (1, 20, 1)
    found = compare([*far, *[4.9] * 20], [9.0, *far[1:], *[4.9] * 20])
    assert (found.flipped, found.near, found.near_flipped) == (1, 20, 0)


def test_more_pictures_than_a_batch_are_all_compared() -> None:
    found = compare([1.0] * 40, [1.0] * 39 + [3.0])
    assert found.pictures == 40
    assert found.score_difference > 0.5


def proof(**fields) -> Proof:
    given = {
        "pictures": 200, "scale": 1.0, "score_difference": 0.0, "map_difference": 0.0,
        "flipped": 0, "near": 20, "near_flipped": 0, **fields,
    }  # fmt: skip
    return Proof(**given)


@pytest.mark.parametrize(
    ("precision", "fields", "passes"),
    [
        ("fp32", {"score_difference": 1e-3, "map_difference": 1e-3}, True),
        ("fp32", {"score_difference": 1.1e-3}, False),
        ("fp32", {"map_difference": 1.1e-3}, False),
        ("fp32", {"flipped": 1}, False),
        ("bf16", {"score_difference": 5e-2, "map_difference": 5e-2, "flipped": 2}, True),
        ("bf16", {"score_difference": 5.1e-2}, False),
        ("bf16", {"flipped": 3}, False),
        ("int8", {"score_difference": 9.0, "map_difference": 9.0, "flipped": 2}, True),
        ("int8", {"flipped": 3}, False),
    ],
)
def test_what_is_allowed(precision, fields, passes) -> None:
    if passes:
        proof(**fields).require(TOLERANCES[precision])
        return
    with pytest.raises(ArtifactError, match="nothing was written"):
        proof(**fields).require(TOLERANCES[precision])


def test_what_is_not_a_number_proves_nothing() -> None:
    for found in (compare([1.0, 2.0], [1.0, 2.0], map_=float("nan")),
                  compare([1.0, 2.0], [1.0, float("nan")])):  # fmt: skip
        with pytest.raises(ArtifactError, match="differs by nan"):
            found.require(TOLERANCES["int8"])


def test_one_score_a_class_gives_no_scale() -> None:
    scores = {"a": [1.0], "b": [4.0, 4.0]}
    with pytest.raises(UsageError, match="two or more pictures"):
        within_class_deviation(calibration().model_copy(update={"scores": scores}))


@pytest.mark.parametrize(
    "change", [{"reason": "size"}, {"class_name": "b"}, {"class_answer": "b"}, {"verdict": "ng"}]
)
def test_any_part_of_the_decision_counts(change) -> None:
    class Other(Told):
        def judge(self, pictures, names):
            return [replace(row, **change) for row in super().judge(pictures, names)]

    trained = Told([1.0], calibration=calibration())
    found = prove(trained, Other([1.0]), [(Picture(path=None), None)], 1, silent)
    assert found.flipped == 1


def test_a_picture_that_one_model_cannot_judge_ends_the_proof() -> None:
    trained = Told([1.0], calibration=calibration())
    with pytest.raises(ArtifactError, match="could not be compared: broken"):
        prove(trained, Told([1.0], error="broken"), [(Picture(path=None), None)], 1, silent)

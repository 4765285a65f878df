"""A run with its evaluation: read back as it was, or refused with the run's name."""

import json

import pytest

from snlad.engine.evaluated_run import load_evaluated, read_evaluated
from snlad.engine.scored import ScoredPicture, pictures_digest, save_scored
from snlad.errors import ArtifactError, UsageError
from snlad.metrics.evaluator import Evaluator


def picture(name, score, *, bad=False, class_name="a", is_ng=None) -> ScoredPicture:
    return ScoredPicture(
        path=f"{class_name}/{name}.png",
        sha256="5" * 64,
        class_name=class_name,
        defect_type="hole" if bad else "good",
        is_anomalous=bad,
        score=score,
        is_ng={} if is_ng is None else {"pooled threshold": True, "class threshold": is_ng},
    )


JUDGED = (
    picture("1", 2.0, bad=True, is_ng=True),
    picture("0", 1.0, is_ng=False),
    picture("0", 1.0, class_name="Z", is_ng=True),
)


def scores_of(pictures, **changed) -> dict:
    evaluator = Evaluator()
    for one in pictures:
        evaluator.add(
            one.class_name,
            score=one.score,
            is_anomalous=one.is_anomalous,
            anomaly_map=None,
            mask=None,
        )
    found = evaluator.table().to_dict()
    found |= {"data": pictures_digest(pictures), "thresholds": {"a": 1.5, "Z": 0.5}}
    return json.loads(json.dumps(found | changed))


def test_pictures_come_sorted_with_their_numbers_and_verdicts():
    run = read_evaluated("r", scores_of(JUDGED), JUDGED)
    assert [one.path for one in run.pictures] == ["Z/0.png", "a/0.png", "a/1.png"]
    assert run.is_ng() == [True, False, True]
    assert run.thresholds == {"a": 1.5, "Z": 0.5}
    assert run.table.classes["a"].image_auroc == 1.0
    assert list(run.to_dict()) == ["run", "evaluator", "classes", "mean", "pooled", "thresholds"]
    assert run.to_dict()["classes"]["a"]["image_auroc"] == 1.0


def test_a_score_at_the_threshold_is_ok():
    pictures = [picture("0", 1.5, is_ng=False)]
    assert read_evaluated("r", scores_of(pictures), pictures).is_ng() == [False]


def test_without_a_calibration_there_are_no_thresholds():
    pictures = [picture("0", 1.0), picture("1", 2.0, bad=True)]
    scores = scores_of(pictures)
    del scores["thresholds"]
    run = read_evaluated("r", scores, pictures)
    assert run.thresholds is None
    assert run.to_dict()["thresholds"] is None


def test_what_was_saved_is_loaded(tmp_path):
    save_scored(tmp_path, scores_of(JUDGED), JUDGED)
    run = load_evaluated(tmp_path)
    assert run == read_evaluated(str(tmp_path), scores_of(JUDGED), JUDGED)
    with pytest.raises(UsageError, match="holds no evaluation"):
        load_evaluated(tmp_path / "absent")


@pytest.mark.parametrize(
    "changed",
    [
        {"thresholds": {"a": 1.5}},
        {"thresholds": {"a": 1.5, "Z": float("nan")}},
        {"thresholds": {"a": 1.5, "Z": float("-inf")}},
        {"thresholds": {"a": "high", "Z": 0.5}},
        {"thresholds": [1.5, 0.5]},
        {"thresholds": None},
        {"classes": None},
        {"pooled": {"image_auroc": 2.0}},
        {"intervals": {}},
    ],
)
def test_damage_is_named_with_the_run(changed):
    with pytest.raises(ArtifactError, match=r"my run.*write it again with  snlad evaluate"):
        read_evaluated("my run", scores_of(JUDGED) | changed, JUDGED)


@pytest.mark.parametrize(
    "changed",
    [
        {"thresholds": {"a": 2.5, "Z": 0.5}},  # the defect would be OK
        {"thresholds": {"a": 0.5, "Z": 0.5}},  # the good picture would be NG
        {"classes": {}},
    ],
)
def test_numbers_and_pictures_of_two_evaluations_are_refused(changed):
    with pytest.raises(ArtifactError, match="my run: classes or verdicts of its pictures"):
        read_evaluated("my run", scores_of(JUDGED) | changed, JUDGED)


def test_verdicts_without_thresholds_and_thresholds_without_verdicts_are_refused():
    scores = scores_of(JUDGED)
    del scores["thresholds"]
    with pytest.raises(ArtifactError, match="classes or verdicts"):
        read_evaluated("r", scores, JUDGED)
    pictures = [picture("0", 1.0), picture("1", 2.0, bad=True)]
    with pytest.raises(ArtifactError, match="classes or verdicts"):
        read_evaluated("r", scores_of(pictures), pictures)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(UsageError, match="'snlad-v9' is unknown"):
        read_evaluated("r", scores_of(JUDGED) | {"protocol": "snlad-v9"}, JUDGED)

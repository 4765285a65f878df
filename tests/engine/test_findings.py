"""Findings for a report: of one evaluation, by the thresholds in force, against a baseline."""

import json

import pytest

from snlad.engine.findings import find, know_run, require_comparable
from snlad.errors import ArtifactError, DataError, MetricError, UsageError
from snlad.types import silent

SCORES = {"a": ([1.0, 2.0, 3.0], [2.5, 9.0]), "b": ([10.0, 20.0], [15.0])}
CALIBRATED = {"a": [0.0, 1.0, 1.5, 2.5], "b": [5.0, 10.0, 15.0, 30.0]}


def test_a_run_is_known_with_and_without_evaluation_and_calibration(write_run, scored):
    bare = know_run(write_run("bare"))
    assert (bare.table, bare.pictures, bare.calibration) == (None, (), None)
    assert bare.card.config.method == "rd-snl"
    whole = know_run(write_run("whole", scored(SCORES), CALIBRATED))
    assert whole.table is not None
    assert list(whole.table.classes) == ["a", "b"]
    assert len(whole.pictures) == 8
    assert whole.calibration is not None
    assert whole.calibration.model == whole.identity


def test_a_model_folder_alone_is_a_run_too(write_run, scored):
    run = write_run("run", scored(SCORES), CALIBRATED)
    assert know_run(run / "model").identity == know_run(run).identity
    assert know_run(run / "model").calibration == know_run(run).calibration


def test_what_must_be_evaluated_and_is_not_is_refused(write_run):
    with pytest.raises(UsageError, match="holds no evaluation; make one with  snlad evaluate"):
        know_run(write_run(), must_be_evaluated=True)


def test_half_an_evaluation_is_none(write_run, scored):
    run = write_run("run", scored(SCORES))
    (run / "test_pictures.jsonl").unlink()
    assert know_run(run).table is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda scores: scores.update(data="0"), ArtifactError),
        (lambda scores: scores.pop("mean") and scores.pop("pooled"), MetricError),
        (lambda scores: scores["classes"].pop("b"), ArtifactError),
        (lambda scores: scores["classes"].update(c=scores["classes"]["b"]), ArtifactError),
        (lambda scores: scores["classes"]["a"].update(image_ap=7), MetricError),
    ],
)
def test_an_evaluation_that_does_not_fit_together_is_refused(write_run, scored, change, error):
    run = write_run("run", scored(SCORES))
    scores = json.loads((run / "scores.json").read_text())
    change(scores)
    (run / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(error, match="snlad evaluate"):
        know_run(run)


def test_a_damaged_model_or_calibration_is_refused(write_run, scored):
    run = write_run("run", scored(SCORES), CALIBRATED)
    path = run / "model/calibrations/0001/calibration.json"
    path.write_text(path.read_text().replace("0.2", "0.3", 1))
    with pytest.raises(ArtifactError, match="changed after it was saved"):
        know_run(run)
    (run / "model/model.json").write_text("{}")
    with pytest.raises(ArtifactError, match="not a snlad manifest"):
        know_run(run)


def test_equal_evaluations_compare_and_others_do_not(write_run, scored):
    own = know_run(write_run("own", scored(SCORES)))
    better = {"a": ([0, 0, 0], [1, 1]), "b": ([0, 0], [1])}
    require_comparable(own, know_run(write_run("same", scored(better))))
    other = know_run(write_run("labels", scored(SCORES, kind="scratch")))
    with pytest.raises(UsageError, match="evaluated on other files, labels or masks"):
        require_comparable(own, other)
    rules = know_run(write_run("rules", scored(SCORES), protocol="snlad-v1-max"))
    with pytest.raises(UsageError, match=r"by snlad-v1 and .*rules by snlad-v1-max; compare runs"):
        require_comparable(own, rules)


def test_scores_are_grouped_by_class_and_by_what_the_pictures_are(write_run, scored):
    pictures = scored(SCORES)
    found, notes = find(
        know_run(write_run("run", pictures, {"a": CALIBRATED["a"]})), None, None, silent
    )
    assert notes == []
    assert found.scores == {
        "a": {"normal": [1, 2, 3], "defect": [2.5, 9], "calibration": CALIBRATED["a"]},
        "b": {"normal": [10, 20], "defect": [15], "calibration": []},
    }
    bare, _ = find(know_run(write_run("bare", pictures)), None, None, silent)
    assert bare.scores["a"]["calibration"] == []


def test_decisions_are_by_part_and_realised_rates_by_picture(write_run, scored):
    """Both views of a part are false alarms: one part, two pictures."""
    pictures = [
        one.model_copy(update={"part_id": "p"}) if "good/1" in one.path or "good/2" in one.path
        else one
        for one in scored({"a": SCORES["a"]})
    ]  # fmt: skip
    found, _ = find(know_run(write_run("run", pictures, {"a": [0.0, 1.5]})), None, None, silent)
    part, picture = (
        table["class threshold"].classes["a"] for table in (found.decisions, found.realised)
    )
    assert (part.normals, part.false_alarms) == (2, 1)
    assert (picture.normals, picture.false_alarms) == (3, 2)
    assert list(found.decisions) == list(found.realised)
    assert "guessed class threshold" in found.decisions


def test_without_thresholds_nothing_is_decided(write_run, scored):
    found, notes = find(know_run(write_run("run", scored(SCORES))), None, None, silent)
    assert (found.decisions, found.realised, notes) == ({}, {}, [])
    assert {one.threshold for one in found.misses} == {None}


def test_thresholds_set_anew_decide_and_are_told_of(write_run, scored):
    """As after  snlad evaluate; snlad calibrate --target-fpr: no picture is scored again."""
    pictures = scored(SCORES)
    for one in pictures:
        one.is_ng.update({"pooled threshold": True, "class threshold": one.score > 0})
    run = write_run("run", pictures, CALIBRATED, before=True)
    found, notes = find(know_run(run), None, None, silent)
    assert notes == [
        "the thresholds were set anew after the evaluation; decisions here are by those in force"
    ]
    assert found.decisions["class threshold"].classes["a"].false_alarms == 1  # 3.0 above 2.5


def test_an_evaluation_before_any_calibration_cannot_tell_guessed_classes(write_run, scored):
    run = write_run("run", scored(SCORES), CALIBRATED, before=True)
    found, (note,) = find(know_run(run), None, None, silent)
    assert set(found.decisions) == {"pooled threshold", "class threshold"} == set(found.realised)
    assert "evaluated before it was calibrated" in note


def test_entries_hold_score_threshold_and_rank(write_run, scored):
    known = know_run(write_run("run", scored(SCORES), CALIBRATED))
    found, _ = find(known, None, None, silent)
    worst = found.misses[0]
    assert (worst.path, worst.score, worst.defect_type) == ("b/hole/0.png", 15.0, "hole")
    assert known.calibration is not None
    assert worst.threshold == known.calibration.classes["b"].threshold
    assert (worst.rank, worst.baseline_rank) == (0.5, None)
    assert [one.path for one in found.picks] == ["a/hole/1.png", "b/hole/0.png"]
    assert found.alarms[0].path == "a/good/2.png"
    assert found.gains == found.losses == ()
    assert found.heads == ()


def test_a_baseline_brings_its_numbers_ranks_gains_and_losses(write_run, scored):
    own = know_run(write_run("own", scored(SCORES)))
    other = know_run(
        write_run("other", scored({"a": ([1, 2, 3], [9, 0]), "b": ([1, 2], [1.5])}), method="rd")
    )
    found, _ = find(own, other, None, silent)
    assert found.baseline == ("baseline rd", other.table)
    assert [(one.path, one.baseline_rank) for one in found.gains] == [("a/hole/1.png", 0.0)]
    assert [(one.path, one.baseline_rank) for one in found.losses] == [("a/hole/0.png", 1.0)]


class Shows:
    """Stands in for what draws pictures: one of them is gone."""

    heads = ("picture", "map")
    uncalibrated = ("map",)

    def __init__(self) -> None:
        self.asked: list[str] = []

    def views(self, one):
        self.asked.append(one.path)
        if one.path == "b/hole/0.png":
            raise DataError("b/hole/0.png is gone")
        return {"picture": one.path}


def test_each_chosen_picture_is_drawn_once_and_one_that_cannot_be_is_named(write_run, scored):
    shows, told = Shows(), []
    known = know_run(write_run("run", scored(SCORES), CALIBRATED))
    found, notes = find(known, None, shows, lambda *step: told.append(step))
    assert sorted(shows.asked) == sorted({one.path for one in known.pictures})
    assert told[-1] == ("drawing pictures", 8, 8)
    assert (found.heads, found.uncalibrated) == (("picture", "map"), ("map",))
    gone = found.misses[0]
    assert (gone.views, gone.problem) == ({}, "b/hole/0.png is gone")
    assert found.misses[1].views == {"picture": found.misses[1].path}
    assert found.misses[1].problem is None
    assert notes == ["1 chosen pictures are not shown; their rows say why"]

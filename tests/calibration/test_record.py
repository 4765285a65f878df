"""Versions of a calibration on disk: written once, checked, of this model only."""

import json
from pathlib import Path

import pytest

from snlad.calibration.record import (
    Calibration,
    find_limits,
    load_calibration,
    save_calibration,
)
from snlad.errors import ArtifactError, UsageError

SCORES = {"b": [float(i) for i in range(40)], "a": [100.0 + i for i in range(19)]}
PEAKS = {name: [score / 2 for score in scores] for name, scores in SCORES.items()}


def calibration(version: int = 1, **changed: object) -> Calibration:
    classes, pooled = find_limits(SCORES, PEAKS, 0.05)
    known = {
        "version": version,
        "previous": None,
        "created": "2026-11-25T12:00:00+00:00",
        "by": "ana",
        "target_fpr": 0.05,
        "source": "held out",
        "data": "d" * 64,
        "model": "m" * 64,
        "classes": classes,
        "pooled": pooled,
        "scores": SCORES,
        "peaks": PEAKS,
    }
    return Calibration(**{**known, **changed})


def test_each_class_has_its_own_thresholds_and_all_together_one() -> None:
    classes, pooled = find_limits(SCORES, PEAKS, 0.05)
    assert list(classes) == ["a", "b"]
    assert (classes["b"].threshold, classes["b"].pixel_threshold) == (38.5, 19.25)
    assert classes["a"].threshold == pytest.approx(118.0, rel=2e-4)
    assert (pooled.n, pooled.threshold) == (59, 116.5)
    assert not classes["a"].is_short
    assert find_limits(SCORES, PEAKS, 0.01)[0]["b"].is_short


def test_an_unknown_class_gets_the_pooled_thresholds() -> None:
    record = calibration()
    assert record.limits("a") == record.classes["a"]
    assert record.limits(None) == record.limits("never seen") == record.pooled


def test_no_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="no picture to calibrate on"):
        find_limits({}, {}, 0.05)


def test_the_newest_version_counts(tmp_path: Path) -> None:
    assert load_calibration(tmp_path, "m" * 64) is None
    identities = [save_calibration(tmp_path, calibration(v)) for v in (1, 2, 10)]
    found = load_calibration(tmp_path, "m" * 64)
    assert found == (calibration(10), identities[-1])
    assert len({*identities}) == 3


def test_a_version_is_never_written_again(tmp_path: Path) -> None:
    save_calibration(tmp_path, calibration())
    file = tmp_path / "calibrations" / "0001" / "calibration.json"
    before = file.read_bytes()
    with pytest.raises(ArtifactError, match="never changed"):
        save_calibration(tmp_path, calibration(by="eve"))
    assert file.read_bytes() == before


def test_a_version_that_a_crash_left_without_a_record_does_not_count(tmp_path: Path) -> None:
    save_calibration(tmp_path, calibration())
    (tmp_path / "calibrations" / "0002").mkdir()
    (tmp_path / "calibrations" / "notes").mkdir()
    assert load_calibration(tmp_path, "m" * 64)[0].version == 1
    save_calibration(tmp_path, calibration(2))
    assert load_calibration(tmp_path, "m" * 64)[0].version == 2


@pytest.mark.parametrize("key", ["threshold", "by"])
def test_a_changed_record_is_refused(tmp_path: Path, key: str) -> None:
    save_calibration(tmp_path, calibration())
    file = tmp_path / "calibrations" / "0001" / "calibration.json"
    content = json.loads(file.read_text())
    part = content["payload"] if key == "by" else content["payload"]["pooled"]
    part[key] = "eve" if key == "by" else 1e9
    file.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="was changed"):
        load_calibration(tmp_path, "m" * 64)


def test_a_record_that_lacks_a_field_is_refused(tmp_path: Path) -> None:
    from snlad.artifacts import save_artifact

    payload = calibration().model_dump(mode="json")
    del payload["pooled"]
    save_artifact(tmp_path / "calibrations" / "0001", "calibration", payload, {})
    with pytest.raises(ArtifactError, match="lacks or garbles"):
        load_calibration(tmp_path, "m" * 64)


def test_a_calibration_of_another_model_is_refused(tmp_path: Path) -> None:
    save_calibration(tmp_path, calibration())
    with pytest.raises(ArtifactError, match="was made for model mmmm"):
        load_calibration(tmp_path, "x" * 64)


def test_a_group_shares_its_lowest_thresholds_and_each_class_says_what_holds_for_it() -> None:
    scores = {"a": [float(i) for i in range(40)], "b": [30.0 + i for i in range(59)], "c": [500.0]}
    peaks = {"a": [9.0] * 40, "b": [1.0] * 59, "c": [2.0]}
    apart, pooled = find_limits(scores, peaks, 0.05)
    together, same = find_limits(scores, peaks, 0.05, [["a", "b"]])
    assert (apart["a"].threshold, apart["b"].threshold) == (38.5, 86.5)
    assert together["a"].threshold == together["b"].threshold == 38.5
    pixels = {limits.pixel_threshold for limits in (together["a"], together["b"])}
    assert pixels == {apart["b"].pixel_threshold}  # the lowest, whichever class it is of
    assert together["a"].attainable_fpr == apart["a"].attainable_fpr == 2 / 41
    assert together["b"].attainable_fpr == 51 / 60  # 39, 40, ... 88 lie above
    assert (together["c"], same) == (apart["c"], pooled)
    assert [together[name].n for name in "abc"] == [40, 59, 1]


def test_a_group_whose_threshold_lies_below_all_scores_promises_nothing(tmp_path: Path) -> None:
    classes, _ = find_limits(SCORES, PEAKS, 0.05, [["a", "b"]])
    assert classes["a"].attainable_fpr == 1.0
    assert not classes["a"].is_short
    record = calibration(classes=classes, inseparable=[["a", "b"]])
    save_calibration(tmp_path, record)
    assert load_calibration(tmp_path, "m" * 64)[0] == record


def test_ties_at_the_own_threshold_do_not_lower_the_promise() -> None:
    scores = {"a": [1.0] * 40, "b": [2.0] * 40}
    classes, _ = find_limits(scores, scores, 0.05, [["a", "b"]])
    assert classes["a"].attainable_fpr == 2 / 41
    assert classes["b"].attainable_fpr == 1.0


def test_a_class_without_pictures_has_the_thresholds_of_its_group() -> None:
    record = calibration(inseparable=[["a", "new"]])
    assert record.limits("new") == record.classes["a"]
    assert record.group("new") == record.group("a") == ["a", "new"]
    assert record.group("b") == ["b"]
    assert record.limits("b") == record.classes["b"]
    assert record.limits(None) == record.limits("other") == record.pooled
    with_it, _ = find_limits(SCORES, PEAKS, 0.05, [["a", "new"]])
    assert with_it == find_limits(SCORES, PEAKS, 0.05)[0]


def test_a_record_from_before_groups_were_known_still_loads(tmp_path: Path) -> None:
    from snlad.artifacts import save_artifact

    payload = calibration().model_dump(mode="json", exclude={"answers", "inseparable"})
    save_artifact(tmp_path / "calibrations" / "0001", "calibration", payload, {})
    found, _ = load_calibration(tmp_path, "m" * 64)
    assert found == calibration()
    assert (found.answers, found.inseparable, found.guessed_rates) == ({}, [], None)


def test_a_guessed_class_adds_unknown_and_strayed_pictures_to_the_false_alarms() -> None:
    answers = {"a": {"a": 10, "b": 6}, "b": {"b": 35, "a": 4}}
    record = calibration(answers=answers, unknown_above=2.0, unknown_rate=0.01)
    alarms = (19 * 1 / 20 + 40 * 2 / 41) / 59
    assert record.guessed_rates == pytest.approx((alarms, 0.01, 10 / 59))
    classes, _ = find_limits(SCORES, PEAKS, 0.05, [["a", "b"]])
    shared = record.model_copy(update={"inseparable": [["a", "b"]], "classes": classes})
    assert shared.guessed_rates == pytest.approx(((19 * 1 + 40 * 2 / 41) / 59, 0.01, 0))
    assert calibration(unknown_rate=0.01).guessed_rates is None

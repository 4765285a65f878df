"""The runner: nothing finished is computed again or lost, and a stop is one sentence."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from snlad.errors import StoppedError, TrainingError, UsageError, WeightsError
from snlad.study.jobs import open_jobs
from snlad.study.rows import append_row, claim, failed, finished, read_rows
from snlad.study.run import Outcome, run_study

TWO = [{"name": "rd", "method": "rd"}, {"name": "snl"}]


@pytest.fixture
def rows(tmp_path):
    return tmp_path / "results" / "tiny.jsonl"


def test_only_what_has_no_row_is_run(tiny_study, measured, rows):
    assert run_study(tiny_study(), rows) == Outcome(1, 0, 0)
    assert run_study(tiny_study(trials=TWO, seeds=[0, 1]), rows) == Outcome(3, 0, 0)
    assert run_study(tiny_study(trials=TWO, seeds=[0, 1]), rows) == Outcome(0, 0, 0)
    assert measured == ["rd, seed 0", "snl, seed 0", "rd, seed 1", "snl, seed 1"]
    assert len(read_rows(rows)) == 4
    assert [path.name for path in rows.parent.iterdir()] == ["tiny.jsonl"]


def test_equal_trials_of_two_names_share_their_rows(tiny_study, measured, rows):
    run_study(tiny_study(trials=[*TWO, {"name": "again", "method": "rd-snl"}]), rows)
    assert measured == ["rd, seed 0", "snl, seed 0"]


def test_a_row_says_what_was_run_and_with_what(tiny_study, measured, rows):
    plan = tiny_study(trials=[{"name": "rd", "method": "rd", "pictures": 3}], classes=["grey"])
    run_study(plan, rows)
    (row,) = read_rows(rows)
    (run,) = plan.runs()
    assert row["config"] == run.config.model_dump(mode="json")
    told = {
        name: row[name] for name in ("trial", "method", "seed", "classes", "pictures", "models")
    }
    assert told == {
        "trial": "rd",
        "method": "rd",
        "seed": 0,
        "classes": ["grey"],
        "pictures": 3,
        "models": "one",
    }
    assert row["label"] == "plain reverse distillation (rd)"
    assert row["hardware"]["device"] == "cpu"
    assert row["peak_mib"] > 100
    assert {"key", "data", "config_hash", "date", "snlad", "commit", "torch"} <= row.keys()


def test_some_trials_and_seeds_can_be_run(tiny_study, measured, rows):
    plan = tiny_study(trials=TWO, seeds=[0, 1])
    run_study(plan, rows, only=["snl"], seeds=[1])
    assert measured == ["snl, seed 1"]
    with pytest.raises(UsageError, match="no trial of the study"):
        run_study(plan, rows, only=["fd"])


def test_a_failed_run_is_told_and_tried_again(tiny_study, measured, rows):
    def fail(title):
        if title.startswith("rd"):
            raise WeightsError("the weights are not there; get them")

    measured.then = fail
    plan = tiny_study(trials=TWO)
    assert run_study(plan, rows) == Outcome(1, 1, 0)
    (broken,) = failed(read_rows(rows)).values()
    assert (broken["trial"], broken["error"]) == ("rd", "the weights are not there; get them")
    measured.then = lambda _title: None
    assert run_study(plan, rows) == Outcome(1, 0, 0)
    assert measured == ["rd, seed 0", "snl, seed 0", "rd, seed 0"]
    assert not failed(read_rows(rows))


def interrupt(_title):
    raise KeyboardInterrupt


def stop_training(_title):
    raise TrainingError("stopped by a signal after step 3 of 9", interrupted=True)


@pytest.mark.parametrize("stop", [interrupt, stop_training])
def test_a_stop_keeps_finished_rows_and_the_next_call_goes_on(tiny_study, measured, rows, stop):
    plan = tiny_study(trials=TWO, seeds=[0, 1])
    measured.then = lambda title: stop(title) if title == "rd, seed 1" else None
    with pytest.raises(
        StoppedError, match=r"stopped in the run rd, seed 1; finished rows are kept"
    ):
        run_study(plan, rows)
    assert len(read_rows(rows)) == 2
    measured.clear()
    measured.then = lambda _title: None
    assert run_study(plan, rows).finished == 2
    assert measured == ["rd, seed 1", "snl, seed 1"]
    assert len(finished(read_rows(rows))) == 4


def test_a_row_cut_off_by_a_crash_is_run_again(tiny_study, measured, rows):
    plan = tiny_study(trials=TWO)
    run_study(plan, rows)
    rows.write_bytes(rows.read_bytes()[:-20])
    assert run_study(plan, rows).finished == 1
    assert measured == ["rd, seed 0", "snl, seed 0", "snl, seed 0"]
    assert len(read_rows(rows)) == 2


def test_what_another_process_finished_meanwhile_is_not_run(tiny_study, measured, rows, tmp_path):
    plan = tiny_study(trials=TWO)
    run_study(plan, tmp_path / "theirs.jsonl", only=["snl"])
    (theirs,) = read_rows(tmp_path / "theirs.jsonl")
    measured.clear()
    measured.then = lambda _title: append_row(rows, theirs)
    assert run_study(plan, rows) == Outcome(1, 0, 0)
    assert measured == ["rd, seed 0"]


def test_what_another_process_is_at_work_on_is_left_to_it(tiny_study, measured, rows, tmp_path):
    plan = tiny_study(trials=TWO)
    key = open_jobs(plan.runs())[0].key
    with claim(rows.with_suffix(".runs") / f"{key}.lock") as is_mine:
        assert is_mine
        assert run_study(plan, rows) == Outcome(1, 0, 1)
    assert measured == ["snl, seed 0"]
    assert run_study(plan, rows) == Outcome(1, 0, 0)


def test_two_runners_at_once_share_a_study_and_compute_nothing_twice(tiny_study, measured, rows):
    """Locks are held by open files: two threads meet them as two processes do."""
    plan = tiny_study(trials=TWO, seeds=range(5))
    measured.then = lambda _title: time.sleep(0.02)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _: run_study(plan, rows), range(2)))
    assert sum(outcome.finished for outcome in outcomes) == 10
    assert min(outcome.finished for outcome in outcomes) > 0
    assert len(measured) == len(set(measured)) == len(read_rows(rows)) == 10
    assert [path.name for path in rows.parent.iterdir()] == ["tiny.jsonl"]


def test_two_runners_at_once_share_the_models_of_one_class_and_join_them_once(
    tiny_study, measured, rows
):
    plan = tiny_study(trials=[{"name": "each", "models": "per-class"}], seeds=range(5))
    measured.then = lambda _title: time.sleep(0.02)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _: run_study(plan, rows), range(2)))
    assert len(measured) == len(set(measured)) == 10
    kept = read_rows(rows)
    assert len({row["key"] for row in kept}) == len(kept) == 15
    assert sum(outcome.finished for outcome in outcomes) == 5
    assert sum(outcome.failed for outcome in outcomes) == 0
    assert [path.name for path in rows.parent.iterdir()] == ["tiny.jsonl"]


def test_a_class_that_failed_here_and_was_finished_elsewhere_is_no_error(
    tiny_study, measured, rows, tmp_path
):
    plan = tiny_study(trials=[{"name": "each", "models": "per-class"}])
    (job,) = open_jobs(plan.runs())
    run_study(plan, tmp_path / "theirs.jsonl")
    theirs = read_rows(tmp_path / "theirs.jsonl")[0]

    def fail(_title):
        append_row(rows, theirs)
        raise WeightsError("no weights here")

    measured.then = fail
    with claim(rows.with_suffix(".runs") / f"{job.parts[1].key}.lock"):
        assert run_study(plan, rows) == Outcome(0, 0, 1)
    measured.then = lambda _title: None
    assert run_study(plan, rows) == Outcome(1, 0, 0)


def test_a_row_names_the_code_that_began_it(tiny_study, measured, rows, monkeypatch):
    events = []
    monkeypatch.setattr(
        "snlad.study.work.describe_origin", lambda *_: events.append("origin") or {}
    )
    measured.then = events.append
    run_study(tiny_study(), rows)
    assert events == ["origin", "rd, seed 0"]


def test_parts_must_fit_the_plan(tiny_study, measured, rows):
    plan = tiny_study(trials=[*TWO, {"name": "mine", "own": ["loss"]}])
    with pytest.raises(
        UsageError, match=r"trial 'mine' has parts of its own \(loss\); run it from"
    ):
        run_study(plan, rows)
    with pytest.raises(UsageError, match="'snl', which is no trial with"):
        run_study(plan, rows, parts={"snl": lambda _config: None})
    assert measured == []
    run_study(plan, rows, only=["rd", "snl"])
    run_study(plan, rows, parts={"mine": lambda _config: None})
    run_study(plan, rows)  # nothing is missing, so no parts are needed
    assert len(measured) == 3


def test_a_device_that_is_not_there_is_refused_before_anything_runs(tiny_study, measured, rows):
    with pytest.raises(UsageError, match="--device"):
        run_study(tiny_study(), rows, device="nowhere")
    assert measured == []
    assert not rows.exists()


def test_a_signal_in_a_training_stops_the_study_and_the_training_goes_on(tiny_study, rows):
    seen = []

    def kill(label, done, _total):
        seen.append((label, done))
        if (label, done) == ("training", 2):
            signal.raise_signal(signal.SIGINT)

    def watch(label, done, _total):
        seen.append((label, done))

    plan = tiny_study()
    with pytest.raises(StoppedError):
        run_study(plan, rows, progress=kill)
    assert read_rows(rows) == []
    assert [done for label, done in seen if label == "training"] == [1, 2]
    seen.clear()
    run_study(plan, rows, progress=watch)
    assert [done for label, done in seen if label == "training"] == [3, 4]
    run_study(plan, rows.with_name("whole.jsonl"))
    (resumed,), (whole,) = read_rows(rows), read_rows(rows.with_name("whole.jsonl"))
    assert resumed["image_scores"] == pytest.approx(whole["image_scores"], rel=1e-5)
    assert {path.name for path in rows.parent.iterdir()} == {"tiny.jsonl", "whole.jsonl"}

"""One run from pictures to numbers: they are those of train and evaluate, for any kind of trial."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import pytest
import torch
from torch import nn

from snlad.build import build_loss, build_teacher
from snlad.config import merge_settings
from snlad.data.opening import open_dataset
from snlad.engine.evaluate import evaluate
from snlad.engine.train import OwnParts, train
from snlad.errors import ConfigError, StoppedError
from snlad.metrics.scores import METRICS, ScoreRow, ScoreTable
from snlad.models.memory import FeatureMemory
from snlad.predict import load
from snlad.study.jobs import choose_classes, open_jobs
from snlad.study.measure import join
from snlad.study.provenance import training_code
from snlad.study.rows import claim, read_rows, wait_for
from snlad.study.run import Outcome, run_study


def run(study, tmp_path, name="rows", **options):
    path = tmp_path / f"{name}.jsonl"
    outcome = run_study(study, path, **options)
    return outcome, read_rows(path)


def close(first, second):
    return first == pytest.approx(second, rel=1e-5, abs=1e-12)


@pytest.fixture(scope="module")
def direct(shared_data, tiny_settings, tmp_path_factory):
    """The same run without a study or a memory."""
    from snlad.config import make_config

    data = open_dataset(shared_data)
    folder = tmp_path_factory.mktemp("direct") / "run"
    return evaluate(load(train(data, folder, make_config("rd", **tiny_settings))), data)


def test_the_numbers_are_those_of_train_and_evaluate(tiny_study, tmp_path, direct):
    memory = FeatureMemory(tmp_path / "features")
    plan = tiny_study(probes=3)
    outcome, (row,) = run(plan, tmp_path, memory=memory)
    assert outcome == Outcome(1, 0, 0)
    expected = direct.to_dict()
    assert row["scores"]["data"] == expected["data"]
    assert row["image_scores"] == pytest.approx([p.score for p in direct.pictures], rel=1e-5)
    for part in ("mean", "pooled"):
        assert close(row["scores"][part], expected[part])
    assert (row["steps"], row["train_features"], row["notes"]) == (4, 10, [])
    assert row["probes"]["mixups"] == 3
    assert row["train_seconds"] > 0
    assert row["evaluate_seconds"] > 0

    computed = memory.computed
    _, (again,) = run(plan, tmp_path, "again", memory=memory)
    assert memory.computed == computed >= 18
    assert again["train_features"] == 0
    assert close(again["scores"]["mean"], row["scores"]["mean"])
    assert again["image_scores"] == pytest.approx(row["image_scores"], rel=1e-5)
    assert close(again["probes"], row["probes"])
    assert again["key"] == row["key"]


def test_a_model_for_each_class_gives_one_row_for_the_whole_set(
    tiny_study, tmp_path, shared_data, tiny_settings
):
    trial = {"name": "each", "method": "rd", "models": "per-class", "pictures": 3}
    outcome, (*parts, row) = run(tiny_study(trials=[trial], probes=3), tmp_path)
    assert outcome == Outcome(1, 0, 0)
    assert [part["trial"] for part in parts] == ["each: dark", "each: grey"]
    scores = row["scores"]
    assert list(scores["classes"]) == ["dark", "grey"] == row["classes"]
    assert row["steps"] == 8
    assert row["probes"] == {}
    assert all(scores["classes"]["dark"][metric] is not None for metric in METRICS)
    for metric in METRICS:
        of_each = [scores["classes"][name][metric] for name in ("dark", "grey")]
        assert scores["mean"][metric] == pytest.approx(sum(of_each) / 2)
    assert scores["pooled"]["image_auroc"] is not None
    assert scores["pooled"]["pixel_auroc"] is None

    alone = {"name": "alone", "method": "rd", "classes": ["grey"], "pictures": 3}
    _, (grey,) = run(tiny_study(trials=[alone], probes=3), tmp_path, "grey")
    assert grey["key"] == parts[1]["key"]
    assert close(grey["scores"]["classes"]["grey"], scores["classes"]["grey"])
    test = open_dataset(shared_data).test
    assert len(row["image_scores"]) == len(test)
    of_grey = [
        score
        for sample, score in zip(test, row["image_scores"], strict=True)
        if sample.class_name == "grey"
    ]
    assert of_grey == pytest.approx(grey["image_scores"], rel=1e-5)
    assert len(choose_classes(open_dataset(shared_data), ["grey"]).test) == len(of_grey)


def test_a_picture_that_cannot_be_read_leaves_its_place_empty(tiny_study, tiny_data, tmp_path):
    (tiny_data / "dark/test/spot/1.png").write_bytes(b"no picture")
    _, (row,) = run(tiny_study(data=tiny_data), tmp_path)
    test = open_dataset(tiny_data).test
    empty = [s.path.name for s, x in zip(test, row["image_scores"], strict=True) if x is None]
    assert empty == ["1.png"]
    assert row["notes"][0].startswith("left out: ")


class Rebuild(nn.Module):
    """A student of the user's own."""

    def __init__(self, channels):
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(c, c, 1) for c in channels)

    def forward(self, _images, teacher):
        return [layer(level) for layer, level in zip(self.levels, teacher, strict=True)]


def own_parts(config):
    torch.manual_seed(config.seed)
    student = Rebuild(build_teacher(config).channels)
    maps = {
        "error": lambda t, s, size: nn.functional.interpolate(
            (t[0] - s[0]).square().mean(1, keepdim=True), size=size
        )
    }
    return OwnParts(student, build_loss(config), maps)


def test_own_parts_are_made_anew_for_each_model(tiny_study, tmp_path):
    made = []

    def make(config):
        made.append(config.seed)
        return own_parts(config)

    trials = [
        {"name": "rd", "method": "rd"},
        {"name": "mine", "method": "rd", "own": ["student", "loss", "maps"]},
    ]
    plan = tiny_study(trials=trials, grid={"models": ["one", "per-class"]}, seeds=[3])
    outcome, rows = run(plan, tmp_path, parts={"mine": make})
    assert outcome == Outcome(4, 0, 0)
    assert made == [3, 3, 3]
    mine = [row for row in rows if row["own"]]
    assert [row["trial"] for row in mine] == [
        "mine models=one",
        *(f"mine models=per-class: {name}" for name in ("dark", "grey")),
        "mine models=per-class",
    ]
    assert mine[0]["label"] == "own student, loss, maps on the settings of rd"
    assert all(row["scores"]["mean"]["aupro"] is not None for row in mine)


def test_parts_that_the_plan_does_not_name_are_an_error_row(tiny_study, tmp_path):
    trials = [{"name": "mine", "method": "rd", "own": ["loss"]}]
    outcome, (row,) = run(tiny_study(trials=trials), tmp_path, parts={"mine": own_parts})
    assert outcome == Outcome(0, 1, 0)
    assert row["error"].startswith("trial 'mine' was given own student, loss, maps, its plan says")


def test_a_training_that_cannot_go_on_is_an_error_row_and_leaves_nothing(tiny_study, tmp_path):
    wild = {"train": {"learning_rate": 1e30, "clip_norm": 1e38, "precision": "float32"}}
    outcome, (row,) = run(
        tiny_study(settings=merge_settings(tiny_study().settings, wild)), tmp_path
    )
    assert outcome == Outcome(0, 1, 0)
    assert row["error"].startswith("training is not finite at step")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_wrong_setting_is_found_before_anything_runs(tiny_study):
    with pytest.raises(ConfigError, match="trial 'rd'"):
        tiny_study(settings={"train": {"steps": 0}})


def test_models_of_one_class_are_joined_as_worked_by_hand(tiny_study):
    """Rows are taken over; the pool ranks all image scores together; no pixel has a pool."""
    (job,) = open_jobs(tiny_study(trials=[EACH]).runs())
    mixed = [job.dataset.samples[i::5] for i in range(5)]  # a manifest may mix its classes
    job = replace(job, dataset=replace(job.dataset, samples=tuple(sum(mixed, ()))))
    parts = [choose_classes(job.dataset, part.dataset.class_names) for part in job.parts]
    job = replace(
        job,
        parts=tuple(replace(p, dataset=some) for p, some in zip(job.parts, parts, strict=True)),
    )
    rows = [made_up(part, value) for part, value in zip(job.parts, (0.25, 0.75), strict=True)]
    rows[0]["image_scores"][0] = None  # one that was not read
    unread = parts[0].test[0]
    found = join(job, rows)
    scores = found["scores"]
    assert {name: row["aupro"] for name, row in scores["classes"].items()} == {
        "dark": 0.25,
        "grey": 0.75,
    }
    assert scores["mean"]["pixel_ap"] == 0.5
    assert scores["pooled"]["image_auroc"] == 1.0
    assert scores["pooled"]["aupro"] is None
    assert scores["pooled"]["pixel_auroc"] is None
    assert set(scores["intervals"]["pooled"]) == {"image_auroc", "image_ap", "image_f1_max"}
    sums = [found[k] for k in ("steps", "train_seconds", "evaluate_seconds", "train_features")]
    assert sums == [8, 3.0, 1.0, 6]
    assert (found["peak_mib"], found["notes"], found["probes"]) == (300, ["dark", "grey"], {})
    test = job.dataset.test
    assert len({sample.class_name for sample in test[:3]}) == 2
    assert found["image_scores"] == [None if one == unread else own_score(one) for one in test]
    rows[1]["scores"]["data"] = "other pictures"
    assert found["scores"]["data"] != join(job, rows)["scores"]["data"]


def own_score(sample):
    """Different for each picture, and higher for each defect."""
    return sample.is_anomalous + int(sha256(str(sample.path).encode()).hexdigest()[:4], 16) / 2**16


EACH = {"name": "each", "method": "rd", "models": "per-class"}


def made_up(part, value):
    """A row whose image scores are right and whose other numbers are all the same."""
    row = ScoreRow(**dict.fromkeys(METRICS, value))
    (name,) = part.dataset.class_names
    return {
        "label": "label",
        "teacher": "0",
        "steps": 4,
        "train_seconds": 1.5,
        "evaluate_seconds": 0.5,
        "train_features": 3,
        "scores": {**ScoreTable("snlad-v1", {name: row}, row).to_dict(), "data": name},
        "image_scores": [own_score(sample) for sample in part.dataset.test],
        "notes": [name],
        "peak_mib": 300 if name == "grey" else None,
    }


def test_models_of_one_class_that_were_finished_are_not_trained_again(tiny_study, tmp_path):
    """A call is stopped between two classes; the next goes on from there."""
    plan = tiny_study(trials=[EACH])

    def stop(_label, _done, _total):
        if len(read_rows(tmp_path / "rows.jsonl")) == 1:
            raise KeyboardInterrupt

    with pytest.raises(StoppedError, match="stopped in the run each: grey, seed 0"):
        run(plan, tmp_path, progress=stop)
    assert [row["trial"] for row in read_rows(tmp_path / "rows.jsonl")] == ["each: dark"]
    seen = []
    outcome, rows = run(plan, tmp_path, progress=lambda label, *_: seen.append(label))
    assert outcome == Outcome(1, 0, 0)
    assert [row["trial"] for row in rows] == ["each: dark", "each: grey", "each"]
    assert seen.count("training") == 4
    assert run(plan, tmp_path)[0] == Outcome(0, 0, 0)


def test_a_class_that_fails_fails_the_whole_and_leaves_the_others_their_rows(
    tiny_study, tiny_data, tmp_path
):
    for file in (tiny_data / "grey/train/good").iterdir():
        file.write_bytes(b"no picture")
    outcome, rows = run(tiny_study(trials=[EACH], data=tiny_data), tmp_path)
    assert outcome == Outcome(0, 1, 0)
    assert ["error" in row for row in rows] == [False, True, True]
    assert rows[1]["error"] == rows[2]["error"]


def test_a_class_that_another_process_is_at_leaves_the_whole_to_it(tiny_study, tmp_path):
    plan = tiny_study(trials=[EACH])
    (job,) = open_jobs(plan.runs())
    with claim(tmp_path / "rows.runs" / f"{job.parts[0].key}.lock"):
        outcome, rows = run(plan, tmp_path)
    assert outcome == Outcome(0, 0, 1)
    assert [row["trial"] for row in rows] == ["each: grey"]
    assert run(plan, tmp_path)[0] == Outcome(1, 0, 0)


def test_epochs_give_models_of_each_class_the_steps_of_one_model(tiny_study, tmp_path):
    settings = merge_settings(tiny_study().settings, {"train": {"epochs": 3, "batch_size": 2}})
    trials = [{"name": n, "method": "rd", "models": n} for n in ("one", "per-class")]
    _, rows = run(tiny_study(trials=trials, settings=settings, pictures=4), tmp_path)
    steps = {row["trial"]: row["steps"] for row in rows}
    assert steps == {"one": 12, "per-class": 12, "per-class: dark": 6, "per-class: grey": 6}


def test_scores_are_kept_with_six_digits(tiny_study, tmp_path):
    _, (row,) = run(tiny_study(), tmp_path)
    for score in row["image_scores"]:
        assert float(f"{score:.6g}") == score
        assert len(repr(score)) <= len("-1.23456e-10")


CENTRAL = {
    "rd": {"method": "rd"},
    "rd, central": {"method": "rd", "settings": {"maps": {"centers": 4}}},
    "rd, max": {"method": "rd", "settings": {"maps": {"score": "max"}}},
    "rd, dropout": {"method": "rd", "settings": {"student": {"dropout": 0.1}}},
}


def test_trials_that_differ_in_their_maps_share_a_student(tiny_study, tmp_path):
    steps = []

    def watch(label, done, _total):
        if label == "training":
            steps.append(done)

    trials = [{"name": name, **trial} for name, trial in CENTRAL.items()]
    _, rows = run(tiny_study(trials=trials, probes=3), tmp_path, progress=watch)
    assert steps == [1, 2, 3, 4] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]
    alone = [
        run(tiny_study(trials=[trial], probes=3), tmp_path, str(i))[1][0]
        for i, trial in enumerate(trials)
    ]
    rows.sort(key=lambda row: row["trial"])
    alone.sort(key=lambda row: row["trial"])
    for shared, own in zip(rows, alone, strict=True):
        assert shared["key"] == own["key"]
        assert shared["steps"] == own["steps"] == 4
        assert close(shared["scores"]["mean"], own["scores"]["mean"])
        assert shared["image_scores"] == pytest.approx(own["image_scores"], rel=1e-5)
    assert len({tuple(row["image_scores"]) for row in rows}) == 4


def test_students_for_each_class_are_shared_and_kept_for_other_studies(tiny_study, tmp_path):
    plan = tiny_study(trials=[{"name": "rd", "method": "rd", "models": "per-class"}])
    run(plan, tmp_path, students=tmp_path / "students")
    kept = sorted((tmp_path / "students" / training_code()).iterdir())
    trainings = {part.training for part in open_jobs(plan.runs())[0].parts}
    assert {path.name for path in kept if path.is_dir()} == trainings
    other = tiny_study(trials=[{"name": "max", **CENTRAL["rd, max"], "models": "per-class"}])
    steps = []
    run(
        other,
        tmp_path,
        "other",
        students=tmp_path / "students",
        progress=lambda label, _done, _total: steps.append(label == "training"),
    )
    assert not any(steps)


def steps_of(seen):
    """A progress that notes every step of training."""
    return lambda label, done, _total: seen.append(done) if label == "training" else None


def test_a_student_that_another_process_trains_is_waited_for(tiny_study, tmp_path):
    """Locks are held by open files: a thread meets them as another process does."""
    students, steps = tmp_path / "students", []
    run(tiny_study(), tmp_path, students=students)
    (training,) = (students / training_code()).iterdir()
    (training / "student").rename(tmp_path / "not yet")
    other = tiny_study(trials=[{"name": "max", **CENTRAL["rd, max"]}])
    options = {"students": students, "progress": steps_of(steps)}
    with ThreadPoolExecutor(1) as pool:
        with wait_for(training / "student.lock"):
            waiting = pool.submit(run, other, tmp_path, "other", **options)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=2)
            (tmp_path / "not yet").rename(training / "student")
        assert waiting.result()[0] == Outcome(1, 0, 0)
    assert steps == []


def test_a_student_of_other_code_or_of_own_parts_is_never_taken(tiny_study, tmp_path, monkeypatch):
    options, steps = {"students": tmp_path / "students"}, []
    own = tiny_study(trials=[{"name": "mine", "method": "rd", "own": ["loss"]}])
    parts = {"mine": lambda config: OwnParts(loss=build_loss(config))}
    for name in ("first", "second"):
        run(own, tmp_path, name, parts=parts, progress=steps_of(steps), **options)
    assert len(steps) == 8
    assert not (tmp_path / "students").exists()
    for name, code in (("third", "a"), ("fourth", "b"), ("fifth", "a")):
        monkeypatch.setattr("snlad.study.work.training_code", lambda code=code: code)
        run(tiny_study(), tmp_path, name, progress=steps_of(steps), **options)
    assert len(steps) == 16


def test_a_student_that_does_not_fit_is_trained_anew(tiny_study, tmp_path, caplog):
    options = {"students": tmp_path / "students"}
    _, (before,) = run(tiny_study(), tmp_path, **options)
    for payload in (tmp_path / "students").rglob("*.safetensors"):
        payload.write_bytes(payload.read_bytes()[:-1])
    steps = []
    _, (after,) = run(tiny_study(), tmp_path, "again", progress=steps_of(steps), **options)
    assert steps == [1, 2, 3, 4]
    assert "trained anew" in caplog.text
    assert after["image_scores"] == pytest.approx(before["image_scores"], rel=1e-5)
    run(tiny_study(), tmp_path, "third", progress=steps_of(steps), **options)
    assert steps == [1, 2, 3, 4]

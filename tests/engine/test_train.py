"""Training: repeatable, resumable, blind to test pictures and classes, stopped by nonsense."""

import json
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad import artifacts, model_card
from snlad.artifacts import load_artifact
from snlad.build import build_loss
from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.data.samples import Dataset
from snlad.engine import finish, preparation, rundir
from snlad.engine.schedule import batch_indices, learning_rate
from snlad.engine.train import OwnParts, train
from snlad.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    ImageError,
    TrainingError,
    UsageError,
    WeightsError,
)
from snlad.sections import TrainConfig


def weights(run: Path) -> dict[str, np.ndarray]:
    return load_artifact(run / "model", "model").arrays("weights.safetensors")


def same_weights(a: Path, b: Path) -> bool:
    left, right = weights(a), weights(b)
    return left.keys() == right.keys() and all(np.array_equal(left[k], right[k]) for k in left)


def numbers(run: Path) -> list[dict]:
    """The log without the one column that measures the machine."""
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "images_per_s"} for row in rows]


def test_a_run_folder_tells_what_was_asked_with_what_and_how_it_went(trained_run):
    config = json.loads((trained_run / "config.json").read_text())
    assert config["method"] == "rd-snl"
    versions = json.loads((trained_run / "versions.json").read_text())
    assert versions["torch"] == torch.__version__.partition("+")[0]
    rows = numbers(trained_run)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert {"loss", "loss_spatial"} <= rows[0].keys()
    assert (trained_run / "curves.png").stat().st_size > 1000
    assert not (trained_run / "checkpoint").exists()


@pytest.mark.parametrize("method", ["fd", "rd", "fd-snl"])
def test_every_other_method_trains_too(tiny_data, tmp_path, tiny_settings, method):
    config = make_config(method, **tiny_settings)
    run = train(open_dataset(tiny_data), tmp_path / "run", config)
    assert np.isfinite([row["loss"] for row in numbers(run)]).all()


def test_the_same_seed_gives_the_same_numbers(shared_data, trained_run, tmp_path, tiny_settings):
    again = train(open_dataset(shared_data), tmp_path / "again", make_config(**tiny_settings))
    assert same_weights(again, trained_run)
    assert numbers(again) == numbers(trained_run)


def test_another_seed_gives_other_numbers(shared_data, trained_run, tmp_path, tiny_settings):
    config = make_config(**tiny_settings, seed=1)
    other = train(open_dataset(shared_data), tmp_path / "other", config)
    assert not same_weights(other, trained_run)


def test_training_leaves_the_callers_random_numbers_alone(shared_data, tmp_path, tiny_settings):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(open_dataset(shared_data), tmp_path / "run", make_config(**tiny_settings))
    assert torch.equal(torch.rand(3), expected)


class Killed(BaseException):
    """Stands for kill -9: nothing of ours catches it."""


def kill_at(step: int):
    def progress(label: str, done: int, _total: int) -> None:
        if label == "training" and done == step:
            raise Killed

    return progress


@pytest.mark.parametrize("step", [1, 3])
def test_a_killed_run_resumes_to_the_numbers_of_an_undisturbed_one(
    shared_data, trained_run, tmp_path, tiny_settings, step
):
    data, config, out = open_dataset(shared_data), make_config(**tiny_settings), tmp_path / "run"
    with pytest.raises(Killed):
        train(data, out, config, progress=kill_at(step))
    resumed = train(data, out, config, resume=True)
    assert same_weights(resumed, trained_run)
    assert numbers(resumed) == numbers(trained_run)


def test_dropout_repeats_after_a_resume(shared_data, tmp_path, tiny_settings):
    data = open_dataset(shared_data)
    config = make_config(**tiny_settings, student={"dropout": 0.5})
    whole = train(data, tmp_path / "whole", config)
    with pytest.raises(Killed):
        train(data, tmp_path / "cut", config, progress=kill_at(3))
    assert same_weights(train(data, tmp_path / "cut", config, resume=True), whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_training_between_two_steps_and_loses_none(
    shared_data, trained_run, tmp_path, tiny_settings, number
):
    def interrupt(label: str, done: int, _total: int) -> None:
        if label == "training" and done == 1:
            signal.raise_signal(number)

    data, config, out = open_dataset(shared_data), make_config(**tiny_settings), tmp_path / "run"
    before = signal.getsignal(number)
    with pytest.raises(TrainingError, match=r"after step 1 of 4.*--resume") as caught:
        train(data, out, config, progress=interrupt)
    assert caught.value.interrupted
    assert signal.getsignal(number) is before
    assert load_artifact(out / "checkpoint", "checkpoint").payload["done"]["step"] == 1
    assert same_weights(train(data, out, config, resume=True), trained_run)


def test_resuming_a_finished_run_changes_nothing(trained_run, shared_data, tiny_settings):
    before = (trained_run / "model" / "model.json").read_bytes()
    train(open_dataset(shared_data), trained_run, make_config(**tiny_settings), resume=True)
    assert (trained_run / "model" / "model.json").read_bytes() == before


def test_a_run_is_never_overwritten(trained_run, shared_data, tiny_settings):
    with pytest.raises(UsageError, match="already holds a run"):
        train(open_dataset(shared_data), trained_run, make_config(**tiny_settings))


def test_there_must_be_a_run_to_resume(shared_data, tmp_path, tiny_settings):
    config = make_config(**tiny_settings)
    with pytest.raises(UsageError, match="holds no run"):
        train(open_dataset(shared_data), tmp_path / "none", config, resume=True)


def test_a_run_resumes_only_with_its_own_configuration(trained_run, shared_data, tiny_settings):
    with pytest.raises(ConfigError, match="other values of seed"):
        config = make_config(**tiny_settings, seed=9)
        train(open_dataset(shared_data), trained_run, config, resume=True)


def test_a_run_of_a_version_without_some_key_resumes(tiny_data, tmp_path, tiny_settings):
    config, out = make_config(**tiny_settings), tmp_path / "run"
    with pytest.raises(Killed):
        train(open_dataset(tiny_data), out, config, progress=kill_at(3))
    stored = json.loads((out / "config.json").read_text())
    del stored["cram"]["placement"]
    (out / "config.json").write_text(json.dumps(stored))
    train(open_dataset(tiny_data), out, config, resume=True)
    assert (out / "model" / "model.json").exists()


def test_a_run_resumes_only_with_its_own_data(tiny_data, tmp_path, tiny_settings):
    config, out = make_config(**tiny_settings), tmp_path / "run"
    with pytest.raises(Killed):
        train(open_dataset(tiny_data), out, config, progress=kill_at(3))
    good = tiny_data / "dark" / "train" / "good"
    shutil.copy(good / "0.png", good / "1.png")
    with pytest.raises(ArtifactError, match="another data"):
        train(open_dataset(tiny_data), out, config, resume=True)


def test_a_folder_that_cannot_be_written_is_named(shared_data, tmp_path, tiny_settings):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be written"):
        train(open_dataset(shared_data), tmp_path / "file" / "run", make_config(**tiny_settings))


def test_a_run_resumes_only_with_its_own_inspection_masks(shared_data, tmp_path, tiny_settings):
    data, config, out = open_dataset(shared_data), make_config(**tiny_settings), tmp_path / "run"
    rois = {"grey": np.ones((4, 4), bool)}
    with pytest.raises(Killed):
        train(data, out, config, rois=rois, progress=kill_at(3))
    with pytest.raises(ArtifactError, match="another roi"):
        train(data, out, config, resume=True)
    train(data, out, config, rois=rois, resume=True)


@pytest.mark.parametrize("dies_at", [1, 2, 3, 4, 5])
def test_a_death_at_any_write_after_the_last_step_is_made_good_by_a_resume(
    shared_data, trained_run, tmp_path, tiny_settings, monkeypatch, dies_at
):
    """The final checkpoint is there; whatever of model, card and curves is not, is made again."""
    data, config, out = open_dataset(shared_data), make_config(**tiny_settings), tmp_path / "run"
    writes = []

    def dying(name, real):
        def write(*args, **kwargs):
            if (out / "checkpoint" / "checkpoint.json").exists() and finishing:
                writes.append(name)
                if len(writes) == dies_at:
                    raise Killed
            return real(*args, **kwargs)

        return write

    finishing = []

    def progress(label, done, total):
        if label == "scaling maps":
            finishing.append(done)

    monkeypatch.setattr(finish, "draw_curves", dying("curves", finish.draw_curves))
    for module in (artifacts, model_card):
        real = module.write_atomically
        monkeypatch.setattr(module, "write_atomically", dying("file", real))
    monkeypatch.setattr(
        rundir.RunFolder, "discard_checkpoint", dying("end", rundir.RunFolder.discard_checkpoint)
    )
    with pytest.raises(Killed):
        train(data, out, config, progress=progress)
    monkeypatch.undo()
    train(data, out, config, resume=True)
    assert same_weights(out, trained_run)
    assert (out / "model" / "README.md").exists()
    assert (out / "curves.png").exists()
    assert not (out / "checkpoint").exists()


def test_a_model_folder_without_a_model_is_not_finished(shared_data, tmp_path, tiny_settings):
    data, config, out = open_dataset(shared_data), make_config(**tiny_settings), tmp_path / "run"
    with pytest.raises(Killed):
        train(data, out, config, progress=kill_at(3))
    (out / "model").mkdir()
    train(data, out, config, resume=True)
    assert (out / "model" / "model.json").exists()


def test_a_signal_while_caches_fill_ends_the_work_at_once(shared_data, tmp_path, tiny_settings):
    def interrupt(label: str, _done: int, _total: int) -> None:
        assert label != "training"
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingError, match="while reading pictures") as caught:
        data, config = open_dataset(shared_data), make_config(**tiny_settings)
        train(data, tmp_path / "run", config, progress=interrupt)
    assert caught.value.interrupted


def test_a_second_signal_interrupts_at_once(shared_data, tmp_path, tiny_settings):
    def interrupt_twice(label: str, _done: int, _total: int) -> None:
        if label == "training":
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        data, config = open_dataset(shared_data), make_config(**tiny_settings)
        train(data, tmp_path / "run", config, progress=interrupt_twice)


def test_the_time_of_a_resumed_training_is_that_of_all_its_parts(
    shared_data, tmp_path, tiny_settings
):
    data, config, out = open_dataset(shared_data), make_config(**tiny_settings), tmp_path / "run"
    with pytest.raises(Killed):
        train(data, out, config, progress=kill_at(3))
    before = load_artifact(out / "checkpoint", "checkpoint").payload["done"]["seconds"]
    started = time.monotonic()
    train(data, out, config, resume=True)
    resumed = time.monotonic() - started
    seconds = load_artifact(out / "model", "model").payload["record"]["seconds"]
    assert before < seconds <= before + resumed + 0.1


def test_one_picture_is_enough_to_train(tiny_data, tmp_path, tiny_settings):
    shutil.rmtree(tiny_data / "dark")
    for name in "1234":
        (tiny_data / "grey" / "train" / "good" / f"{name}.png").unlink()
    run = train(open_dataset(tiny_data), tmp_path / "run", make_config(**tiny_settings))
    assert len(numbers(run)) == 4


OPENED: list[str] = []


def _remember_opened(event: str, arguments: tuple) -> None:
    if event == "open" and isinstance(arguments[0], str):
        OPENED.append(arguments[0])


def test_training_never_opens_a_test_file(tiny_data, tmp_path, tiny_settings):
    sys.addaudithook(_remember_opened)  # it stays for the life of the process and only remembers
    OPENED.clear()
    train(open_dataset(tiny_data), tmp_path / "run", make_config(**tiny_settings))
    inside = (Path(name) for name in OPENED if str(tiny_data) in name)
    inside = {path.relative_to(tiny_data).parts[1] for path in inside}
    assert inside == {"train"}


def test_labels_and_class_names_never_reach_the_student(tiny_data, tmp_path, tiny_settings):
    """The same pictures in one flat folder give the same model."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for index, path in enumerate(sorted(tiny_data.glob("*/train/good/*.png"))):
        shutil.copy(path, flat / f"{index:02d}.png")
    config = make_config(**tiny_settings)
    mixed = train(open_dataset(flat), tmp_path / "a", config)
    by_class = train(open_dataset(tiny_data), tmp_path / "b", config)
    assert same_weights(mixed, by_class)


def test_no_normal_picture_is_an_error_that_says_where_to_put_some(tiny_data, tmp_path):
    data = open_dataset(tiny_data)
    only_test = Dataset(root=data.root, layout=data.layout, samples=data.test)
    with pytest.raises(DataError, match="no normal training picture"):
        train(only_test, tmp_path / "run", make_config())


def test_a_corrupt_training_picture_is_named(tiny_data, tmp_path, tiny_settings):
    bad = tiny_data / "grey" / "train" / "good" / "3.png"
    bad.write_bytes(bad.read_bytes()[:60])
    with pytest.raises(ImageError, match=r"3\.png"):
        train(open_dataset(tiny_data), tmp_path / "run", make_config(**tiny_settings))


def test_a_roi_that_vanishes_at_map_size_is_refused_before_training(
    tiny_data, tmp_path, tiny_settings
):
    roi = np.zeros((4000, 4000), bool)
    roi[1, 1] = True
    with pytest.raises(DataError, match="256"):
        config = make_config(**tiny_settings)
        train(open_dataset(tiny_data), tmp_path / "run", config, rois={"grey": roi})
    assert not (tmp_path / "run").exists()


def test_a_roi_of_an_unknown_class_is_refused(tiny_data, tmp_path, tiny_settings):
    roi = {"white": np.ones((4, 4), bool)}
    with pytest.raises(DataError, match="'white'"):
        train(open_dataset(tiny_data), tmp_path / "run", make_config(**tiny_settings), rois=roi)


def test_a_loss_that_is_not_finite_stops_with_step_and_terms(tiny_data, tmp_path, tiny_settings):
    def broken(teacher, student):
        return {"good": student[0].mean(), "bad": student[0].mean() * float("nan")}

    own = OwnParts(loss=broken)
    with pytest.raises(
        TrainingError, match=r"at step 1 \(good .*, bad nan, gradient norm nan\)"
    ) as caught:
        train(open_dataset(tiny_data), tmp_path / "run", make_config(**tiny_settings), own=own)
    assert not caught.value.interrupted


def test_a_gradient_that_is_not_finite_stops_before_it_spoils_the_student(
    tiny_data, tmp_path, tiny_settings
):
    def steep(teacher, student):
        return {"root": (student[0] * 0).square().sum().sqrt()}

    own, config = OwnParts(loss=steep), make_config(**tiny_settings)
    with pytest.raises(TrainingError, match=r"root 0, gradient norm nan"):
        train(open_dataset(tiny_data), tmp_path / "run", config, own=own)
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_features_on_the_fly_give_the_numbers_of_the_cache(
    tiny_data, trained_run, tmp_path, tiny_settings, caplog
):
    """Without memory for a cache, batches are made anew; only rounding may differ."""
    caplog.set_level("INFO")
    limited = {**tiny_settings, "train": {**tiny_settings["train"], "cache_gib": 0.0}}
    run = train(open_dataset(tiny_data), tmp_path / "run", make_config(**limited))
    assert "exceed the cache budget" in caplog.text
    np.testing.assert_allclose(
        [row["loss"] for row in numbers(run)],
        [row["loss"] for row in numbers(trained_run)],
        rtol=1e-3,
    )


def test_pictures_may_fit_where_features_do_not(tiny_data, tmp_path, tiny_settings, caplog):
    caplog.set_level("INFO")
    gib = 11 * 64 * 64 * 3 / 2**30
    limited = {**tiny_settings, "train": {**tiny_settings["train"], "cache_gib": gib}}
    train(open_dataset(tiny_data), tmp_path / "run", make_config(**limited))
    assert "teacher features exceed the cache budget" in caplog.text


def test_random_centers_skip_k_means(tiny_data, tmp_path, tiny_settings, monkeypatch):
    monkeypatch.setattr(preparation, "initialise_centers", pytest.fail)
    cram = {"centers": 4, "initialisation": "random"}
    train(open_dataset(tiny_data), tmp_path / "run", make_config(**{**tiny_settings, "cram": cram}))


def test_training_works_outside_the_main_thread(shared_data, trained_run, tmp_path, tiny_settings):
    """Where signals cannot be received, training runs all the same."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        config = make_config(**tiny_settings)
        future = pool.submit(train, open_dataset(shared_data), tmp_path / "run", config)
        assert same_weights(future.result(), trained_run)


@settings(deadline=None, derandomize=True)
@given(n=st.integers(1, 60), batch=st.integers(1, 20), seed=st.integers(0, 99))
def test_an_epoch_shows_every_picture_at_most_once_and_fills_every_batch(n, batch, seed):
    size = min(batch, n)
    steps = n // size
    for epoch in (0, 1):
        shown = [batch_indices(epoch * steps + step, n, batch, seed) for step in range(steps)]
        assert all(len(part) == size for part in shown)
        assert max(Counter(i for part in shown for i in part).values()) == 1


def test_batches_mix_classes_and_differ_between_epochs_and_seeds():
    n = 160  # two classes of 80, one after the other
    first = batch_indices(0, n, 16, seed=0)
    assert 2 <= sum(i < 80 for i in first) <= 14
    assert batch_indices(10, n, 16, seed=0) != first
    assert batch_indices(0, n, 16, seed=1) != first


def test_the_learning_rate_rises_linearly_and_falls_to_nothing():
    config = TrainConfig(learning_rate=1.0, warmup_share=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[10] == 1.0
    assert np.all(np.diff(rates[10:]) < 0)
    assert rates[-1] < 1e-3
    assert rates[55] == pytest.approx(0.5)


def test_no_warm_up_starts_at_the_peak():
    assert learning_rate(0, 10, TrainConfig(learning_rate=0.3, warmup_share=0.0)) == 0.3


def test_a_run_that_could_not_begin_can_begin_again(tiny_data, tmp_path, tiny_settings):
    missing = {**tiny_settings["teacher"], "weights": str(tmp_path / "no.safetensors")}
    data = open_dataset(tiny_data)
    with pytest.raises(WeightsError):
        train(data, tmp_path / "run", make_config(**{**tiny_settings, "teacher": missing}))
    assert len(numbers(train(data, tmp_path / "run", make_config(**tiny_settings)))) == 4


def test_a_batch_with_nothing_to_normalise_is_one_sentence(tiny_data, tmp_path, tiny_settings):
    teacher = {**tiny_settings["teacher"], "levels": (2, 3, 4)}
    settings_ = {**tiny_settings["train"], "batch_size": 1}
    config = make_config(**{**tiny_settings, "teacher": teacher, "train": settings_})
    with pytest.raises(TrainingError, match=r"raise train\.batch_size"):
        train(open_dataset(tiny_data), tmp_path / "run", config)


def test_a_run_inside_its_data_is_refused_and_nothing_is_written(tiny_data, tiny_settings):
    with pytest.raises(UsageError, match="lies inside the data set"):
        train(open_dataset(tiny_data), tiny_data / "run", make_config(**tiny_settings))
    assert not (tiny_data / "run").exists()


def test_a_trained_state_is_kept_and_serves_runs_with_other_maps(
    shared_data, tmp_path, tiny_settings
):
    data, config = open_dataset(shared_data), make_config("rd", **tiny_settings)
    kept = tmp_path / "kept"
    first = train(data, tmp_path / "first", config, trained=kept)
    steps = []
    again = train(
        data,
        tmp_path / "again",
        config,
        trained=kept,
        progress=lambda label, done, _total: steps.append(done) if label == "training" else None,
    )
    assert steps == []
    assert same_weights(again, first)
    assert not (again / "checkpoint").exists()
    other = make_config("rd", **{**tiny_settings, "seed": 1})
    assert not same_weights(train(data, tmp_path / "other", other, trained=kept), first)


def test_a_run_with_a_given_student_is_made_good_after_a_death(
    shared_data, tmp_path, tiny_settings, monkeypatch
):
    """Between the saved model and its thresholds: it must not pass for finished."""
    data, config = open_dataset(shared_data), make_config("rd", **tiny_settings)
    kept = tmp_path / "kept"
    train(data, tmp_path / "first", config, trained=kept)

    def die(*_args):
        raise OSError("no space left")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space"):
        patched.setattr("snlad.engine.train.use_held_out", die)
        train(data, tmp_path / "run", config, trained=kept)
    assert (tmp_path / "run" / "model" / "model.json").exists()
    called = []
    monkeypatch.setattr("snlad.engine.train.use_held_out", lambda *_args: called.append(1))
    train(data, tmp_path / "run", config, trained=kept, resume=True)
    assert called == [1]


def test_a_student_trained_with_own_parts_is_none_of_ours(shared_data, tmp_path, tiny_settings):
    data, config = open_dataset(shared_data), make_config("rd", **tiny_settings)
    steps = []
    for own in (OwnParts(loss=build_loss(config)), OwnParts(maps={"m": _flat}), OwnParts()):
        train(
            data,
            tmp_path / f"run{len(steps)}",
            config,
            own=own,
            trained=tmp_path / "kept",
            progress=lambda label, done, _: steps.append(done) if label == "training" else None,
        )
    assert steps == [1, 2, 3, 4] * 2  # the run with other maps, and then no other, finds a student


def _flat(teacher, _student, size):
    return teacher[0].new_ones(len(teacher[0]), 1, *size)


def test_the_parts_of_the_paper_train_and_resume(shared_data, tmp_path, tiny_settings):
    """CRAM, affinity losses and maps, scaled: what the default leaves out."""
    data = open_dataset(shared_data)
    config = make_config(
        **{
            **tiny_settings,
            "cram": {"reading": "residual", "centers": 4},
            "loss": {"intra": 0.3, "inter": 0.3},
            "maps": {
                "centers": 0,
                "center_distance": False,
                "affinity": True,
                "combine": "scaled-sum",
            },
        }
    )
    whole = train(data, tmp_path / "whole", config)
    rows = numbers(whole)
    assert {"loss_intra", "loss_inter", "cram_entropy", "cram_used_share"} <= rows[0].keys()
    assert 0 < rows[0]["cram_used_share"] <= 1
    assert rows[0]["cram_entropy"] == pytest.approx(0.3, abs=0.1)  # as k-means started it

    def stop(label, done, _total):
        if (label, done) == ("training", 2):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingError):
        train(data, tmp_path / "run", config, progress=stop)
    assert same_weights(train(data, tmp_path / "run", config, resume=True), whole)

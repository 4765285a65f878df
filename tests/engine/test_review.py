"""Review of the good pictures: out of sample, ranked within class and fold, nothing moved."""

import csv
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.engine import review as module
from snlad.engine.pictures import load_pictures, read_excluded
from snlad.engine.review import deviate, review
from snlad.engine.train import OwnParts, train
from snlad.errors import DataError, ImageError, TrainingError, UsageError
from snlad.predict import load


def test_deviations_are_worked_by_hand():
    """Median 3, median absolute deviation 1."""
    found = deviate(np.array([1.0, 2, 3, 4, 100]))
    np.testing.assert_allclose(found * 1.4826, [-2, -1, 0, 1, 97])


def test_where_most_scores_are_equal_the_mean_deviation_takes_over():
    np.testing.assert_allclose(deviate(np.array([5.0, 5, 5, 5, 10])), [0, 0, 0, 0, 5])
    np.testing.assert_array_equal(deviate(np.array([2.0, 2.0])), [0, 0])
    np.testing.assert_array_equal(deviate(np.array([7.0])), [0])


@given(
    arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 100)),
    st.floats(0.1, 10),
    st.floats(-50, 50),
)
@settings(deadline=None, derandomize=True)
def test_deviations_know_neither_scale_nor_level(scores, factor, shift):
    """So the scores of two models, and of two classes, can be ranked together."""
    scores = np.round(scores, 2)  # far apart or equal: no spread of rounding errors
    one, other = deviate(scores), deviate(scores * factor + shift)
    if np.ptp(scores):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.fixture
def dirty(tiny_data):
    """Twelve training pictures a class, one of class grey with a bright spot."""
    random = np.random.default_rng(3)
    for name, tone in (("dark", 60), ("grey", 140)):
        for index in range(5, 12):
            noise = random.normal(0, 12, (48, 48, 3))
            pixels = np.clip(tone + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tiny_data / name / "train/good" / f"{index}.png")
    path = tiny_data / "grey/train/good/3.png"
    with Image.open(path) as picture:
        pixels = np.asarray(picture).copy()
    pixels[8:24, 16:40] = 250
    Image.fromarray(pixels).save(path)
    return tiny_data


@pytest.fixture
def run(dirty, tmp_path, tiny_settings):
    longer = {**tiny_settings, "train": {**tiny_settings["train"], "steps": 12}}
    return train(open_dataset(dirty), tmp_path / "run", make_config("rd", **longer))


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_odd_picture_comes_first_and_every_picture_is_listed(run, dirty, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in dirty.rglob("*.png")}
    seen = []
    rows = review(run, share=0.1, progress=lambda label, *_: seen.append(label))
    assert rows[0].path == str(dirty / "grey/train/good/3.png")
    assert [row.rank for row in rows] == list(range(1, 25))
    assert {row.path for row in rows} == {str(p) for p in dirty.glob("*/train/good/*.png")}
    assert [row.deviation for row in rows] == sorted((r.deviation for r in rows), reverse=True)
    assert {row.role for row in rows} == {"train"}
    assert {"looking for copies", "training", "scoring fold 1 of 2", "scoring fold 2 of 2"} <= {
        *seen
    }
    folder = run / "review"
    assert len(table(folder / "ranking.csv")) == 24
    assert [row["path"] for row in table(folder / "exclude.csv")] == [r.path for r in rows[:2]]
    assert sorted(p.name for p in (folder / "pictures").iterdir()) == ["0001.png", "0002.png"]
    assert not list(folder.glob("fold-*"))
    assert {path: path.stat().st_mtime_ns for path in dirty.rglob("*.png")} == before
    with pytest.raises(UsageError, match="already holds a review"):
        review(run)


def test_no_model_scores_a_picture_that_it_trained_on(run, monkeypatch):
    trained, scored = [], []
    real_train, real_scores = module.train, module._scores

    def spy_train(data, *args, **kwargs):
        trained.append({sample.path for sample in data.train_normal})
        return real_train(data, *args, **kwargs)

    def spy_scores(model, samples, *args):
        scored.append({sample.path for sample in samples})
        return real_scores(model, samples, *args)

    monkeypatch.setattr(module, "train", spy_train)
    monkeypatch.setattr(module, "_scores", spy_scores)
    review(run, folds=3)
    assert len(trained) == len(scored) == 3
    for used, tested in zip(trained, scored, strict=True):
        assert not used & tested
        assert len(used | tested) == 24


def test_the_list_is_what_train_leaves_out(run, dirty, tmp_path, tiny_settings):
    review(run, share=0.01)
    excluded = read_excluded(run / "review/exclude.csv")
    again = train(
        open_dataset(dirty), tmp_path / "again", make_config(**tiny_settings), excluded=excluded
    )
    assert load(again).card.classes == {"dark": 12, "grey": 11}
    used = {sample.path.name for sample in load_pictures(again).train if "grey" in str(sample.path)}
    assert used == {f"{i}.png" for i in range(12)} - {"3.png"}


def test_an_interrupted_review_goes_on(run):
    def stop(label, done, _total):
        if (label, done) == ("training", 5):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        review(run, progress=stop)
    kept = json.loads((run / "review/fold-1/checkpoint/checkpoint.json").read_text())
    assert kept["payload"]["done"]["step"] > 0
    steps = []
    review(run, progress=lambda label, done, _: label == "training" and steps.append(done))
    assert steps[0] > 1  # not from the start


def test_calibration_pictures_are_reviewed_too(dirty, other_data, tmp_path, tiny_settings):
    run = train(
        open_dataset(dirty),
        tmp_path / "run",
        make_config("rd", **tiny_settings),
        calibration=open_dataset(other_data),
    )
    rows = review(run, tmp_path / "elsewhere")
    assert sum(row.role == "calibration" for row in rows) == 10
    assert len(rows) == 34
    assert (tmp_path / "elsewhere/ranking.csv").exists()
    assert not (run / "review").exists()


def test_what_cannot_be_reviewed_is_refused(run, dirty, tmp_path, tiny_settings):
    with pytest.raises(UsageError, match="--folds 1 leaves no picture out"):
        review(run, folds=1)
    for share in (0.0, 1.0):
        with pytest.raises(UsageError, match="is not in"):
            review(run, share=share)
    copy = shutil.copytree(run / "model", tmp_path / "copy")
    with pytest.raises(UsageError, match="has no list of its pictures"):
        review(copy)
    own = train(
        open_dataset(dirty),
        tmp_path / "own",
        make_config("rd", **tiny_settings),
        own=OwnParts(loss=lambda t, s: {"mine": (t[0] - s[0]).square().mean()}),
    )
    with pytest.raises(UsageError, match="parts of the user's own"):
        review(own)


def test_a_picture_that_changed_since_the_run_is_named(run, dirty):
    path = dirty / "dark/train/good/1.png"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ImageError, match=r"1\.png is not the file that the run used"):
        review(run)
    path.unlink()
    with pytest.raises((ImageError, TrainingError), match=r"1\.png"):
        review(run, run / "other")


@pytest.mark.parametrize("content", ["", "path\na\n", "sha256,colour\n1,2\n", "sha256\n1,2\n"])
def test_a_list_that_is_none_is_named(tmp_path, content):
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(DataError, match=r"list\.csv"):
        read_excluded(tmp_path / "list.csv")


def test_a_list_may_hold_hashes_alone(tmp_path):
    (tmp_path / "list.csv").write_text("sha256\nabc\ndef\n")
    assert read_excluded(tmp_path / "list.csv") == {"abc", "def"}

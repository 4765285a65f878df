"""Runs and their data: what a key depends on, and which pictures are drawn."""

import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from snlad.data.opening import open_dataset
from snlad.errors import DataError, UsageError
from snlad.study.jobs import choose_classes, draw_pictures, open_jobs
from snlad.study.plan import make_study


def job(tiny_study, **changes):
    return open_jobs(tiny_study(**changes).runs())[0]


def test_a_key_does_not_depend_on_where_the_data_lie(tiny_study, shared_data, tmp_path):
    copy = shutil.copytree(shared_data, tmp_path / "copy")
    here, there = job(tiny_study), job(tiny_study, data=copy)
    assert here.key == there.key
    assert here.data == there.data
    assert job(tiny_study, seeds=[1]).key != here.key


@pytest.mark.parametrize(
    "file",
    [
        "grey/train/good/0.png",
        "grey/test/good/0.png",
        "grey/test/spot/0.png",
        "grey/ground_truth/spot/0_mask.png",
    ],
)
def test_any_other_picture_or_mask_is_another_key(tiny_study, tiny_data, file):
    before = job(tiny_study, data=tiny_data).key
    pixels = np.array(Image.open(tiny_data / file))
    pixels[0, 0] = 255 - pixels[0, 0]
    Image.fromarray(pixels).save(tiny_data / file)
    assert job(tiny_study, data=tiny_data).key != before
    only_dark = job(tiny_study, data=tiny_data, classes=["dark"])
    (tiny_data / file).unlink()
    shutil.rmtree(tiny_data / "grey")
    assert job(tiny_study, data=tiny_data, classes=["dark"]).key == only_dark.key


def test_a_label_is_part_of_the_key(tiny_study, tiny_data):
    before = job(tiny_study, data=tiny_data).key
    (tiny_data / "grey/test/spot").rename(tiny_data / "grey/test/hole")
    (tiny_data / "grey/ground_truth/spot").rename(tiny_data / "grey/ground_truth/hole")
    assert job(tiny_study, data=tiny_data).key != before


def test_each_data_set_is_opened_and_read_once(tiny_study, shared_data, monkeypatch):
    from snlad.study import jobs

    opened, read = [], []

    def count(calls, function):
        return lambda path: (calls.append(path), function(path))[1]

    monkeypatch.setattr(jobs, "open_dataset", count(opened, jobs.open_dataset))
    monkeypatch.setattr(jobs, "read_file", count(read, jobs.read_file))
    plan = tiny_study(seeds=range(3), grid={"classes": [["dark"], ["grey"], ["dark", "grey"]]})
    assert len({one.key for one in open_jobs(plan.runs())}) == 9
    assert opened == [shared_data]
    assert len(read) == len(set(read)) == 22  # 10 to train, 8 to test, 4 masks


def test_classes_are_chosen_and_unknown_ones_named(shared_data):
    data = open_dataset(shared_data)
    assert choose_classes(data, None) is data
    grey = choose_classes(data, ["grey"])
    assert grey.class_names == ("grey",)
    assert len(grey.samples) == len(data.samples) / 2
    with pytest.raises(DataError, match=r"class 'red' is not in .*; it has dark, grey"):
        choose_classes(data, ["grey", "red"])


def names(dataset):
    return [str(sample.path) for sample in dataset.train_normal]


def test_more_pictures_are_the_same_and_others(shared_data):
    data = open_dataset(shared_data)
    assert draw_pictures(data, None, 0) is data
    drawn = [draw_pictures(data, count, 3) for count in (1, 2, 5, 100)]
    assert [len(one.train_normal) for one in drawn] == [2, 4, 10, 10]
    for few, more in pairwise(drawn):
        assert set(names(few)) <= set(names(more))
    assert all(one.test == data.test for one in drawn)
    assert names(drawn[-1]) == names(data)
    assert draw_pictures(data, 2, 3) == drawn[1]
    assert len({tuple(names(draw_pictures(data, 2, seed))) for seed in range(8)}) > 3


def test_a_class_draws_the_same_whatever_other_classes_there_are(shared_data):
    data = open_dataset(shared_data)
    together = choose_classes(draw_pictures(data, 2, 0), ["grey"])
    assert together == draw_pictures(choose_classes(data, ["grey"]), 2, 0)


def test_one_model_works_on_all_and_models_per_class_on_one_each(tiny_study):
    one = job(tiny_study, pictures=3)
    assert one.parts == ()
    whole = one.drawn()
    assert len(whole.train_normal) == 6
    parts = [part.drawn() for part in job(tiny_study, pictures=3, models="per-class").parts]
    assert [part.class_names for part in parts] == [("dark",), ("grey",)]
    assert [len(part.train_normal) for part in parts] == [3, 3]
    samples = {sample for part in parts for sample in part.samples}
    assert samples == set(whole.samples)


def test_a_model_of_one_class_is_the_run_that_another_trial_asks_for(tiny_study):
    dark, grey = job(tiny_study, models="per-class").parts
    alone = job(tiny_study, classes=["grey"])
    assert (grey.key, grey.training) == (alone.key, alone.training)
    assert dark.key != grey.key
    assert grey.title.endswith(": grey, seed 0")


def test_a_study_without_data_says_what_to_do():
    runs = make_study({"title": "t", "trials": [{"name": "a"}]}).runs()
    with pytest.raises(UsageError, match="--data"):
        open_jobs(runs)
    with pytest.raises(DataError, match="does not exist"):
        open_jobs([replace(run, data="nowhere") for run in runs])


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"settings": {"maps": {"centers": 8}}}, True),
        ({"probes": 2}, True),
        ({"own": ["maps"]}, True),
        ({"settings": {"calibration": {"share": 0.2}}}, False),
        ({"settings": {"student": {"dropout": 0.1}}}, False),
        ({"settings": {"train": {"steps": 5}}}, False),
        ({"own": ["loss"]}, False),
        ({"pictures": 2}, False),
        ({"classes": ["grey"]}, False),
        ({"models": "per-class"}, False),
        ({"seeds": [1]}, False),
    ],
)
def test_a_training_is_known_by_what_its_student_depends_on(tiny_study, change, same):
    plain = {"name": "a", "method": "rd"}
    probes = {"probes": change.pop("probes")} if "probes" in change else {}
    first = open_jobs(tiny_study(trials=[plain]).runs())[0]
    other = open_jobs(tiny_study(trials=[{**plain, **change}], **probes).runs())[0]
    assert (first.training == other.training) is same
    assert first.key != other.key

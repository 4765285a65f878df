"""The list of a run's pictures: who trains, who calibrates, and back from disk."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.data.opening import open_dataset
from snlad.data.samples import Sample
from snlad.engine.pictures import (
    UsedPictures,
    choose_pictures,
    load_pictures,
    refuse_trained,
    unseen_normals,
)
from snlad.errors import ArtifactError, DataError, ImageError, UsageError
from snlad.sections import CalibrationConfig
from snlad.types import silent

ALL = CalibrationConfig(share=0.0)


@pytest.fixture
def samples(shared_data):
    return open_dataset(shared_data).train_normal


def choose(samples, given=None, settings=ALL):
    return choose_pictures(samples, given, settings, 0, silent)


def test_no_share_trains_on_everything(samples):
    used = choose(samples)
    assert (used.train, used.calibration, used.calibration_digests) == (samples, (), ())
    assert len(set(used.train_digests)) == len(samples)


def test_the_digest_is_that_of_the_training_pictures_alone(samples, other_data):
    others = open_dataset(other_data).train_normal
    assert choose(samples, others).digest == choose(samples).digest
    assert choose(samples[1:]).digest != choose(samples).digest


def test_given_pictures_leave_the_share_alone(samples, other_data):
    others = open_dataset(other_data).train_normal
    used = choose(samples * 8, others, CalibrationConfig(share=0.2))
    assert (used.train, used.calibration) == (samples * 8, others)


def test_the_same_file_under_another_name_is_refused(samples, tmp_path):
    copy = tmp_path / "copy.png"
    copy.write_bytes(samples[3].path.read_bytes())
    with pytest.raises(UsageError, match=r"copy\.png is also a training picture"):
        choose(samples, [replace(samples[3], path=copy)])
    refuse_trained(samples, ["a"] * len(samples), ["b"])


def test_a_picture_that_cannot_be_read_is_named(samples, tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png"):
        choose([replace(samples[0], path=tmp_path / "gone.png")])


def test_what_is_saved_is_loaded(samples, other_data, tmp_path):
    others = [
        replace(s, group="g", part_id="p", view="left", time="t")
        for s in open_dataset(other_data).train_normal
    ]
    used = choose(samples, others)
    assert load_pictures(tmp_path) is None
    used.save(tmp_path)
    assert load_pictures(tmp_path) == used
    rows = [json.loads(line) for line in (tmp_path / "pictures.jsonl").read_text().splitlines()]
    assert [row["role"] for row in rows] == ["train"] * 10 + ["calibration"] * 10
    assert all(Path(row["path"]).is_absolute() and len(row["sha256"]) == 64 for row in rows)


@given(names=st.lists(st.text(min_size=1), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_name_survives(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("run")
    samples = tuple(
        Sample(path=Path("/") / name, class_name=name, split="train", is_anomalous=False)
        for name in names
    )
    used = UsedPictures(samples, tuple(names), (), ())
    used.save(folder)
    assert load_pictures(folder) == used


def test_bytes_that_are_no_unicode_survive(tmp_path):
    path = Path("/data/\udcff.png")
    sample = Sample(path=path, class_name="a", split="train", is_anomalous=False)
    UsedPictures((sample,), ("0",), (), ()).save(tmp_path)
    assert load_pictures(tmp_path).train[0].path == path


@pytest.mark.parametrize("content", ["{", "[]", '{"role": "train"}', '{"path": "a"}', "1"])
def test_a_damaged_list_is_named(tmp_path, content):
    (tmp_path / "pictures.jsonl").write_text(content)
    with pytest.raises(ArtifactError, match=r"pictures\.jsonl is damaged"):
        load_pictures(tmp_path)


def test_excluded_files_are_used_for_nothing(samples, other_data):
    others = open_dataset(other_data).train_normal
    whole = choose(samples, others)
    bad = {whole.train_digests[2], whole.calibration_digests[1]}
    used = choose_pictures(samples, others, ALL, 0, silent, bad)
    assert used.train == samples[:2] + samples[3:]
    assert used.calibration == others[:1] + others[2:]
    assert not bad & {*used.train_digests, *used.calibration_digests}


def test_a_class_cannot_be_excluded_picture_by_picture(samples):
    grey = [
        sha
        for s, sha in zip(samples, choose(samples).train_digests, strict=True)
        if s.class_name == "grey"
    ]
    with pytest.raises(DataError, match="every picture of class 'grey' is excluded"):
        choose_pictures(samples, None, ALL, 0, silent, grey)


BOTH = {"dark": 5, "grey": 5}


def paths(samples) -> set[Path]:
    return {sample.path for sample in samples}


def test_normals_that_training_did_not_see_are_those_of_the_test_and_those_set_aside(
    samples, shared_data, tmp_path
):
    choose(samples[:3], samples[3:]).save(tmp_path)
    dataset = open_dataset(shared_data)
    found = unseen_normals(tmp_path, dataset, BOTH)
    tested = [one for one in dataset.test if not one.is_anomalous]
    assert len(tested) == 4
    assert paths(found) == paths(samples[3:]) | paths(tested)
    assert not any(one.is_anomalous for one in found)


def test_what_was_trained_on_is_known_by_its_content_in_either_split(samples, tiny_data, tmp_path):
    """The same pictures in another folder, one of them renamed and moved to the test."""
    choose(samples).save(tmp_path)
    (tiny_data / "grey/train/good/2.png").rename(tiny_data / "grey/test/good/new.png")
    found = unseen_normals(tmp_path, open_dataset(tiny_data), BOTH)
    names = sorted(one.path.relative_to(tiny_data).as_posix() for one in found)
    assert names == [f"{name}/test/good/{i}.png" for name in ("dark", "grey") for i in range(2)]


def test_beside_a_copied_model_only_the_test_split_counts(shared_data, tmp_path):
    dataset = open_dataset(shared_data)
    found = unseen_normals(tmp_path, dataset, BOTH)
    assert paths(found) == {one.path for one in dataset.test if not one.is_anomalous}


def test_classes_that_the_model_does_not_have_are_left_out(shared_data, tmp_path):
    found = unseen_normals(tmp_path, open_dataset(shared_data), {"grey": 5})
    assert {one.class_name for one in found} == {"grey"}


def test_data_without_an_unseen_normal_is_refused_in_one_sentence(samples, tiny_data, tmp_path):
    choose(samples).save(tmp_path)
    for path in tiny_data.glob("*/test/good/*.png"):
        path.unlink()
    with pytest.raises(UsageError, match=r"has no normal picture that .* did not train on") as none:
        unseen_normals(tmp_path, open_dataset(tiny_data), BOTH)
    assert "dark, grey" in str(none.value)
    with pytest.raises(UsageError, match="of its classes screw"):
        unseen_normals(tmp_path / "none", open_dataset(tiny_data), {"screw": 1})

"""Scored test pictures on disk: back as they were, whole or refused, and what tells sets apart."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.data.samples import Sample
from snlad.engine.scored import (
    ScoredPicture,
    load_scored,
    pictures_digest,
    save_scored,
    scored_picture,
)
from snlad.errors import ArtifactError, ImageError, UsageError


def picture(path="a/test/good/0.png", **changed) -> ScoredPicture:
    row = {
        "path": path,
        "sha256": "5" * 64,
        "class_name": "a",
        "defect_type": "good",
        "is_anomalous": False,
        "score": 1.5,
    }
    return ScoredPicture(**(row | changed))


def save(run: Path, pictures) -> None:
    save_scored(run, {"protocol": "snlad-v1", "data": pictures_digest(pictures)}, pictures)


def test_what_is_saved_is_loaded(tmp_path):
    pictures = (
        picture(answer="b", is_ng={"class threshold": True}),
        picture("a/test/hole/0.png", is_anomalous=True, defect_type="hole", mask_sha256="6" * 64),
        picture("/elsewhere/\udcff\n.png", part_id="p", view="left"),
    )
    save(tmp_path, pictures)
    scores, loaded = load_scored(tmp_path)
    assert loaded == pictures
    assert scores["protocol"] == "snlad-v1"


def test_a_later_evaluation_replaces_the_earlier(tmp_path):
    save(tmp_path, [picture(), picture("b.png")])
    save(tmp_path, [picture(score=2.0)])
    assert load_scored(tmp_path)[1] == (picture(score=2.0),)


def test_a_run_that_was_not_evaluated_says_how(tmp_path):
    with pytest.raises(UsageError, match="holds no evaluation; make one with  snlad evaluate"):
        load_scored(tmp_path)
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(UsageError, match="holds no evaluation"):
        load_scored(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("scores.json", "{"),
        ("scores.json", "[]"),
        ("scores.json", "{}"),
        ("test_pictures.jsonl", "{}\n"),
        ("test_pictures.jsonl", '{"path": "a"}\n'),
        ("test_pictures.jsonl", "\x00"),
    ],
)
def test_damage_is_named(tmp_path, file, content):
    save(tmp_path, [picture()])
    (tmp_path / file).write_text(content)
    with pytest.raises(ArtifactError, match="is damaged"):
        load_scored(tmp_path)


def test_no_row_holds_nan_or_more_than_it_should(tmp_path):
    save(tmp_path, [picture()])
    row = json.loads((tmp_path / "test_pictures.jsonl").read_text())
    for changed in ({"score": float("nan")}, {"score": "high"}, {"extra": 1}):
        (tmp_path / "test_pictures.jsonl").write_text(json.dumps(row | changed) + "\n")
        with pytest.raises(ArtifactError, match="is damaged"):
            load_scored(tmp_path)


def test_halves_of_two_evaluations_are_refused(tmp_path):
    """As after a kill between the two files."""
    save(tmp_path, [picture()])
    old = (tmp_path / "scores.json").read_bytes()
    save(tmp_path, [picture("b.png")])
    (tmp_path / "scores.json").write_bytes(old)
    with pytest.raises(ArtifactError, match="are not of one evaluation"):
        load_scored(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"path": "other.png"},
        {"sha256": "7" * 64},
        {"mask_sha256": "7" * 64},
        {"class_name": "b"},
        {"defect_type": "hole"},
        {"is_anomalous": True},
    ],
)
def test_the_digest_follows_files_labels_and_masks(changed):
    assert pictures_digest([picture(**changed)]) != pictures_digest([picture()])


def test_the_digest_knows_neither_order_nor_scores():
    one, other = picture("0.png"), picture("1.png")
    scored = picture("1.png", score=9.0, answer="b", is_ng={"pooled threshold": True})
    assert pictures_digest([one, other]) == pictures_digest([scored, one])


@given(st.lists(st.text(max_size=4), min_size=2, max_size=4, unique=True))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_names_cannot_run_into_each_other(names):
    """The same letters cut at another place are another row."""
    first, second, *_ = names
    one = picture(first + second, class_name="x")
    other = picture(first, class_name="x" + second)
    assert (pictures_digest([one]) == pictures_digest([other])) is (one == other)


def test_the_path_is_that_below_the_data_folder(tmp_path):
    inside = tmp_path / "data" / "a" / "test" / "hole" / "0.png"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(b"mask")
    sample = Sample(
        path=inside,
        class_name="a",
        split="test",
        is_anomalous=True,
        defect_type="hole",
        mask=inside,
        part_id="p",
        view="top",
    )
    row = scored_picture(sample, tmp_path / "data", 1.0, "5" * 64, "b")
    assert row.path == "a/test/hole/0.png"
    assert (row.part_id, row.view, row.answer, row.is_anomalous) == ("p", "top", "b", True)
    assert len(row.mask_sha256) == 64
    outside = scored_picture(sample, tmp_path / "other", 1.0, "5" * 64, None)
    assert outside.path == inside.as_posix()
    inside.unlink()
    with pytest.raises(ImageError, match=r"0\.png"):
        scored_picture(sample, tmp_path, 1.0, "5" * 64, None)

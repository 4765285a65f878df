"""What probes found, on disk and in an evaluation: read back whole, never of another model."""

import json

import pytest
from PIL import Image
from pydantic import ValidationError

from snlad.engine.evaluation import Evaluation
from snlad.engine.interference import Probes, ProbeScores, load_probes, with_probes
from snlad.metrics.scores import ScoreRow, ScoreTable

MODEL = "5" * 64


def probes(**changed) -> Probes:
    nulls = ((None, 0.75), (0.75, None))
    mixup = ProbeScores(n=4, counts=((0, 4), (4, 0)), image_auroc=0.75, image_pairs=nulls)
    cutpaste = ProbeScores(
        n=3,
        counts=((0, 2), (1, 0)),
        image_auroc=0.875,
        pixel_auroc=0.5,
        image_pairs=((None, 0.9), (0.8, None)),
        pixel_pairs=((None, None), (0.25, None)),
    )
    known = {"model": MODEL, "source": "pictures", "normals": {"$a$": 5, "b": 6}, "asked": 4}
    known |= {"seed": 7, "mixup": mixup, "cutpaste": cutpaste, "eta_squared": 0.125}
    return Probes(**{**known, **changed})


SUMMARY = {
    "mixup_image_auroc": 0.75,
    "cutpaste_image_auroc": 0.875,
    "cutpaste_pixel_auroc": 0.5,
    "eta_squared": 0.125,
    "mixups": 4,
    "cutpastes": 3,
    "seed": 7,
    "normals": 11,
}


def test_the_summary_is_what_stands_in_a_table():
    assert probes().summary() == SUMMARY


def test_numbers_and_picture_are_kept_with_the_run_and_read_back(tmp_path):
    found = probes(notes=("a note",))
    found.save(tmp_path)
    content = json.loads((tmp_path / "probes.json").read_text())
    assert content == json.loads(json.dumps(found.to_dict()))
    assert content["cutpaste"]["image_pairs"] == [[None, 0.9], [0.8, None]]
    assert content["normals"] == {"$a$": 5, "b": 6}
    assert Probes.model_validate(content) == found
    with Image.open(tmp_path / "probes.png") as picture:
        assert picture.width > 2.5 * picture.height  # three panels
    assert load_probes(tmp_path, MODEL) == (SUMMARY, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["probes.json", "probes.png"]


def test_the_last_probes_count(tmp_path):
    probes().save(tmp_path)
    probes(eta_squared=None).save(tmp_path)
    assert load_probes(tmp_path, MODEL)[0]["eta_squared"] is None


def test_a_run_without_probes_has_none_and_nothing_to_say(tmp_path):
    assert load_probes(tmp_path, MODEL) == ({}, [])


def test_probes_of_another_model_are_ignored_and_told(tmp_path):
    probes().save(tmp_path)
    found, (note,) = load_probes(tmp_path, "6" * 64)
    assert found == {}
    assert "probes.json is of another model and ignored" in note


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-30],
        lambda _: "",
        lambda _: "[]",
        lambda _: "\xff\x00",
        lambda text: text.replace("0.875", "1.875"),
        lambda text: text.replace("0.875", "NaN"),
        lambda text: text.replace('"seed"', '"sead"'),
        lambda text: text.replace('"n": 3', '"n": "three"'),
    ],
)
def test_damaged_probes_are_ignored_and_told(tmp_path, damage):
    probes().save(tmp_path)
    text = (tmp_path / "probes.json").read_text()
    assert damage(text) != text
    (tmp_path / "probes.json").write_text(damage(text), encoding="latin-1")
    found, (note,) = load_probes(tmp_path, MODEL)
    assert found == {}
    assert "probes.json is damaged and ignored" in note


def test_probes_never_change():
    with pytest.raises(ValidationError, match="frozen"):
        probes().seed = 1


def evaluation() -> Evaluation:
    return Evaluation(ScoreTable("snlad-v1", {"a": ScoreRow()}, ScoreRow()), ["first"])


def test_an_evaluation_takes_the_summary_along(tmp_path):
    probes().save(tmp_path)
    found = with_probes(evaluation(), tmp_path, MODEL)
    assert found.to_dict()["probes"] == SUMMARY
    assert found.notes == ["first"]
    assert ScoreTable.from_dict(found.to_dict()) == found.table  # which knows nothing of them


def test_an_evaluation_of_a_model_that_was_not_probed_says_so_and_one_of_maps_nothing(tmp_path):
    assert with_probes(evaluation(), tmp_path, MODEL).to_dict()["probes"] == {}
    assert "probes" not in evaluation().to_dict()
    probes(model="other").save(tmp_path)
    found = with_probes(evaluation(), tmp_path, MODEL)
    assert found.to_dict()["probes"] == {}
    assert found.notes[0] == "first"
    assert "of another model" in found.notes[1]

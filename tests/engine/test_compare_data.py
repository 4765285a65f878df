"""Two models on one data set: the evaluations of each, and a drawing of every flip."""

import shutil
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from snlad.data.opening import open_dataset
from snlad.data.samples import Dataset
from snlad.engine.compare_data import CELL_PX, ModelPair
from snlad.engine.evaluate import evaluate
from snlad.engine.picture_files import draw_overlay
from snlad.errors import DataError, ImageError, UsageError
from snlad.predict import load
from snlad.report.overlay import CAPTION_PX, GAP_PX

STEP = CELL_PX + GAP_PX
RUNS = ("run a", "run b")


@pytest.fixture(scope="module")
def models(judged_runs):
    return tuple(map(load, judged_runs))


@pytest.fixture
def pair(models, shared_data) -> ModelPair:
    return ModelPair(RUNS, models, open_dataset(shared_data))


def cell(strip, column: int) -> np.ndarray:
    """A drawn picture of a strip, which is as wide as a cell since the pictures are square."""
    return strip[CAPTION_PX:, column * STEP : column * STEP + CELL_PX]


def test_the_numbers_are_those_of_two_evaluations(pair, models, shared_data):
    found, notes = pair.compare()
    tables = [evaluate(model, open_dataset(shared_data)).table for model in models]
    assert found.a.table.classes == tables[0].classes
    assert found.b.table.pooled == tables[1].pooled
    expected = tables[1].mean.image_auroc - tables[0].mean.image_auroc
    assert found.differences.mean["image_auroc"] == pytest.approx(expected)
    assert (found.a.run, found.b.run) == RUNS
    assert notes == []


def test_flips_are_what_the_two_calibrations_disagree_on(pair):
    found, _ = pair.compare()
    assert [(flip.path, flip.kind) for flip in found.flips] == [
        ("grey/test/spot/0.png", "escape mended"),
        ("grey/test/spot/1.png", "escape mended"),
        ("grey/test/good/0.png", "new false alarm"),
        ("grey/test/good/1.png", "new false alarm"),
    ]
    assert (found.flips[0].threshold_a, found.flips[0].threshold_b) == (1e9, -1e9)
    assert found.flip_counts.classes["dark"].escapes_mended == 0


def test_a_model_against_itself_is_no_change_at_all(models, shared_data):
    model = models[0]
    found, _ = ModelPair(RUNS, (model, model), open_dataset(shared_data)).compare()
    assert found.flips == []
    assert set(found.differences.pooled.values()) == {0.0}
    assert set(found.intervals.pooled.values()) == {(0.0, 0.0)}


def test_progress_tells_the_models_apart(pair):
    seen = []
    found, _ = pair.compare(lambda *told: seen.append(told))
    assert [told for told in seen if told[1] == told[2]] == [
        ("evaluating A", 8, 8),
        ("evaluating B", 8, 8),
    ]
    seen.clear()
    list(pair.draw(found.flips, lambda *told: seen.append(told)))
    assert seen == [("drawing flips", done, 4) for done in (1, 2, 3, 4)]


def test_a_defect_is_drawn_with_its_mask_and_both_maps(pair, models, shared_data):
    flips = pair.compare()[0].flips
    strip = next(pair.draw(flips))
    assert strip.shape == (CAPTION_PX + CELL_PX, 4 * STEP - GAP_PX, 3)
    path = shared_data / flips[0].path
    with Image.open(path) as picture:
        shown = np.asarray(picture.resize((CELL_PX, CELL_PX)))
    np.testing.assert_array_equal(cell(strip, 0), shown)
    mask = cell(strip, 1)
    assert mask[CELL_PX // 3, CELL_PX // 2].tolist() == [255, 255, 255]
    assert mask[-9:].max() == 0
    for column, model in enumerate(models, start=2):
        prediction = model.predict(path, class_name="grey")[0]
        expected = draw_overlay(model, prediction).resize((CELL_PX, CELL_PX))
        np.testing.assert_allclose(cell(strip, column), np.asarray(expected), atol=2)
    assert (cell(strip, 2) != cell(strip, 3)).any()


def test_each_map_has_the_colours_of_its_own_model(pair, models):
    """With another scale in B alone, the drawing of A stays and that of B fades."""
    flips = pair.compare()[0].flips
    before = next(pair.draw(flips))
    pale = copy(models[1])
    pale.card = replace(pale.card, color_scale=(1e6, 2e6))
    after = next(ModelPair(RUNS, (models[0], pale), pair._dataset).draw(flips))
    np.testing.assert_array_equal(cell(after, 2), cell(before, 2))
    assert np.ptp(cell(after, 3).astype(int), axis=2).max() == 0


def test_a_picture_without_a_mask_is_drawn_without_one(pair):
    *_, strip = pair.draw(pair.compare()[0].flips)
    assert strip.shape[1] == 3 * STEP - GAP_PX


def test_the_captions_say_verdict_score_and_threshold(pair, monkeypatch):
    from snlad.engine import compare_data

    told = []

    def sheet(rows, captions, *, cell_px):
        assert len(rows[0]) == len(captions)
        told.append(captions)

    monkeypatch.setattr(compare_data, "contact_sheet", sheet)
    flips = pair.compare()[0].flips
    list(pair.draw(flips))
    assert told[0] == [
        "picture",
        "mask",
        f"A: OK, {flips[0].score_a:.4g} <= 1e+09",
        f"B: NG, {flips[0].score_b:.4g} > -1e+09",
    ]
    assert [len(captions) for captions in told] == [4, 4, 3, 3]


def test_a_large_picture_is_drawn_no_larger_than_it_is_shown(models, tiny_data, monkeypatch):
    from snlad.engine import compare_data

    sizes = []

    def draw(model, prediction):
        sizes.append(prediction.image.shape[:2])
        return draw_overlay(model, prediction)

    monkeypatch.setattr(compare_data, "draw_overlay", draw)
    for path in tiny_data.glob("grey/test/good/*.png"):
        Image.fromarray(np.zeros((500, 1000, 3), np.uint8)).save(path)
    pair = ModelPair(RUNS, models, open_dataset(tiny_data))
    *_, strip = pair.draw(pair.compare()[0].flips)
    assert sizes[-2:] == [(110, 220)] * 2
    assert strip.shape[1] == 3 * STEP - GAP_PX


def test_a_picture_that_vanished_since_is_named(models, tiny_data):
    pair = ModelPair(RUNS, models, open_dataset(tiny_data))
    flips = pair.compare()[0].flips
    (tiny_data / flips[0].path).unlink()
    with pytest.raises(ImageError, match=r"spot/0\.png"):
        next(pair.draw(flips))


def test_a_picture_that_neither_can_read_is_noted_once(models, tiny_data):
    (tiny_data / "grey" / "test" / "good" / "1.png").write_bytes(b"")
    (tiny_data / "spare").mkdir()
    found, notes = ModelPair(RUNS, models, open_dataset(tiny_data)).compare()
    assert len(found.flips) == 3
    assert sum(note.startswith("left out: ") for note in notes) == 1
    assert len(notes) == len(set(notes))
    assert any("spare" in note for note in notes)  # what the data set has to say comes too


def test_models_of_other_rules_are_refused_before_any_work(models, shared_data):
    other = copy(models[1])
    maps = other.card.config.maps.model_copy(update={"score": "max"})
    config = other.card.config.model_copy(update={"maps": maps})
    other.card = replace(other.card, config=config)
    with pytest.raises(UsageError, match=r"run a follows protocol snlad-v1 and run b follows"):
        ModelPair(RUNS, (models[0], other), open_dataset(shared_data))


def test_without_thresholds_there_are_numbers_unless_flips_are_needed(models, shared_data):
    bare = copy(models[1])
    bare.calibration = None
    data = open_dataset(shared_data)
    found, _ = ModelPair(RUNS, (models[0], bare), data).compare()
    assert found.flips is None
    assert found.differences.mean["image_auroc"] is not None
    with pytest.raises(UsageError, match="run b has no thresholds"):
        ModelPair(RUNS, (models[0], bare), data, needs_flips=True)
    ModelPair(RUNS, models, data, needs_flips=True)


def test_without_test_pictures_there_is_nothing_to_compare(models, shared_data):
    data = open_dataset(shared_data)
    only_train = Dataset(root=data.root, layout=data.layout, samples=data.train_normal)
    with pytest.raises(DataError, match="no test picture"):
        ModelPair(RUNS, models, only_train).compare()


def test_the_runs_stay_as_they_are(judged_runs, shared_data):
    before = {path: path.stat().st_mtime_ns for run in judged_runs for path in run.rglob("*")}
    pair = ModelPair(RUNS, tuple(map(load, judged_runs)), open_dataset(shared_data))
    list(pair.draw(pair.compare()[0].flips))
    after = {path: path.stat().st_mtime_ns for run in judged_runs for path in run.rglob("*")}
    assert before == after


def test_a_mask_that_vanished_since_is_named(models, tiny_data):
    pair = ModelPair(RUNS, models, open_dataset(tiny_data))
    flips = pair.compare()[0].flips
    shutil.rmtree(tiny_data / "grey" / "ground_truth")
    with pytest.raises(ImageError, match=r"0_mask\.png"):
        next(pair.draw(flips))

"""Maps of another method get the numbers that the same maps of ours get."""

import csv

import numpy as np
import pytest

from snlad.data.opening import open_dataset
from snlad.engine.evaluate import evaluate
from snlad.engine.evaluate_maps import evaluate_maps
from snlad.errors import DataError, MetricError, UsageError
from snlad.predict import load


@pytest.fixture
def written(trained_run, shared_data, tmp_path):
    """Our own maps and scores, written as another method would."""
    folder = tmp_path / "maps"
    pictures = sorted(shared_data.glob("*/test/*/*.png"))
    rows = []
    for path, row in zip(pictures, load(trained_run).predict(pictures), strict=True):
        name = path.relative_to(shared_data)
        file = (folder / name).with_suffix(".npy")
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, row.maps["overall"])
        rows.append((name.as_posix(), repr(row.pred_score)))
    with (folder / "scores.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("path", "score"), *rows])
    return folder


def test_the_table_is_that_of_the_model(written, trained_run, shared_data):
    data = open_dataset(shared_data)
    expected = evaluate(load(trained_run), data).table
    found = evaluate_maps(written, data)
    found, notes = found.table, found.notes
    assert found == expected
    assert notes == []


def test_without_scores_the_maps_are_pooled_and_a_note_says_so(written, trained_run, shared_data):
    data = open_dataset(shared_data)
    (written / "scores.csv").unlink()
    found = evaluate_maps(written, data)
    found, notes = found.table, found.notes
    expected = evaluate(load(trained_run), data).table
    assert notes == ["no scores.csv: images are scored by snlad-v1"]
    assert found.to_dict()["classes"] == expected.to_dict()["classes"]
    assert evaluate_maps(written, data, protocol="rd4ad").table.protocol == "rd4ad"


def test_full_resolution_is_that_of_the_model_too(written, trained_run, shared_data):
    data = open_dataset(shared_data)
    expected = evaluate(load(trained_run), data, protocol="snlad-v1-full").table
    assert evaluate_maps(written, data, protocol="snlad-v1-full").table == expected


def test_progress_ends_at_the_number_of_pictures(written, shared_data):
    seen = []
    evaluate_maps(written, open_dataset(shared_data), progress=lambda *told: seen.append(told))
    assert seen[-1] == ("evaluating", 8, 8)


def test_a_missing_map_is_named_with_the_file_to_write(written, shared_data):
    victim = next(written.rglob("*.npy"))
    victim.unlink()
    with pytest.raises(DataError, match=rf"no map for .*{victim.with_suffix('.tiff').name}"):
        evaluate_maps(written, open_dataset(shared_data))


def test_a_map_that_nothing_needs_may_be_missing(written, tiny_data):
    """A class without masks has no pixel metrics, and its scores are given."""
    import shutil

    shutil.rmtree(tiny_data / "grey" / "ground_truth")
    shutil.rmtree(written / "grey")
    table = evaluate_maps(written, open_dataset(tiny_data)).table
    assert table.classes["grey"].image_auroc is not None
    assert table.classes["grey"].pixel_auroc is None


def test_a_map_that_is_not_finite_is_an_error_naming_the_class(written, shared_data):
    np.save(next(written.rglob("*.npy")), np.full((256, 256), np.nan))
    with pytest.raises(MetricError, match="holds NaN or inf"):
        evaluate_maps(written, open_dataset(shared_data))


def test_a_tiny_mask_is_kept_and_told(written, tiny_data):
    from PIL import Image

    mask = np.zeros((1024, 1024), np.uint8)
    mask[513, 513] = 255
    path = next(tiny_data.glob("grey/ground_truth/*/*.png"))
    Image.fromarray(mask).save(path)
    notes = evaluate_maps(written, open_dataset(tiny_data)).notes
    assert notes == ["1 masks would be empty at 256 x 256: each keeps one pixel"]


def test_wrong_use_is_refused(written, shared_data, tmp_path):
    data = open_dataset(shared_data)
    with pytest.raises(UsageError, match="'x' is unknown"):
        evaluate_maps(written, data, protocol="x")
    with pytest.raises(DataError, match="no folder of maps"):
        evaluate_maps(tmp_path / "none", data)
    only_train = type(data)(root=data.root, layout=data.layout, samples=data.train_normal)
    with pytest.raises(DataError, match="no test picture"):
        evaluate_maps(written, only_train)

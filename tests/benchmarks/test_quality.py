"""The quality runner: nothing is computed twice, nothing finished is lost, spread over seeds."""

import json

import pytest

from snlad.config import make_config
from snlad.metrics.scores import METRICS


@pytest.fixture
def quality(load_benchmark, monkeypatch):
    module = load_benchmark("quality")
    module.calls = []

    def measure(_dataset, settings):
        module.calls.append((settings.method, settings.seed))
        value = 0.8 + settings.seed / 100
        row = dict.fromkeys(METRICS, value)
        scores = {"classes": {"grey": row, "dark": row}, "mean": row, "pooled": row}
        return {"train_seconds": 10, "hardware": "test", "scores": scores}

    monkeypatch.setattr(module, "measure", measure)
    return module


def test_only_what_has_no_row_is_computed(quality, shared_data, tmp_path):
    rows = tmp_path / "results" / "rows.jsonl"
    quality.run_all(shared_data, rows, ["rd"], [0], None)
    quality.run_all(shared_data, rows, ["rd", "fd"], [0, 1], None)
    assert quality.calls == [("rd", 0), ("fd", 0), ("rd", 1), ("fd", 1)]
    assert len(quality.read_rows(rows)) == 5  # and one row of trivial statistics


def test_all_pictures_train_and_rows_know_nothing_of_thresholds(quality, shared_data, tmp_path):
    rows, config = tmp_path / "rows.jsonl", tmp_path / "c.toml"
    config.write_text("[calibration]\nshare = 0.1\ntarget_fpr = 0.2\n[probes]\ncount = 7\n")
    quality.run_all(shared_data, rows, ["rd"], [0], None)
    quality.run_all(shared_data, rows, ["rd"], [0], config)
    assert quality.calls == [("rd", 0)]
    used = quality.use_all_pictures(make_config("rd"))
    assert (used.calibration.share, used.probes.count) == (0.0, 0)


def test_keys_of_rows_are_those_of_before_probes(quality, shared_data, tmp_path):
    """Rows in results/ keep their names: sections beside the recipe never enter a key."""
    from snlad.config import digest

    rows = tmp_path / "rows.jsonl"
    quality.run_all(shared_data, rows, ["rd"], [0], None)
    row = quality.read_rows(rows)[-1]
    recipe = make_config("rd").model_dump(mode="json", exclude={"calibration", "probes"})
    assert row["key"] == digest([recipe, row["data"]])[:16]
    assert "teacher" in recipe


def test_other_data_or_settings_are_other_rows(quality, shared_data, tiny_data, tmp_path):
    rows = tmp_path / "rows.jsonl"
    (tiny_data / "grey" / "train" / "good" / "0.png").unlink()
    config = tmp_path / "c.toml"
    config.write_text("[train]\nsteps = 7\n")
    for data, settings in ((shared_data, None), (tiny_data, None), (shared_data, config)):
        quality.run_all(data, rows, ["rd"], [0], settings)
    assert len(quality.calls) == 3
    kept = quality.read_rows(rows)
    next(row for row in kept if row["method"] == "rd")["hardware"] = "an older machine"
    shown = quality.format_tables(kept)
    assert "an older machine" not in shown
    assert "| rd | 0 | 0.800 |" in shown  # the newest recipe on the newest data, never a mixture


def test_a_row_cut_off_by_a_crash_is_computed_again(quality, shared_data, tmp_path):
    rows = tmp_path / "rows.jsonl"
    quality.run_all(shared_data, rows, ["rd"], [0], None)
    rows.write_text(rows.read_text()[:-20])
    quality.run_all(shared_data, rows, ["rd"], [0], None)
    assert quality.calls == [("rd", 0), ("rd", 0)]


def test_tables_show_mean_and_spread_over_seeds(quality, shared_data, tmp_path):
    rows = tmp_path / "rows.jsonl"
    quality.run_all(shared_data, rows, ["rd"], [0, 1, 2], None)
    text = quality.format_tables(quality.read_rows(rows))
    assert "| rd | 0, 1, 2 | 0.810 ± 0.010 |" in text
    assert "| grey |" in text
    assert quality.TRIVIAL in text
    assert "Hardware: test" in text


def test_a_real_run_gives_a_full_row(load_benchmark, shared_data, tmp_path, tiny_settings):
    module = load_benchmark("quality")
    (tmp_path / "c.json").write_text(json.dumps(tiny_settings))
    module.run_all(shared_data, tmp_path / "rows.jsonl", ["rd"], [0], tmp_path / "c.json")
    row = module.read_rows(tmp_path / "rows.jsonl")[-1]
    assert set(row["scores"]["mean"]) == set(METRICS)
    assert {"date", "label", "steps", "train_seconds", "hardware"} <= row.keys()

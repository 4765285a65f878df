"""The class benchmark: what it counts, what it leaves out, and what its tables say."""

import json

import numpy as np
import pytest


@pytest.fixture
def benchmark(load_benchmark):
    return load_benchmark("class_answer")


@pytest.fixture
def tiny(tmp_path, tiny_settings):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(tiny_settings))
    return path


def drawn() -> tuple[np.ndarray, list[str], dict[str, list[int]]]:
    """Three classes, b and c close to each other; defects of a are far from all."""
    random = np.random.default_rng(0)
    centers = {"a": 0.0, "b": 60.0, "c": 62.0}
    points, names, parts = [], [], {"learned": [], "calibration": [], "normals": [], "defects": []}
    for name, center in centers.items():
        for part, n, shift in (
            ("learned", 200, 0.0),
            ("calibration", 99, 0.0),
            ("normals", 100, 0.0),
            ("defects", 10, 500.0 if name == "a" else 0.0),
        ):
            parts[part] += range(len(names), len(names) + n)
            points.append(random.normal(center + shift, 1.0, (n, 4)))
            names += [name] * n
    return np.concatenate(points).astype(np.float32), names, parts


def test_classes_are_told_and_a_left_out_one_is_unknown_unless_another_is_like_it(benchmark):
    row = benchmark.measure(*drawn())
    assert row["promised_unknown"] == pytest.approx(2 / 298)
    assert row["learned"] == 600
    assert row["normals"]["a"]["n"] == 100
    assert row["normals"]["a"]["answers"].keys() == {"a"}
    assert row["normals"]["a"]["answers"]["a"] >= 95
    assert row["defects"]["a"] == {"n": 10, "answers": {}}
    assert row["left_out"]["a"]["normals"] == {"n": 100, "answers": {}}
    assert row["left_out"]["a"]["all"] == {"n": 409, "answers": {}}
    near = row["left_out"]["b"]["normals"]["answers"]
    assert set(near) == {"c"}
    assert near["c"] > row["left_out"]["a"]["normals"]["n"] / 4


def test_a_picture_that_tests_is_never_learned_from(benchmark):
    points, names, parts = drawn()
    before = benchmark.measure(points, names, parts)
    changed = points.copy()
    changed[parts["normals"]] = np.nan_to_num(changed[parts["normals"]]) + 1e4
    after = benchmark.measure(changed, names, parts)
    for part in ("promised_unknown", "calibration", "defects"):
        assert after[part] == before[part]
    assert after["normals"]["b"] == {"n": 100, "answers": {}}


COUNTS = {"a": {"n": 10, "answers": {"a": 8, "b": 1}}, "b": {"n": 30, "answers": {"b": 30}}}


def test_shares_by_hand(benchmark):
    assert benchmark.rates(COUNTS) == {
        "right": 38 / 40,
        "right among the answered": 38 / 39,
        "unknown": 1 / 40,
    }
    assert benchmark.rates({"a": {"n": 2, "answers": {}}}) == {
        "right": 0.0,
        "right among the answered": None,
        "unknown": 1.0,
    }
    assert set(benchmark.rates({"a": {"n": 0, "answers": {}}}).values()) == {None}


def a_row(seed: int, **changed: object) -> dict:
    none = {"n": 0, "answers": {}}
    left = {
        "a": {"normals": {"n": 4, "answers": {"b": seed}}, "all": {"n": 10, "answers": {"b": 5}}},
        "b": {"normals": none, "all": {"n": 10, "answers": {}}},
    }
    known = {
        "seed": seed,
        "data": "d",
        "commit": "c",
        "date": "2026-11-25",
        "teacher": "t",
        "hardware": "h",
        "promised_unknown": 0.01,
        "calibration": {"a": {"n": 20, "answers": {"b": seed + 1}}, "b": none},
        "normals": COUNTS,
        "defects": {"a": {"n": 5, "answers": {"b": 2 * seed}}, "b": none},
        "left_out": left,
    }
    return {**known, **changed}


def test_tables_show_mean_and_spread_over_seeds(benchmark):
    text = benchmark.format_tables([a_row(0), a_row(1)])
    lines = text.splitlines()
    assert "| test normals | 40 | 0.950 ± 0.000 | 0.974 ± 0.000 | 0.025 ± 0.000 |" in lines
    assert "| defects | 5 | 0.000 ± 0.000 | 0.000 | 0.800 ± 0.283 |" in lines
    assert "| test normals | 0.875 ± 0.177 | 0.875 ± 0.177 |" in lines
    assert "| all pictures | 0.750 ± 0.000 | 0.500 ± 0.000 |" in lines
    assert "| a | b | 1.0 | 1.0 | 5.0 |" in lines
    (b,) = (line for line in lines if line.startswith("| b |"))
    assert b == "| b | 30 | 1.000 ± 0.000 | 0.000 ± 0.000 | 0 | - | - | - | 1.000 ± 0.000 |"
    assert "Promised share of unknown normals: 0.0100 ± 0.0000." in lines
    assert "Classes that cannot be told apart: none (seed 0). a, b (seed 1)." in lines
    assert lines[-1].startswith("Seeds: 0, 1. Date: 2026-11-25. Teacher: t. Hardware: h.")


def test_only_rows_of_the_newest_data_and_code_are_shown_and_the_last_of_each_seed(benchmark):
    rows = [
        a_row(0, data="old"),
        a_row(1, commit="old"),
        a_row(2, promised_unknown=0.5),
        a_row(2),
    ]
    text = benchmark.format_tables(rows)
    assert "Seeds: 2." in text
    assert "Promised share of unknown normals: 0.0100." in text


def test_a_row_a_seed_from_pictures_and_a_cache_that_spares_the_teacher(
    benchmark, shared_data, tmp_path, tiny, monkeypatch, capsys
):
    rows, cache = tmp_path / "new" / "rows.jsonl", tmp_path / "kept"
    benchmark.run_all(shared_data, rows, [0], tiny, cache)
    calls = []
    read = benchmark.np.load
    monkeypatch.setattr(benchmark.np, "load", lambda path: calls.append(path) or read(path))
    monkeypatch.setattr("snlad.data.inputs.load_inputs", None)  # not needed again
    benchmark.run_all(shared_data, rows, [0, 1], tiny, cache)
    assert calls == [cache]
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [row["seed"] for row in found] == [0, 0, 1]
    assert found[0] == found[1]
    for row in found:
        assert sum(counts["n"] for counts in row["calibration"].values()) == 2
        assert row["learned"] == 8
        assert {name: counts["n"] for name, counts in row["normals"].items()} == {
            "dark": 2,
            "grey": 2,
        }
        assert row["left_out"]["grey"]["all"]["n"] == 9
    assert capsys.readouterr().out.count("of the test normals right") == 3
    assert "Seeds: 0, 1." in benchmark.format_tables(found)


def test_a_cache_of_other_pictures_is_not_used(benchmark, tiny_data, tmp_path, tiny):
    cache, rows = tmp_path / "kept", tmp_path / "rows.jsonl"
    benchmark.run_all(tiny_data, rows, [0], tiny, cache)
    (tiny_data / "grey" / "test" / "good" / "0.png").unlink()
    benchmark.run_all(tiny_data, rows, [0], tiny, cache)
    first, second = map(json.loads, rows.read_text().splitlines())
    assert first["data"] != second["data"]
    assert second["normals"]["grey"]["n"] == 1
    with np.load(cache) as kept:
        assert len(kept["statistics"]) == 17


def test_one_class_is_refused(benchmark, tiny_data, tmp_path, tiny):
    import shutil

    shutil.rmtree(tiny_data / "grey")
    with pytest.raises(SystemExit, match="has one class; give a data set of at least two"):
        benchmark.run_all(tiny_data, tmp_path / "rows.jsonl", [0], tiny, None)


def test_the_command_line_prints_the_table(benchmark, tmp_path, monkeypatch, capsys):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(a_row(0)) + "\n")
    monkeypatch.setattr("sys.argv", ["class_answer.py", "table", str(rows)])
    benchmark.main()
    assert "Pooled over all classes:" in capsys.readouterr().out

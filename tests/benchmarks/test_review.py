"""The review benchmark: what is called dirt, in which condition it trains, and what is counted."""

import json

import pytest

from snlad.data.opening import open_dataset


@pytest.fixture
def benchmark(load_benchmark):
    return load_benchmark("review")


@pytest.fixture
def tiny(tmp_path, tiny_settings):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(tiny_settings))
    return path


def test_dirt_leaves_the_test_and_is_called_normal(benchmark, shared_data):
    """Two defects a class: one may go, and the test keeps one."""
    data = open_dataset(shared_data)
    rest, dirt = benchmark.soil(data, 0)
    assert [sample.class_name for sample in dirt] == ["dark", "grey"]
    for sample in dirt:
        assert (sample.split, sample.is_anomalous, sample.mask) == ("train", False, None)
        assert "spot" in str(sample.path)
    gone = {s.path for s in data.test} - {s.path for s in rest.test}
    assert gone == {sample.path for sample in dirt}
    assert rest.train_normal == data.train_normal
    draws = {tuple(s.path for s in benchmark.soil(data, seed)[1]) for seed in range(8)}
    assert len(draws) > 1
    assert benchmark.soil(data, 0) == (rest, dirt)


def test_three_conditions_share_one_test_and_nothing_is_done_twice(
    benchmark, shared_data, tmp_path, tiny, monkeypatch
):
    rows, seen = tmp_path / "rows.jsonl", []
    measure = benchmark.measure

    def spy(data, settings, condition, listed):
        seen.append((condition, len(data.train_normal), len(data.test), len(listed)))
        return measure(data, settings, condition, listed)

    monkeypatch.setattr(benchmark, "measure", spy)
    monkeypatch.setattr(benchmark, "LISTED", 0.25)
    benchmark.run_all(shared_data, rows, [0], "rd", tiny)
    benchmark.run_all(shared_data, rows, [0], "rd", tiny)
    assert seen == [("clean", 10, 6, 0), ("dirty", 12, 6, 0), ("reviewed", 12, 6, 3)]
    kept = benchmark.read_rows(rows)
    assert [row["condition"] for row in kept] == ["clean", "dirty", "reviewed"]
    assert (kept[1]["reviewed"], len(kept[1]["listed"])) == (12, 3)
    hits = kept[1]["found"]
    assert {name: total for name, (_, total) in hits.items()} == {"dark": 1, "grey": 1}
    shown = benchmark.format_table(kept)
    found = sum(count for count, _ in hits.values())
    assert f"{found} of 2 (dark {hits['dark'][0]} of 1, grey {hits['grey'][0]} of 1)" in shown
    assert "| reviewed | 0 | " in shown


def test_a_stopped_benchmark_goes_on_with_the_list_it_had(
    benchmark, shared_data, tmp_path, tiny, monkeypatch
):
    rows, seen = tmp_path / "rows.jsonl", []

    def fake(_data, _settings, condition, listed):
        seen.append((condition, set(listed)))
        scores = {"mean": {}}
        return {"scores": scores} | ({"listed": ["x"]} if condition == "dirty" else {})

    monkeypatch.setattr(benchmark, "measure", fake)
    benchmark.run_all(shared_data, rows, [0], "rd", tiny)
    lines = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join(lines[:2]))
    benchmark.run_all(shared_data, rows, [0], "rd", tiny)
    assert seen[-1] == ("reviewed", {"x"})
    assert len(seen) == 4


def test_found_counts_files_by_class(benchmark, shared_data):
    dirt = benchmark.soil(open_dataset(shared_data), 0)[1]
    assert benchmark.count_found([], dirt) == {"dark": [0, 1], "grey": [0, 1]}
    from snlad.data.loading import file_digests

    assert benchmark.count_found(file_digests(dirt), dirt) == {"dark": [1, 1], "grey": [1, 1]}

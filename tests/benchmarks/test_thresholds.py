"""The thresholds benchmark: what a row holds, and that redrawn pictures keep what is promised."""

import json
from dataclasses import replace

import numpy as np
import pytest

TARGET = 0.05


@pytest.fixture
def benchmark(load_benchmark):
    return load_benchmark("thresholds")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, tiny_settings):
    path = tmp_path_factory.mktemp("thresholds") / "c.json"
    path.write_text(
        json.dumps({**tiny_settings, "calibration": {"share": 0.25}, "probes": {"count": 4}})
    )
    return path


def row(aside: dict[str, np.ndarray], normals: dict[str, np.ndarray]) -> dict:
    return {
        "calibration": {name: scores.tolist() for name, scores in aside.items()},
        "normals": {name: scores.tolist() for name, scores in normals.items()},
        "target": TARGET,
        "promised": dict.fromkeys(aside, TARGET),
        "promised_guessed": [0.05, 0.01, 0.0],
    }


def test_a_run_says_what_is_promised_and_nothing_is_done_twice(
    benchmark, shared_data, tmp_path, tiny
):
    rows = tmp_path / "rows.jsonl"
    for _ in range(2):
        benchmark.run_all(shared_data, rows, ["rd"], [0], tiny)
    (kept,) = benchmark.read_rows(rows)
    assert set(kept["promised"]) == set(kept["normals"]) == {"dark", "grey"}
    for name, aside in kept["calibration"].items():
        assert kept["promised"][name] == pytest.approx(1 / (len(aside) + 1))
        assert len(kept["normals"][name]) == 2
    former = {**kept, "seed": 7, "recipe": "former", "commit": "before"}
    other = {**kept, "method": "rd-snl", "recipe": "former"}
    shown = benchmark.format_tables([former, other, kept])
    assert "| rd | 0 | " in shown
    assert "| rd-snl | 0 | " in shown
    assert "before" not in shown
    assert f"| rd | {kept['scores']['probes']['mixup_image_auroc']:.3f} | " in shown
    for policy in ("pooled threshold", "class threshold", "guessed class threshold"):
        assert f"| rd | {policy} | " in shown
    assert "| dark | 1 | 0.500 | 2 | " in shown


def test_what_is_promised_is_mixed_as_the_test_normals_are(benchmark):
    one = row({"a": np.ones(19), "b": np.ones(9)}, {"a": np.ones(30), "b": np.ones(10)})
    one["promised"]["b"] = 0.1
    assert benchmark._promise(one, "class threshold") == pytest.approx((30 * 0.05 + 1) / 40)
    assert benchmark._promise(one, "guessed class threshold") == pytest.approx(0.06)
    assert benchmark._promise(one, "pooled threshold") == TARGET


def test_redrawn_pictures_keep_the_promise_whatever_the_test_was(benchmark):
    """The test's normals lie far above the calibration's: broken there, kept when mixed."""
    random = np.random.default_rng(0)
    aside = {name: random.normal(0, 1, 59) for name in "ab"}
    moved = {name: random.normal(3, 1, 60) for name in "ab"}
    rate, inside = benchmark.resplit(row(aside, moved))
    assert 0.035 < rate < 0.06
    assert inside > 0.93


def test_a_broken_promise_is_seen(benchmark, monkeypatch):
    """Thresholds of four times the rate that they claim."""
    random = np.random.default_rng(0)
    one = row({"a": random.normal(0, 1, 99)}, {"a": random.normal(0, 1, 100)})
    honest = benchmark.conformal_threshold
    monkeypatch.setattr(
        benchmark,
        "conformal_threshold",
        lambda scores, target: replace(honest(scores, 4 * target), attainable_fpr=target),
    )
    rate, inside = benchmark.resplit(one)
    assert rate > 0.15
    assert inside < 0.2

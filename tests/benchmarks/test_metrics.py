"""The metrics benchmark runs, agrees with scikit-learn, and names the peers it did not find."""

import numpy as np
import pytest


@pytest.fixture
def benchmark(load_benchmark):
    return load_benchmark("metrics")


def test_the_arrays_hold_defects_that_score_higher(benchmark):
    maps, masks = benchmark.make_arrays(4)
    assert maps.shape == masks.shape == (4, 256, 256)
    assert maps[masks].mean() > maps[~masks].mean()
    again, _ = benchmark.make_arrays(4)
    np.testing.assert_array_equal(maps, again)


def test_ours_agree_with_scikit_learn_and_peers_that_are_missing_say_so(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "is_installed", lambda name: name == "scikit-learn")
    monkeypatch.setattr(benchmark, "REPEATS", 1)
    seconds, found = benchmark.measure(benchmark.make_arrays(3))
    exact, peer = found["snlad exact, all four"], found["scikit-learn, all but AUPRO"]
    assert {name: exact[name] for name in peer} == pytest.approx(peer, abs=1e-6)
    assert set(seconds) == set(found)
    text = benchmark.compare(2)
    assert "| anomalib, AUPRO alone | not installed | - |" in text
    assert "certified error of streaming: pixel_auroc" in text


def test_the_peak_is_that_of_a_streamed_evaluation(benchmark):
    assert 0 < benchmark.peak(20) < 300

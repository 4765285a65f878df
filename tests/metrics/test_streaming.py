"""The streamed numbers: the exact value always lies within the bound that stands beside them."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.metrics.exact import ExactPixels, exact_numbers
from snlad.metrics.protocols import PROTOCOLS
from snlad.metrics.streaming import StreamedPixels, streamed_numbers

Part = tuple[np.ndarray, np.ndarray, np.ndarray]


def close_together(seed: int, negatives: int, positives: int, spread: float, offset: float) -> Part:
    """Scores of which many share a bin: within `spread` of 1, or around 0 where offset is 0."""
    random = np.random.default_rng(seed)
    off = offset + spread * random.standard_normal(negatives)
    on = offset + spread * (random.standard_normal(positives) + 0.5)
    areas = random.integers(1, 50, positives)
    return off.astype(np.float32), on.astype(np.float32), areas.astype(np.int32)


def numbers(store: type, parts: list[Part]) -> tuple[dict[str, float], dict[str, float]]:
    kept = store()
    for part in parts:
        kept.add(*part)
    kept.settle()
    if store is ExactPixels:
        return exact_numbers([kept], PROTOCOLS["snlad-v1"]), {}
    return streamed_numbers([kept])


@settings(max_examples=150)
@given(
    st.integers(0, 10**6),
    st.integers(1, 200),
    st.integers(1, 60),
    st.sampled_from([0.0, 1e-5, 1e-4, 1e-3, 0.1, 1.0]),
    st.sampled_from([0.0, 1.0, -3.0]),
)
def test_the_exact_value_lies_within_the_bound(seed, negatives, positives, spread, offset) -> None:
    parts = [close_together(seed, negatives, positives, spread, offset)]
    exact, _ = numbers(ExactPixels, parts)
    streamed, bounds = numbers(StreamedPixels, parts)
    for metric, value in exact.items():
        assert abs(streamed[metric] - value) <= bounds[metric] + 1e-9, metric


@pytest.mark.parametrize("order", ["positives above", "positives below"])
def test_the_bound_holds_where_one_bin_holds_everything(order: str) -> None:
    low = np.linspace(1, 1 + 5e-5, 200, dtype=np.float32)
    high = np.linspace(1 + 5.1e-5, 1 + 1e-4, 30, dtype=np.float32)
    off, on = (low, high) if order == "positives above" else (high, low)
    parts = [(off, on, np.full(len(on), 3, np.int32))]
    exact, _ = numbers(ExactPixels, parts)
    streamed, bounds = numbers(StreamedPixels, parts)
    for metric, value in exact.items():
        assert abs(streamed[metric] - value) <= bounds[metric]
    assert bounds["pixel_auroc"] == pytest.approx(0.5)  # it knows that it knows nothing


def test_plain_scores_have_a_small_bound() -> None:
    random = np.random.default_rng(0)
    off, on = random.random(500_000, np.float32), random.random(20_000, np.float32)
    _, bounds = numbers(StreamedPixels, [(off, on + np.float32(0.3), np.full(20_000, 100))])
    assert max(bounds["pixel_auroc"], bounds["aupro"]) < 1e-4
    assert max(bounds["pixel_ap"], bounds["pixel_f1_max"]) < 5e-4


def test_classes_pool_by_adding_their_histograms() -> None:
    parts = [close_together(seed, 300, 40, 0.5, 1.0) for seed in range(3)]
    stores = []
    for part in parts:
        stores.append(StreamedPixels())
        stores[-1].add(*part)
        stores[-1].settle()
    assert streamed_numbers(stores) == numbers(StreamedPixels, parts)
    assert streamed_numbers(stores) == streamed_numbers(stores)  # and pooling changes none


def test_nothing_to_rank_gives_no_numbers() -> None:
    ones, none, areas = np.ones(3, np.float32), np.empty(0, np.float32), np.ones(3, np.int32)
    assert streamed_numbers([]) == ({}, {})
    assert numbers(StreamedPixels, [(ones, none, areas[:0])]) == ({}, {})
    assert numbers(StreamedPixels, [(none, ones, areas)]) == ({}, {})


def test_memory_does_not_grow_with_pixels() -> None:
    random = np.random.default_rng(0)
    areas = np.full(500, 500, np.int32)

    def stream(store: StreamedPixels, maps: int) -> int:
        tracemalloc.start()
        for _ in range(maps):
            pixels = random.standard_normal(256 * 256, np.float32)
            store.add(pixels[500:], pixels[:500], areas)
        store.settle()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    store = StreamedPixels()
    first = stream(store, 40)
    assert stream(store, 120) < 1.2 * first < 60e6

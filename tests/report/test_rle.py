"""Run lengths as COCO's tools write them: by hand, by their own encoder, and there and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from snlad.data.masks import resize_nearest
from snlad.report.rle import compress, run_lengths


def paint(lengths: list[int], size: tuple[int, int]) -> np.ndarray:
    """The mask that run lengths describe."""
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return values.reshape(size[::-1]).T


@pytest.mark.parametrize(
    ("mask", "lengths", "text"),
    [
        ([[0, 0, 1], [1, 0, 0]], [1, 1, 2, 1, 1], "1120O"),  # down the columns: 01 00 10
        ([[1, 0], [0, 1]], [0, 1, 2, 1], "0120"),  # true at once; the fourth is 1 - 1
        ([[1, 1, 0], [1, 1, 0]], [0, 4, 2], "042"),  # a run goes on in the next column
        ([[0, 1], [0, 1]], [2, 2], "22"),  # true to the end: no run after it
        (np.zeros((3, 4)), [12], "<"),
        (np.ones((3, 4)), [0, 12], "0<"),
        ([[0]], [1], "1"),
        ([[1]], [0, 1], "01"),
    ],
)
def test_small_masks_by_hand(mask, lengths, text):
    mask = np.asarray(mask, bool)
    found = run_lengths(mask, mask.shape)
    assert found.tolist() == lengths
    assert compress(found) == text


@pytest.mark.parametrize(
    ("lengths", "text"),
    [
        ([0], "0"),
        ([15], "?"),  # 15 in five bits is the largest without a sign
        ([16], "`0"),
        ([31], "o0"),
        ([32], "P1"),
        ([511], "o?"),
        ([512], "P`0"),
        ([1_000_000], "Pb`n0"),
        ([0, 15, 16, 1], "0?`0B"),  # the first three as they are, then 1 - 15
        ([40, 8, 1, 8, 31, 7, 63, 6, 64, 900, 1], "X1810n0OP1O1nk0QN"),
        ([200_000_000, 7, 3, 150_000_000], "P``gn573i[dQ_4"),
    ],
)
def test_numbers_as_the_reference_writes_them(lengths, text):
    """Texts by pycocotools 2.0.11."""
    assert compress(np.array(lengths)) == text


def rectangle(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(size, bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (rectangle((10, 10), (2, 5, 3, 7)), "P13700000l0"),
        (rectangle((100, 100), (10, 60, 20, 80)), f"jn1b1b1{'0' * 117}Vn1"),
        (
            rectangle((480, 640), (100, 300, 200, 203), (5, 6, 639, 640), (479, 480, 0, 1)),
            "o>1T\\m2W6dlRM000QY\\6iIQmcI",
        ),
    ],
)
def test_masks_as_the_reference_writes_them(mask, text):
    """Texts by pycocotools 2.0.11."""
    assert compress(run_lengths(mask, mask.shape)) == text


sides = st.integers(1, 12)
masks = st.tuples(sides, sides).flatmap(lambda shape: arrays(bool, shape))


@given(masks, st.tuples(st.integers(1, 40), st.integers(1, 40)))
@settings(deadline=None, derandomize=True)
def test_the_stretched_mask_comes_back(expand_rle, mask, size):
    lengths = run_lengths(mask, size)
    assert (lengths[1:] > 0).all()
    assert lengths.sum() == size[0] * size[1]
    np.testing.assert_array_equal(paint(lengths.tolist(), size), resize_nearest(mask, size))
    assert expand_rle(compress(lengths)) == lengths.tolist()


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=30))
@settings(deadline=None, derandomize=True)
def test_any_lengths_come_back(expand_rle, lengths):
    assert expand_rle(compress(np.array(lengths))) == lengths


def test_a_large_picture_takes_memory_for_its_runs_only():
    """200 million pixels: the stretched mask alone would be 200 MB."""
    import tracemalloc

    mask = rectangle((256, 256), (40, 41, 0, 256), (100, 200, 50, 60))
    tracemalloc.start()
    lengths = run_lengths(mask, (14_142, 14_142))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
    times = np.bincount(((np.arange(14_142) + 0.5) * 256 / 14_142).astype(int))
    assert lengths[1::2].sum() == times @ mask @ times

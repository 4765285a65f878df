"""Time and error of the pixel metrics, side by side with other implementations, on the same arrays.

    pip install -r requirements/bench.txt
    python benchmarks/metrics.py [--maps 83 830]

Everything runs in one process, in turns, and the best of three counts. Where a peer is not
installed its row says so. The arrays are made here: smooth random fields with a few regions.
"""

import argparse

import numpy as np
from scipy import ndimage

from snlad.metrics.evaluator import Evaluator

SIDE = 256
PIXEL = ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro")
REPEATS = 3

Arrays = tuple[np.ndarray, np.ndarray]


def main() -> None:
    """Print one table a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", nargs="+", type=int, default=[83, 830])
    parser.add_argument("--memory", type=int, help="stream this many maps and print the peak")
    arguments = parser.parse_args()
    if arguments.memory:
        print(f"peak of {arguments.memory} streamed maps: {peak(arguments.memory):.0f} MB")
        return
    for count in arguments.maps:
        print(compare(count))


def make_arrays(count: int) -> Arrays:
    """Float32 maps and bool masks (N, 256, 256): two thirds have one to four round defects."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    maps = np.empty((count, SIDE, SIDE), np.float32)
    masks = np.zeros((count, SIDE, SIDE), bool)
    for scores, mask in zip(maps, masks, strict=True):
        noise = random.standard_normal((SIDE, SIDE), np.float32)
        scores[:] = np.exp(ndimage.gaussian_filter(noise, 4) * 12)
        for _ in range(random.integers(1, 5) if random.random() < 2 / 3 else 0):
            y, x, radius = (
                random.integers(0, SIDE),
                random.integers(0, SIDE),
                random.integers(2, 25),
            )
            mask |= (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        scores *= 1 + 0.8 * mask
    return maps, masks


def evaluate(arrays: Arrays, exact_pixels: int) -> dict[str, float]:
    """Our four pixel metrics together, with the bounds that stand beside them."""
    evaluator = Evaluator(exact_pixels=exact_pixels)
    for scores, mask in zip(*arrays, strict=True):
        evaluator.add("a", score=0.0, is_anomalous=True, anomaly_map=scores, mask=mask)
    table = evaluator.table()
    row = table.classes["a"]
    bounds = {f"{name} bound": value for name, value in table.bounds.classes["a"].items()}
    return {name: getattr(row, name) for name in PIXEL} | bounds

"""Time and error of the pixel metrics, side by side with other implementations, on the same arrays.

    pip install -r requirements/bench.txt
    python benchmarks/metrics.py [--maps 83 830]

Everything runs in one process, in turns, and the best of three counts. Where a peer is not
installed its row says so. The arrays are made here: smooth random fields with a few regions.
"""

import argparse
import importlib.metadata
import time
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

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


def anomalib_aupro(arrays: Arrays) -> dict[str, float]:
    """AUPRO alone, of anomalib."""
    import torch
    from anomalib.metrics.aupro import _AUPRO

    metric = _AUPRO()
    scores, masks = (torch.from_numpy(part) for part in arrays)
    metric.update(scores, masks.int())
    return {"aupro": float(metric.compute())}


def sklearn_pixel(arrays: Arrays) -> dict[str, float]:
    """AUROC, AP and the best F1 of the precision-recall curve, of scikit-learn."""
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

    scores, masks = (part.ravel() for part in arrays)
    precision, recall, _ = precision_recall_curve(masks, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return {
        "pixel_auroc": float(roc_auc_score(masks, scores)),
        "pixel_ap": float(average_precision_score(masks, scores)),
        "pixel_f1_max": float(f1.max()),
    }


def adeval_streaming(arrays: Arrays) -> dict[str, float]:
    """AUROC, AP and AUPRO on 1000 strips, of adeval, which is told the range in advance."""
    np.trapz = np.trapezoid  # type: ignore[attr-defined] # adeval needs what NumPy 2.4 dropped
    from adeval import EvalAccumulator

    scores, masks = arrays
    accumulator = EvalAccumulator(0.0, 1.0, float(scores.min()), float(scores.max()))
    accumulator.add_anomap_batch(scores, masks.astype(np.uint8))
    accumulator.add_image([0.0, 1.0], [0, 1])
    accumulator.add_sample([0.0, 1.0], [0, 1])
    found = accumulator.summary()
    return {"pixel_auroc": found["p_auroc"], "pixel_ap": found["p_aupr"], "aupro": found["p_aupro"]}


def pyaupro_exact(arrays: Arrays) -> dict[str, float]:
    """AUPRO alone, of pyaupro, which needs scores in [0, 1]."""
    import torch
    from pyaupro import PerRegionOverlap
    from pyaupro._utilities import auc_compute

    scores, masks = arrays
    metric = PerRegionOverlap()
    metric.update(torch.from_numpy(scores / scores.max()), torch.from_numpy(masks).int())
    rate, overlap = metric.compute()
    return {"aupro": float(auc_compute(rate, overlap, limit=0.3))}


ROWS: Mapping[str, tuple[str | None, Callable[[Arrays], dict[str, float]]]] = {
    "snlad exact, all four": (None, lambda arrays: evaluate(arrays, 1 << 40)),
    "snlad streaming, all four": (None, lambda arrays: evaluate(arrays, 0)),
    "anomalib, AUPRO alone": ("anomalib", anomalib_aupro),
    "adeval, streaming, three": ("adeval", adeval_streaming),
    "scikit-learn, all but AUPRO": ("scikit-learn", sklearn_pixel),
    "pyaupro, AUPRO alone": ("pyaupro", pyaupro_exact),
}


def compare(count: int) -> str:
    """A Markdown table: seconds, and the numbers found."""
    arrays = make_arrays(count)
    seconds, found = measure(arrays)
    lines = [f"\n{count} maps of {SIDE} x {SIDE}\n", f"| evaluator | s | {' | '.join(PIXEL)} |"]
    lines.append("| --- " * (2 + len(PIXEL)) + "|")
    for name, (package, _) in ROWS.items():
        label = (
            f"{name} ({package} {importlib.metadata.version(package)})"
            if package and name in found
            else name
        )
        cells = [f"{found[name][m]:.6f}" if m in found.get(name, {}) else "-" for m in PIXEL]
        lines.append(f"| {label} | {seconds.get(name, 'not installed')} | {' | '.join(cells)} |")
    bounds = ", ".join(f"{m} {found['snlad streaming, all four'][f'{m} bound']:.1e}" for m in PIXEL)
    return "\n".join([*lines, f"\ncertified error of streaming: {bounds}"])


def measure(arrays: Arrays) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Best seconds of a few rounds, in each of which every evaluator has its turn."""
    seconds: dict[str, float] = {}
    found: dict[str, Any] = {}
    for _ in range(REPEATS):
        for name, (package, function) in ROWS.items():
            if package and not is_installed(package):
                continue
            started = time.perf_counter()
            found[name] = function(arrays)
            took = round(time.perf_counter() - started, 3)
            seconds[name] = min(took, seconds.get(name, took))
    return seconds, found


def is_installed(package: str) -> bool:
    """Whether a peer can be measured here."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def peak(count: int) -> float:
    """MB that a streamed evaluation of this many maps in 15 classes takes at its highest."""
    (scores,), (mask,) = make_arrays(1)
    random = np.random.default_rng(0)
    evaluator = Evaluator(exact_pixels=0)
    tracemalloc.start()
    for index in range(count):
        noisy = scores + random.standard_normal(scores.shape, np.float32)
        defect = mask if index % 2 else None
        evaluator.add(
            str(index % 15), score=0.0, is_anomalous=bool(index % 2), anomaly_map=noisy, mask=defect
        )
    evaluator.table()
    return tracemalloc.get_traced_memory()[1] / 1e6


if __name__ == "__main__":
    main()

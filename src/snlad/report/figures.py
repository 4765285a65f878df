"""Histograms of image scores as small pictures; names stand in the page and never in a figure."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np

BINS = 30
COLOURS = {"normal": "#0072B2", "defect": "#D55E00", "calibration": "#444444"}
"""Of the groups that are drawn; told apart by the colour blind too."""


def draw_scores(groups: Mapping[str, Sequence[float]], threshold: float | None) -> bytes:
    """Draw how the scores of each group spread, and the threshold, as PNG.

    Each group is drawn as shares of its own pictures, because their numbers differ. Calibration
    scores are an outline, the others are filled.

    Args:
        groups: finite scores of ``normal``, ``defect`` and ``calibration`` pictures; an empty group
            is left out.
        threshold: score above which a picture is NG, or ``None``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # in the extra 'train', and slow
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 2.5), layout="constrained")
    axes = figure.subplots()
    drawn = {name: np.asarray(scores, dtype=float) for name, scores in groups.items() if scores}
    ends = [value for scores in drawn.values() for value in (scores.min(), scores.max())]
    ends += [] if threshold is None else [threshold]
    edges = np.histogram_bin_edges(ends, BINS)
    for name, scores in drawn.items():
        is_outline = name == "calibration"
        axes.hist(
            scores,
            edges.tolist(),
            weights=np.full(len(scores), 1 / len(scores)),
            histtype="step" if is_outline else "stepfilled",
            color=COLOURS[name],
            alpha=1.0 if is_outline else 0.55,
            label=f"{name} ({len(scores)})",
        )
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle="--", label="threshold")
    if drawn or threshold is not None:
        axes.legend(fontsize="small")
    axes.set(xlabel="image score", ylabel="share of pictures")
    axes.spines[["top", "right"]].set_visible(False)
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call] # matplotlib's own gap
    return buffer.getvalue()

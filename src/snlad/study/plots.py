"""The plots of a study: bars with the spread of seeds, classes by trials, quality against cost."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from snlad.metrics.scores import METRICS
from snlad.report.tables import HEADS
from snlad.study.results import Result
from snlad.study.tables import BY_CLASS

_HEADS = dict(zip(METRICS, HEADS, strict=True))
_LONGEST_NAME = 48
_LARGEST_IN = 40.0
_ROW_IN = 0.3
_READABLE = 60
"""Rows or columns up to which a cell has room for its number."""


def draw_plots(results: Sequence[Result]) -> dict[str, bytes]:
    """PNG files by name of what the finished rows fill: equal rows give equal pictures."""
    shown = [result for result in results if result.rows]
    if not shown:
        return {}
    figures = {
        "bars.png": draw_bars(shown),
        "classes.png": draw_classes(shown),
        "seconds.png": draw_cost(shown, "train_seconds", "training, s"),
        "steps.png": draw_cost(shown, "steps", "optimiser steps"),
    }
    return {name: _png(figure) for name, figure in figures.items()}


def draw_bars(results: Sequence[Result]) -> Any:
    """A bar a trial, as long as its mean over seeds, with their standard deviation."""
    figure, panels = _panels(height=_ROW_IN * len(results) + 1.2)
    places = range(len(results))
    for axes, metric in zip(panels, BY_CLASS, strict=True):
        means, spreads = _means(results, metric)
        axes.barh(places, means, xerr=spreads, height=0.7, color="tab:blue", ecolor="black")
        axes.set(xlabel=_HEADS[metric], ylim=(len(results) - 0.5, -0.5))
        axes.set_xlim(_floor(np.array(means)), 1.0)
        axes.set_yticks(places, [""] * len(results))
        axes.grid(axis="x", alpha=0.4)
    panels[0].set_yticks(places, [_cut(r.name) for r in results], fontsize=8, parse_math=False)
    return figure


def draw_classes(results: Sequence[Result]) -> Any:
    """Image AUROC of each class and trial, mean over seeds."""
    from matplotlib.figure import Figure  # in the extra 'train', and slow

    names = sorted({name for result in results for name in result.job.dataset.class_names})
    values = np.array(
        [[r.of_class(n, "image_auroc").mean() for r in results] for n in names], dtype=float
    )
    width = min(0.5 * len(results) + 3.0, _LARGEST_IN)
    height = min(_ROW_IN * len(names) + 4.0, _LARGEST_IN)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    low = _floor(values)
    axes.imshow(values, vmin=low, vmax=1.0, cmap="cividis", aspect="auto")
    axes.set_facecolor("0.9")
    axes.set_title("image AUROC", fontsize=10)
    labels = [_cut(result.name) for result in results]
    axes.set_xticks(range(len(results)), labels, fontsize=8, parse_math=False, rotation=90)
    axes.set_yticks(range(len(names)), map(_cut, names), fontsize=8, parse_math=False)
    if max(len(names), len(results)) <= _READABLE:
        for row, column in np.argwhere(~np.isnan(values)):
            value = values[row, column]
            color = "black" if value > (1.0 + low) / 2 else "white"
            place: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7}
            axes.text(column, row, f"{value:.2f}", color=color, **place)
    return figure


def draw_cost(results: Sequence[Result], key: str, label: str) -> Any:
    """Quality against what a training cost; the trials of one name and a grid are a line."""
    figure, panels = _panels(height=4.5)
    by_base: dict[str, list[Result]] = {}
    for result in results:
        by_base.setdefault(result.job.run.base, []).append(result)
    for axes, metric in zip(panels, BY_CLASS, strict=True):
        for base, some in by_base.items():
            ordered = sorted(some, key=lambda result: float(result.of_row(key).mean()))
            means, spreads = _means(ordered, metric)
            cost = [float(result.of_row(key).mean()) for result in ordered]
            style = {"marker": "o", "markersize": 4, "linewidth": 1, "capsize": 2}
            axes.errorbar(cost, means, yerr=spreads, label=_cut(base), **style)
        axes.set(xlabel=label, ylabel=_HEADS[metric], xscale="log")
        axes.grid(alpha=0.4)
    handles, labels = panels[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _panels(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # in the extra 'train', and slow

    figure = Figure(figsize=(12, min(height, _LARGEST_IN)), layout="constrained")
    return figure, figure.subplots(1, len(BY_CLASS), sharey=False)


def _means(results: Sequence[Result], metric: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation over seeds of the mean over classes; 0 for a single seed."""
    values = [result.values("mean", metric) for result in results]
    spreads = [float(some.std(ddof=1)) if len(some) > 1 else 0.0 for some in values]
    return [float(some.mean()) for some in values], spreads


def _floor(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """A round number below all values: small differences stay visible."""
    known = values[~np.isnan(values)]
    return max(0.0, float(np.floor(known.min() * 10 - 0.5) / 10)) if len(known) else 0.0


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for what is missing
        FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call] # matplotlib's own gap
    return file.getvalue()

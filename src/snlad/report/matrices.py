"""Numbers of pairs of classes as one picture."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Matrix = Sequence[Sequence[float | None]]

_CELL_IN = 0.42
_LARGEST_IN = 18.0
_LETTER_IN = 0.11
_MARGIN_IN = 0.5
_LONGEST_NAME = 20
_READABLE = 40
"""Classes up to which a cell has room for its number."""


def draw_matrices(panels: Mapping[str, Matrix], names: Sequence[str], path: Path) -> None:
    """Draw matrices of numbers in [0, 1] side by side, as PNG.

    Args:
        panels: by title, a row each host class and a column each donor; ``None`` stays empty.
        names: of the classes, at least one, in that order; shown as they are, long ones cut.
        path: of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # in the extra 'train', and slow
    from matplotlib.figure import Figure

    labels = [n if len(n) <= _LONGEST_NAME else f"{n[: _LONGEST_NAME - 1]}…" for n in names]
    side = min(_CELL_IN * max(len(names), 5), _LARGEST_IN)
    before = _LETTER_IN * max(map(len, labels)) + _MARGIN_IN
    step = before + side + _MARGIN_IN
    figure = Figure(figsize=(len(panels) * step, step))
    for index, (title, matrix) in enumerate(panels.items()):
        left, width = (index * step + before) / len(panels), side / len(panels)
        axes = figure.add_axes((left / step, before / step, width / step, side / step))
        _draw(axes, matrix, labels)
        axes.set(title=title, xlabel="donor", ylabel="host")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for what is missing
        FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call] # matplotlib's own gap


def _draw(axes: Any, matrix: Matrix, labels: Sequence[str]) -> None:
    values = np.array(matrix, dtype=float)  # None becomes NaN
    axes.imshow(values, vmin=0.0, vmax=1.0, cmap="cividis")
    axes.set_facecolor("0.9")
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, fontsize=8, parse_math=False, rotation=90)
    axes.set_yticks(ticks, labels, fontsize=8, parse_math=False)
    for row, column in np.argwhere(~np.isnan(values)) if len(labels) <= _READABLE else ():
        value = values[row, column]
        style = {"ha": "center", "va": "center", "fontsize": 8}
        axes.text(column, row, f"{value:.2f}", color="black" if value > 0.5 else "white", **style)

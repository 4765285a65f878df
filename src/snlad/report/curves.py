"""Learning curves of a run as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any


def draw_curves(log_rows: Sequence[Mapping[str, Any]], path: Path | IO[bytes]) -> None:
    """Draw the loss, each of its terms and the learning rate against the step, as PNG.

    Args:
        log_rows: rows of ``log.jsonl``: ``step``, ``lr``, ``loss`` and a ``loss_NAME`` per term.
        path: of the picture, or a file to write it to.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # in the extra 'train', and slow
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for name in sorted({key for row in log_rows for key in row if key.startswith("loss")}):
        points = [(row["step"], row[name]) for row in log_rows if name in row]
        label = name.removeprefix("loss_") if name != "loss" else "total"
        losses.plot(*zip(*points, strict=True), label=label, linewidth=2 if name == "loss" else 1)
    if log_rows:
        for text in losses.legend().get_texts():
            text.set_parse_math(False)  # a term of the user's own may be called anything
    rates.plot([row["step"] for row in log_rows], [row["lr"] for row in log_rows])
    losses.set_ylabel("loss (weighted terms)")
    rates.set(xlabel="step", ylabel="learning rate")
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call] # matplotlib's own gap

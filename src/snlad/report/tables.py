"""Score tables as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from snlad.metrics.scores import METRICS

_HEADS = ("img AUROC", "img AP", "img F1", "px AUROC", "px AP", "px F1", "AUPRO")


def format_scores(scores: Mapping[str, Any]) -> str:
    """The table of ``snlad evaluate``: a row a class, then mean, classes covered and pooled.

    Args:
        scores: ``ScoreTable.to_dict()``.
    """
    rows: list[Sequence[str]] = [("class", *_HEADS)]
    rows += [(name, *_cells(row)) for name, row in scores["classes"].items()]
    counts = [str(scores["n_classes"][metric]) for metric in METRICS]
    rows += [
        ("mean over classes", *_cells(scores["mean"])),
        ("classes in the mean", *counts),
        ("pooled", *_cells(scores["pooled"])),
    ]
    return f"protocol {scores['protocol']}\n{align(rows)}"


def format_limits(classes: Mapping[str, Mapping[str, Any]], pooled: Mapping[str, Any]) -> str:
    """The table of ``snlad calibrate``: thresholds and what they promise, a row a class.

    Args:
        classes: ``Limits`` as mappings, by class name.
        pooled: those of all classes taken together.
    """
    rows: list[Sequence[str]] = [("class", "pictures", "threshold", "pixel", "promised FPR")]
    rows += [
        (
            name,
            str(row["n"]),
            f"{row['threshold']:.4g}",
            f"{row['pixel_threshold']:.4g}",
            f"{row['attainable_fpr']:.3f}" + (" (too few)" if row["is_short"] else ""),
        )
        for name, row in (*classes.items(), ("pooled", pooled))
    ]
    return align(rows)


def align(rows: Sequence[Sequence[str]]) -> str:
    """Text rows as columns: the first flush left, the others flush right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _cells(row: Mapping[str, float | None]) -> list[str]:
    return ["-" if row[metric] is None else f"{row[metric]:.3f}" for metric in METRICS]

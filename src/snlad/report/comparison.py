"""A comparison of two runs as Markdown, LaTeX, HTML and CSV: the same tables in each.

All functions take ``Comparison.to_dict()`` of ``snlad.engine.compare``.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from snlad.metrics.scores import METRICS
from snlad.report.cells import csv_text, html_cell
from snlad.report.formats import Table, html_table, latex_page, markdown_page
from snlad.report.tables import HEADS

_NAMES = {"mean": "mean over classes", "pooled": "pooled"}
_FLIP_FIELDS = (
    *("class_name", "path", "defect_type", "kind"),
    *("score_a", "threshold_a", "score_b", "threshold_b"),
)
_PAGE_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Comparison of two runs</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.4 sans-serif; margin: 2em; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid #ccc; padding: 0.2em 0.7em; text-align: left; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1.5em 0; } img { max-width: 100%; }
</style></head><body>
<h1>Comparison: B against A</h1>
"""

Content = Mapping[str, Any]


def format_markdown(comparison: Content) -> str:
    """For a terminal, a merge request or a README."""
    return markdown_page("Comparison: B against A", _facts(comparison), _tables(comparison))


def format_latex(comparison: Content) -> str:
    r"""Paragraphs and ``tabular`` environments to ``\input``."""
    return latex_page(_facts(comparison), _tables(comparison))


def html_parts(comparison: Content, pictures: Iterable[bytes] = ()) -> Iterator[str]:
    """A page that asks nothing of any network, piece by piece.

    Args:
        comparison: what was compared.
        pictures: a PNG for each flip, in their order; none where nothing was drawn.
    """
    yield _PAGE_HEAD
    yield "".join(f"<p>{html_cell(fact)}</p>\n" for fact in _facts(comparison))
    for table in _tables(comparison):
        yield f"<h2>{html_cell(table.title)}</h2>\n<p>{html_cell(table.note)}</p>\n"
        yield html_table(table) if table.rows else ""
    for number, (png, flip) in enumerate(zip(pictures, comparison["flips"] or (), strict=False)):
        caption = html_cell(f"{number}: {flip['class_name']}, {flip['path']}, {flip['kind']}")
        data = base64.b64encode(png).decode("ascii")
        yield f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">\n'
        yield f"<figcaption>{caption}</figcaption></figure>\n"
    yield "</body></html>\n"


def numbers_csv(comparison: Content) -> str:
    """One line a row and metric; ``row`` is ``class``, ``mean`` or ``pooled``."""
    a, b, differences, intervals = (
        _by_row(comparison[part]) for part in ("a", "b", "differences", "intervals")
    )
    lines: list[Sequence[Any]] = [("row", "class", "metric", "a", "b", "difference", "low", "high")]
    for row, difference in differences.items():
        for metric in METRICS:
            ends = intervals[row].get(metric, (None, None))
            lines.append((*row, metric, a[row][metric], b[row][metric], difference[metric], *ends))
    return csv_text(lines)


def flips_csv(comparison: Content) -> str:
    """One line a picture whose verdict flips; without thresholds there is none."""
    flips = enumerate(comparison["flips"] or ())
    lines = [(number, *(flip[field] for field in _FLIP_FIELDS)) for number, flip in flips]
    return csv_text([("number", *_FLIP_FIELDS), *lines])


def _facts(comparison: Content) -> list[str]:
    a, b = comparison["a"], comparison["b"]
    rules = f"Protocol {comparison['protocol']}, A {a['evaluator']} and B {b['evaluator']}"
    data = f"{comparison['pictures']} pictures, data {comparison['data'][:12]}"
    return [f"A: {a['run']}", f"B: {b['run']}", f"{rules}; {data}."]


def _tables(comparison: Content) -> list[Table]:
    return [
        Table(
            "Numbers, A / B",
            "Where one side is undefined, neither is shown.",
            ("class", *HEADS),
            _number_rows(comparison, _both_cells),
        ),
        Table(
            "Differences, B minus A",
            "In brackets the 95 % interval over images, the same images drawn for both; pixel "
            "numbers have none.",
            ("class", *HEADS),
            _number_rows(comparison, _difference_cells),
        ),
        *_flip_tables(comparison),
    ]


def _by_row(part: Content) -> dict[tuple[str, str], Content]:
    """What stands beside class, mean and pool, by kind of row and class name."""
    classes = {("class", name): row for name, row in part["classes"].items()}
    return {**classes, ("mean", ""): part["mean"], ("pooled", ""): part["pooled"]}


def _number_rows(comparison: Content, cells: Callable[..., list[str]]) -> list[list[str]]:
    parts = [_by_row(comparison[part]) for part in ("a", "b", "differences", "intervals")]
    rows = [
        [_NAMES.get(kind, name), *cells(*(part[kind, name] for part in parts))]
        for kind, name in parts[0]
    ]
    counts = [str(comparison["n_classes"][metric]) for metric in METRICS]
    return [*rows[:-1], ["classes in the mean", *counts], rows[-1]]


def _both_cells(a: Content, b: Content, _difference: Content, _interval: Content) -> list[str]:
    return ["-" if a[m] is None else f"{a[m]:.3f} / {b[m]:.3f}" for m in METRICS]


def _difference_cells(
    _a: Content, _b: Content, difference: Content, interval: Content
) -> list[str]:
    return [
        "-" if difference[m] is None else f"{difference[m]:+z.3f}{_ends(interval.get(m))}"
        for m in METRICS
    ]


def _ends(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:+z.3f}..{interval[1]:+z.3f})"


def _flip_tables(comparison: Content) -> list[Table]:
    if comparison["flips"] is None:
        lacking = [name.upper() for name in "ab" if comparison[name]["thresholds"] is None]
        return [
            Table(
                "Flipped verdicts",
                f"Cannot be told: no thresholds in {' and '.join(lacking)}. Set some with  snlad "
                "calibrate RUN --calibration GOOD  and evaluate again.",
            )
        ]
    counts, flips = comparison["flip_counts"], comparison["flips"]
    return [
        Table(
            "Flipped verdicts, counted",
            "Views of one part count once. p is McNemar's, exact, for each row by itself: how "
            "likely flips so one-sided are by chance.",
            (
                *("class", "defects", "escapes mended", "new escapes", "p"),
                *("normals", "false alarms mended", "new false alarms", "p"),
            ),
            [
                [name, *map(_count, row.values())]
                for name, row in (*counts["classes"].items(), ("all", counts["pooled"]))
            ],
        ),
        Table(
            f"Flipped pictures: {len(flips)}",
            "NG is a score above the threshold of the picture's class.",
            (
                *("number", "class", "picture", "defect", "flip"),
                *("score A", "threshold A", "score B", "threshold B"),
            ),
            [[str(number), *_flip_cells(flip)] for number, flip in enumerate(flips)],
            names=5,
        ),
    ]


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def _flip_cells(flip: Content) -> list[str]:
    names, numbers = _FLIP_FIELDS[:4], _FLIP_FIELDS[4:]
    return [*(flip[name] for name in names), *(f"{flip[name]:.4g}" for name in numbers)]

"""One table, or a page of them, in Markdown and LaTeX; a table in HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from snlad.report.cells import html_cell, latex_cell, markdown_cell


@dataclass(frozen=True)
class Table:
    """Cells of text under heads.

    Attributes:
        title: in a few words.
        note: what a reader must know to read it.
        heads: of the columns.
        rows: as wide as the heads.
        names: how many columns, from the left, hold names; the others hold numbers.
    """

    title: str
    note: str
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    names: int = 1


def markdown_page(title: str, facts: Iterable[str], tables: Iterable[Table]) -> str:
    """A title, a line a fact, and all tables, for a terminal, a merge request or a README."""
    parts = [f"# {markdown_cell(title)}", *map(markdown_cell, facts)]
    for table in tables:
        parts += [f"## {markdown_cell(table.title)}", markdown_cell(table.note)]
        parts += [markdown_table(table)] * bool(table.rows)
    return "\n\n".join(parts) + "\n"


def latex_page(facts: Iterable[str], tables: Iterable[Table]) -> str:
    r"""Paragraphs and ``tabular`` environments to ``\input``."""
    parts = [*map(latex_cell, facts)]
    for table in tables:
        parts.append(rf"\paragraph{{{latex_cell(table.title)}}} {latex_cell(table.note)}")
        parts += [latex_table(table)] * bool(table.rows)
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """Its columns are aligned for whoever reads the source, in a terminal for example."""
    lines = [[markdown_cell(cell) for cell in line] for line in (table.heads, *table.rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = [
        "-" * width if index < table.names else "-" * (width - 1) + ":"
        for index, width in enumerate(widths)
    ]
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(width) if index < table.names else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def latex_table(table: Table) -> str:
    """A plain ``tabular``, which needs no package."""
    numbers = len(table.heads) - table.names
    body = [
        [
            latex_cell(cell) if index < table.names else _with_signs(cell)
            for index, cell in enumerate(row)
        ]
        for row in table.rows
    ]
    lines = [" & ".join(line) + r" \\" for line in ([*map(latex_cell, table.heads)], *body)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * table.names}{'r' * numbers}}}",
            *(r"\hline", lines[0], r"\hline", *lines[1:], r"\hline"),
            r"\end{tabular}",
        ]
    )


def _with_signs(number: str) -> str:
    return number.replace("-", "$-$").replace("+", "$+$").replace("±", r"$\pm$")


def html_table(table: Table) -> str:
    """A ``table`` whose numbers have the class ``number``."""
    heads = "".join(f'<th scope="col">{html_cell(head)}</th>' for head in table.heads)
    rows = (
        "".join(
            f"<td>{html_cell(cell)}</td>"
            if index < table.names
            else f'<td class="number">{html_cell(cell)}</td>'
            for index, cell in enumerate(row)
        )
        for row in table.rows
    )
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table>\n"

"""A value as a cell of a table: a name stays text in CSV, HTML, LaTeX and Markdown."""

import csv
import html
import io
import re
import unicodedata
from collections.abc import Iterable

_FORMULA = "=+-@"
_STARTS = re.compile(r"([;\t\r\n])")
"""Where a cell may start inside a text, should a reader take another delimiter than the comma."""

_MARKDOWN = re.compile(r"[\\`*|\[\]~$]|(?<![^\W_])_|_(?![^\W_])")
"""What would start something; an underscore inside a word does not."""

_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\char34{}",
    }
    | {character: f"{{{character}}}" for character in "[*"}  # options of the row's end before them
)


_LIGATURE = re.compile(r"([-'`,])(?=\1)|[?!](?=`)")
"""First of two characters that LaTeX would draw as another one."""


def csv_cell(value: str | float | bool | None) -> str | float:
    """A value for ``csv.writer``: numbers as they are, and no text that would run as a formula.

    A single quote goes before a text that starts with ``= + - @``, tab, CR or LF, also in a
    full-width form and after blanks, quotes or characters that nobody sees, and so after each
    delimiter inside the text.

    Source: OWASP, CSV Injection.
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            first, *rest = _STARTS.split(_encodable(value))
            if _starts_with(value, _FORMULA + "\t\r\n"):
                first = f"'{first}"
            return first + "".join(f"'{p}" if _starts_with(p, _FORMULA) else p for p in rest)
        case _:
            return value


def csv_text(lines: Iterable[Iterable[str | float | bool | None]]) -> str:
    """A whole CSV file, every text quoted."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC).writerows(map(csv_cell, row) for row in lines)
    return text.getvalue()


def html_cell(text: str) -> str:
    """Text for an element or a quoted attribute of HTML."""
    return html.escape(_line(text))


def latex_cell(text: str) -> str:
    """Text for a ``tabular``."""
    return _LIGATURE.sub(r"\g<0>{}", _line(text).translate(_LATEX))


def markdown_cell(text: str) -> str:
    """Text for a table of Markdown, without links, pictures, HTML or emphasis of its own."""
    plain = _line(text).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", plain)


def _starts_with(text: str, marks: str) -> bool:
    """Whether one of the marks is the first character that a spreadsheet may heed."""
    for character in text:
        form = unicodedata.normalize("NFKC", character)[0]
        kind = unicodedata.category(form)
        if form in marks:
            return True
        if form not in "\"'`" and kind[0] not in "ZC" and kind not in ("Pi", "Pf"):
            return False
    return False


def _line(text: str) -> str:
    """One line that any terminal and file can hold: breaks and control characters replaced."""
    return "".join(map(_shown, _encodable(text)))


def _shown(character: str) -> str:
    if character.isspace():
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) == "Cc" else character


def _encodable(text: str) -> str:
    """File names may hold bytes that are no UTF-8; they are shown as backslash escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")

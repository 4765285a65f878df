"""HTML that cannot run or load anything: every text is escaped in one place, pictures are inside.

A page is one file without script. Its content policy forbids all but its own style and pictures, so
that even a hole in the escaping would neither run a script nor send a request.
"""

import html
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from typing import Literal

from PIL import Image

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
_VOID = frozenset({"img", "meta"})


@dataclass(frozen=True)
class Html:
    """Finished markup; a plain string is text and will be escaped."""

    markup: str


Content = Html | str


@dataclass(frozen=True)
class Section:
    """A part of a page with a place in its list of contents.

    Attributes:
        slug: its address in the page, ours and never a name of the user's.
        title: its heading.
        content: what it holds, from top to bottom.
    """

    slug: str
    title: str
    content: Sequence[Content]


def escape(text: str) -> str:
    """Text as markup: nothing in it acts, and what has no shape of its own is spelled out.

    Control characters, marks that turn the direction of writing and halves of surrogate pairs
    become escapes as in Python, so that a name can neither hide a part of itself nor break UTF-8.
    """
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return html.escape("".join(shown))


def element(tag: str, *content: Content, **attributes: str) -> Html:
    """An element around its content.

    Args:
        tag: name of the element.
        content: markup as it is, strings escaped.
        attributes: values, escaped; a name loses a last ``_``, and others become hyphens.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
    )
    inside = "".join(one.markup if isinstance(one, Html) else escape(one) for one in content)
    return Html(f"<{tag}{written}>" + ("" if tag in _VOID else f"{inside}</{tag}>"))


def name(text: str) -> Html:
    """A name of the user's, kept from turning the text around it."""
    return element("bdi", text)


def paragraph(*content: Content) -> Html:
    """A paragraph."""
    return element("p", *content)


def fold(summary: str, *content: Content) -> Html:
    """Content that is shown when the reader opens it; without script."""
    return element("details", element("summary", summary), *content)


def table(
    caption: str,
    heads: Sequence[Content],
    rows: Sequence[Sequence[Content]],
    kind: Literal["numbers", "words", "gallery"] = "numbers",
) -> Html:
    """A table whose first cell in each row heads the row."""
    head = element("tr", *(element("th", one, scope="col") for one in heads))
    body = (
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", one) for one in row[1:]),
        )
        for row in rows
    )
    grid = element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", *body),
        class_=kind,
    )
    return element("div", grid, class_="wide", role="region", tabindex="0", aria_label=caption)


def image(data: bytes, alt: str) -> Html:
    """A PNG or JPEG inside the page.

    Args:
        data: the file's bytes, made by this program.
        alt: what it shows, for whoever does not see it.
    """
    with Image.open(BytesIO(data), formats=("PNG", "JPEG")) as picture:
        (width, height), kind = picture.size, str(picture.format).lower()
    source = f"data:image/{kind};base64,{b64encode(data).decode()}"
    return element("img", src=source, alt=alt, width=str(width), height=str(height))


def page(title: str, lead: Sequence[Content], sections: Sequence[Section]) -> str:
    """A whole document.

    Args:
        title: of the document.
        lead: what stands under the title.
        sections: the rest, listed at the top.
    """
    style = (files("snlad.report") / "style.css").read_text(encoding="utf-8")
    links = (element("a", one.title, href=f"#{one.slug}") for one in sections)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        Html(f"<style>{style}</style>"),
    )
    body = element(
        "body",
        element("header", element("h1", name(title)), *lead),
        element("nav", *links, aria_label="Contents"),
        element("main", *(_write(one) for one in sections)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en').markup}\n"


def _write(section: Section) -> Html:
    heading = element("h2", section.title, id=section.slug)
    return element("section", heading, *section.content, aria_labelledby=section.slug)

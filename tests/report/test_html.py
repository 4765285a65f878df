"""HTML: text stays text, whatever it is; a page holds its pictures and no way out."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from snlad.report.html import (
    POLICY,
    Html,
    Section,
    element,
    escape,
    fold,
    image,
    name,
    page,
    paragraph,
    table,
)

ATTACKS = [
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<!-- ",
    "]]>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "&lt;script&gt;",
    "&#60;script>",
    "$x$ \\frac{1}{0}",
    "a\nb\r\tc",
    "\x00\x1b[31m",
    "\u202egpj.exe",
    "\udcff\ud800",
    "שלום עליכם",
    "🔩 Schraube ß",
    "x" * 10_000,
]


class Texts(HTMLParser):
    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_comment(self, data):
        self.tags.append("!--")

    def handle_data(self, data):
        self.text += data


def png(height: int = 3, width: int = 5) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_is_never_markup(attack):
    for markup in (escape(attack), element("p", attack).markup, name(attack).markup):
        found = Texts(f"<div>{markup}</div>")
        assert set(found.tags) <= {"div", "p", "bdi"}
        assert "<script" not in markup
        markup.encode()


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attribute_cannot_be_left(attack, read_page):
    markup = element("img", alt=attack + "!", src="data:image/png;base64,").markup
    (found,) = read_page(markup).all("img")
    assert list(found) == ["alt", "src"]
    assert found["alt"].endswith("!")


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "M"]), max_size=40))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_what_can_be_seen_is_read_back_as_it_was(text):
    assert Texts(f"<p>{escape(text)}</p>").text == text


@given(st.text(max_size=40))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_any_text_is_one_line_of_utf_8_without_markup(text):
    shown = escape(text)
    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown
    assert not set(shown) & set("<>\"'")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("\x00", "\\x00"),
        ("\u202egpj", "\\u202egpj"),
        ("\udcff", "\\udcff"),
        ("\U000e0001", "\\U000e0001"),
        ("a b", "a b"),
        ("é🔩ש", "é🔩ש"),
        ("<&>", "&lt;&amp;&gt;"),
    ],
)
def test_what_has_no_shape_is_spelled_out(text, shown):
    assert escape(text) == shown


def test_an_element_keeps_finished_markup_and_escapes_the_rest():
    inner = element("b", "<1>")
    assert element("p", inner, "<2>").markup == "<p><b>&lt;1&gt;</b>&lt;2&gt;</p>"


def test_attribute_names_are_written_as_in_html():
    written = element("td", class_="x", aria_label="y", http_equiv="z").markup
    assert written == '<td class="x" aria-label="y" http-equiv="z"></td>'


def test_elements_without_content_are_not_closed():
    assert element("img", alt="a").markup == '<img alt="a">'
    assert element("meta", charset="utf-8").markup == '<meta charset="utf-8">'


def test_a_table_has_a_caption_and_heads_for_columns_and_rows(read_page):
    written = table("Of <all>", ("class", "n"), [("a", "1"), (name("b"), "2")], "words")
    found = read_page(written.markup)
    assert found.tables == {"Of <all>": [["class", "n"], ["a", "1"], ["b", "2"]]}
    assert [head.get("scope") for head in found.all("th")] == ["col", "col", "row", "row"]
    assert found.all("table") == [{"class": "words"}]
    (around,) = found.all("div")
    assert around["aria-label"] == "Of <all>"
    assert around["tabindex"] == "0"  # a wide table is scrolled with the keyboard too


def test_a_fold_needs_no_script(read_page):
    found = read_page(fold("More", paragraph("text")).markup)
    assert [tag for tag, _ in found.elements] == ["details", "summary", "p"]


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_picture_is_inside_the_page(form, read_page):
    buffer = io.BytesIO()
    Image.fromarray(np.full((3, 5, 3), 200, np.uint8)).save(buffer, form)
    (found,) = read_page(image(buffer.getvalue(), 'a "grey" one').markup).all("img")
    head, _, body = str(found["src"]).partition(",")
    assert head == f"data:image/{form.lower()};base64"
    assert base64.b64decode(body) == buffer.getvalue()
    assert (found["width"], found["height"], found["alt"]) == ("5", "3", 'a "grey" one')


def test_only_pictures_of_the_two_forms_come_in():
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    gif = io.BytesIO()
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(gif, "GIF")
    for data in (svg, gif.getvalue(), b""):
        with pytest.raises(UnidentifiedImageError):
            image(data, "x")


def whole() -> str:
    sections = [
        Section("one", "First", [paragraph("<a>")]),
        Section("two", "Second & last", [image(png(), "black"), "text"]),
    ]
    return page("A <title>", [paragraph("lead")], sections)


def test_a_page_forbids_all_but_its_own_style_and_pictures(read_page):
    found = read_page(whole())
    metas = found.all("meta")
    assert metas[0] == {"charset": "utf-8"}
    assert metas[1] == {"http-equiv": "Content-Security-Policy", "content": POLICY}
    assert POLICY.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert "script" not in POLICY


def test_a_page_is_whole_and_its_contents_lead_to_its_sections(read_page):
    text = whole()
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    found = read_page(text)
    assert [one["href"] for one in found.all("a")] == ["#one", "#two"]
    assert [one["id"] for one in found.all("h2")] == ["one", "two"]
    assert found.all("section")[1] == {"aria-labelledby": "two"}
    for part in ("A <title>", "lead", "<a>", "Second & last", "text"):
        assert part in found.text
    assert text == whole()


def test_the_style_loads_nothing():
    style = whole().partition("<style>")[2].partition("</style>")[0]
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    for way_out in ("url(", "@import", "http", "<", "expression", "\\"):
        assert way_out not in style


def test_markup_is_compared_by_value():
    assert element("p", "a") == Html("<p>a</p>")

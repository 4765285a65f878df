"""Cells: whatever a name holds, it is text in every format and nothing else."""

import csv
import html
import io
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.report.cells import csv_cell, html_cell, latex_cell, markdown_cell

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\\input{/etc/passwd}",
    "$\\write18{id}$",
    "a|b\nc\r\nd\te",
    "[x](http://evil) ![y](http://evil)",
    "`code` **bold** _it_ ~gone~",
    "&lt;b&gt; &#106;",
    "\x1b[31mred\x07\x00",
    "\udcff\udc00",
    "\u2028\u2029\x85\x1c",
    "100 % #1 a_b {c} ~ ^ \\",
]
NAMES = st.text(max_size=12) | st.sampled_from(HOSTILE)
PROPERTY = settings(deadline=None, derandomize=True, max_examples=200)


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-2.5", "'-2.5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\rx", "'\rx"),
        ("  =1", "'  =1"),
        ("\ufeff=1", "'\ufeff=1"),
        ("\uff1d1", "'\uff1d1"),
        ('"=1"', '\'"=1"'),
        ("\u201c=1", "'\u201c=1"),
        ("a;=1", "a;'=1"),
        ("a\n+1", "a\n'+1"),
        ("a=1-2", "a=1-2"),
        ("grey/test/spot/0.png", "grey/test/spot/0.png"),
        ("", ""),
        ("   ", "   "),
    ],
)
def test_no_text_runs_as_a_formula(text, guarded):
    assert csv_cell(text) == guarded


def test_numbers_stay_numbers_and_the_rest_has_one_spelling():
    assert csv_cell(-0.25) == -0.25
    assert csv_cell(7) == 7
    assert (csv_cell(True), csv_cell(False), csv_cell(None)) == ("true", "false", "")


@given(NAMES)
@PROPERTY
def test_a_csv_cell_comes_back_and_no_reader_sees_a_formula(text):
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_NONNUMERIC).writerow([csv_cell(text)])
    file.getvalue().encode()  # can be written
    ((cell,),) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    plain = text.encode("utf-8", "backslashreplace").decode()
    assert cell.replace("'", "") == plain.replace("'", "")
    for part in re.split(r"[;\t\r\n]", cell):
        seen = unicodedata.normalize("NFKC", part).lstrip(" \"`'\u00a0\ufeff")
        assert part[:1] == "'" or not seen.startswith(("=", "+", "-", "@"))


class Reader(HTMLParser):
    """What a browser would make of a page: its tags, attributes and text."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.text += data


@given(NAMES)
@PROPERTY
def test_html_shows_the_text_and_no_tag_of_its_own(text):
    cell = html_cell(text)
    reader = Reader()
    reader.feed(f'<p title="{cell}">{cell}</p>')
    reader.close()
    assert [tag for tag, _ in reader.tags] == ["p"]
    assert reader.tags[0][1] == [("title", html.unescape(cell))]
    assert reader.text == html.unescape(cell)
    cell.encode()


@given(NAMES)
@PROPERTY
def test_no_latex_command_or_line_break_is_left(text):
    cell = latex_cell(text)
    assert len(cell.splitlines()) <= 1
    commands = set(re.findall(r"\\(?:[A-Za-z]+|.)", cell))
    assert commands <= {
        *(r"\textbackslash", r"\textasciitilde", r"\textasciicircum", r"\char"),
        *(r"\textless", r"\textgreater", r"\textbar"),
        *(f"\\{character}" for character in "&%$#_{}"),
    }
    rest = re.sub(r"\\(?:[A-Za-z]+(?:34)?\{\}|[&%$#_{}])", "", cell)
    assert not set(rest) & set('&%$#_\\~^<>|"')
    assert not cell.startswith(("[", "*"))  # would be an option of the line end before


def test_latex_worked_by_hand():
    assert latex_cell("\\input{x}") == r"\textbackslash{}input\{x\}"
    assert latex_cell("50 % a_b & c#$") == r"50 \% a\_b \& c\#\$"
    assert latex_cell("[a]*") == r"{[}a]{*}"
    assert latex_cell("---") == "-{}-{}-"
    assert latex_cell("a-b 'c' ?`") == "a-b 'c' ?{}`"
    assert latex_cell("``''") == "`{}`'{}'"
    assert latex_cell('a"~^') == r"a\char34{}\textasciitilde{}\textasciicircum{}"


@given(NAMES)
@PROPERTY
def test_a_markdown_cell_is_one_cell_of_one_line(text):
    cell = markdown_cell(text)
    assert len(cell.splitlines()) <= 1
    bare = re.sub(r"\\[\\`*|\[\]~$_]", "", cell)
    assert not set(bare) & set("\\`*|[]~$<")
    assert not re.search(r"&(?!amp;|lt;)", bare)
    cell.encode()


def test_markdown_worked_by_hand():
    assert markdown_cell("a|b\nc") == "a\\|b c"
    assert markdown_cell("<script>&amp;") == "&lt;script>&amp;amp;"
    assert markdown_cell("broken_large/000.png") == "broken_large/000.png"
    assert markdown_cell("__init__") == r"\_\_init\_\_"
    assert markdown_cell("![x](http://y)") == r"!\[x\](http://y)"
    assert markdown_cell("C:\\new") == r"C:\\new"


@pytest.mark.parametrize("cell", [html_cell, latex_cell, markdown_cell])
def test_control_characters_reach_no_terminal(cell):
    shown = cell("\x1b[31mred\x07\x00\x7f\x9b")
    assert not any(unicodedata.category(character) == "Cc" for character in shown)
    assert shown.count("\N{REPLACEMENT CHARACTER}") == 5
    assert "udcff" in cell("\udcff")
    assert cell("a\r\n\tb") == "a   b"


@pytest.mark.parametrize("cell", [csv_cell, html_cell, latex_cell, markdown_cell])
def test_plain_names_of_any_script_stay_as_they_are(cell):
    for name in ("grey", "瓶/test/良/0.png", "schöne Größe", "ок", "\u200dनमस्ते"):
        assert cell(name) == name

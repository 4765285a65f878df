"""One table in three formats: the same cells, and no cell that leaves its place."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.report.formats import (
    Table,
    html_table,
    latex_page,
    latex_table,
    markdown_page,
    markdown_table,
)

PLAIN = Table("t", "n", ("class", "a", "b"), [("grey", "+0.5", "-"), ("long name", "-1.25", "7")])
HOSTILE = (
    "<script>x</script>",
    "a|b\\",
    "\\input{x}",
    "=cmd|x",
    "a & b \\\\ \\hline",
    "n\nl",
    "[x]",
)


def test_markdown_worked_by_hand():
    assert markdown_table(PLAIN) == (
        "| class     |     a |   b |\n"
        "| --------- | ----: | --: |\n"
        "| grey      |  +0.5 |   - |\n"
        "| long name | -1.25 |   7 |"
    )


def test_latex_worked_by_hand():
    assert latex_table(PLAIN) == (
        "\\begin{tabular}{lrr}\n"
        "\\hline\n"
        "class & a & b \\\\\n"
        "\\hline\n"
        "grey & $+$0.5 & $-$ \\\\\n"
        "long name & $-$1.25 & 7 \\\\\n"
        "\\hline\n"
        "\\end{tabular}"
    )


def test_a_spread_needs_no_package_of_latex():
    table = Table("t", "n", ("a", "b"), [("x", "0.5 ± 0.1")])
    assert r"x & 0.5 $\pm$ 0.1 \\" in latex_table(table)
    assert "| x   | 0.5 ± 0.1 |" in markdown_table(table)


def test_a_page_of_tables_worked_by_hand():
    empty = Table("none_", "nothing <here>")
    table = Table("t", "n", ("a", "b"), [("x", "1")])
    assert markdown_page("a|b", ["one & all"], [empty, table]) == (
        "# a\\|b\n\none &amp; all\n\n## none\\_\n\nnothing &lt;here>\n\n"
        "## t\n\nn\n\n| a   |   b |\n| --- | --: |\n| x   |   1 |\n"
    )
    assert latex_page(["one & all"], [empty]) == (
        "one \\& all\n\n\\paragraph{none\\_} nothing \\textless{}here\\textgreater{}\n"
    )


def test_html_worked_by_hand():
    table = Table("t", "n", ("class", "a"), [("grey", "1")])
    assert html_table(table) == (
        '<table>\n<thead><tr><th scope="col">class</th><th scope="col">a</th></tr></thead>\n'
        '<tbody>\n<tr><td>grey</td><td class="number">1</td></tr>\n</tbody></table>\n'
    )


def test_more_columns_may_hold_names():
    table = Table("t", "n", ("a", "b", "c"), [("x", "y-z", "-1")], names=2)
    assert latex_table(table).splitlines()[0] == r"\begin{tabular}{llr}"
    assert r"x & y-z & $-$1 \\" in latex_table(table)
    assert markdown_table(table).splitlines()[1] == "| --- | --- | --: |"
    assert html_table(table).count('class="number"') == 1


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_keeps_to_its_cell(name, head):
    table = Table("t", "n", (name if head else "a", "b"), [("x" if head else name, "1")])
    lines = markdown_table(table).splitlines()
    assert len(lines) == 3
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines} == {3}
    rows = [line for line in latex_table(table).splitlines() if line.endswith(r"\\")]
    assert len(rows) == 2
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [1, 1]
    assert latex_table(table).count(r"\hline") == 3
    assert "<script>" not in html_table(table)


class Counter(HTMLParser):
    """How often a browser would meet each tag."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5), st.text(max_size=8))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_any_names_give_as_many_rows_and_cells(names, head):
    table = Table("t", "n", (head, "b"), [(name, "1") for name in names])
    assert len(markdown_table(table).split("\n")) == len(names) + 2
    assert len(latex_table(table).split("\n")) == len(names) + 6
    tags = Counter(html_table(table)).tags
    assert [tags.count(tag) for tag in ("tr", "td", "th")] == [len(names) + 1, 2 * len(names), 2]

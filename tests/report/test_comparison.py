"""A comparison in four formats: the same numbers, hostile names harmless, no network."""

import base64
import csv
import io
from html.parser import HTMLParser

import pytest

from snlad.metrics.scores import METRICS
from snlad.report.comparison import (
    flips_csv,
    format_latex,
    format_markdown,
    html_parts,
    numbers_csv,
)

EVIL_CLASS, EVIL_PATH = "=cmd|' /C calc'!A0", "<script>x</script>\\input{x}|\n=1.png"
IMAGE = METRICS[:3]


def row(value: float | None, aupro: float | None = 0.5) -> dict[str, float | None]:
    return {**dict.fromkeys(METRICS, value), "aupro": aupro}


def flip(class_name: str, path: str, kind: str = "new escape") -> dict:
    return {
        "class_name": class_name,
        "path": path,
        "defect_type": "hole",
        "kind": kind,
        "score_a": 2.0,
        "threshold_a": 1.0,
        "score_b": -0.5,
        "threshold_b": 0.25,
    }


def counts(**changed) -> dict:
    return {
        "defects": 1234,
        "escapes_mended": 0,
        "new_escapes": 2,
        "defects_p": 0.5,
        "normals": 0,
        "false_alarms_mended": 0,
        "new_false_alarms": 0,
        "normals_p": None,
        **changed,
    }


def compared(class_name: str = "grey", path: str = "grey/0.png", **changed) -> dict:
    """Class by class AUPRO is undefined; the image metrics fall by 0.2."""
    intervals = dict.fromkeys(IMAGE, (-0.3, -0.00001))
    side = {"evaluator": "exact", "thresholds": {class_name: 1.0}}
    return {
        "protocol": "snlad-v1",
        "data": "0123456789abcdef",
        "pictures": 8,
        "n_classes": {**dict.fromkeys(METRICS, 1), "aupro": 0},
        "a": {"run": "a", "classes": {class_name: row(0.9, None)}, "mean": row(0.9, None)}
        | {"pooled": row(0.8), **side},
        "b": {"run": "b", "classes": {class_name: row(0.7, None)}, "mean": row(0.7, None)}
        | {"pooled": row(0.7), **side},
        "differences": {"classes": {class_name: row(-0.2, None)}, "mean": row(-0.2, None)}
        | {"pooled": row(-0.1, 0.0)},
        "intervals": {"classes": {class_name: intervals}, "mean": intervals, "pooled": {}},
        "flips": [flip(class_name, path), flip(class_name, "grey/1.png", "false alarm mended")],
        "flip_counts": {"classes": {class_name: counts()}, "pooled": counts(defects=7)},
        **changed,
    }


def lines_of(text: str, start: str) -> list[list[str]]:
    """The cells of each line of Markdown whose first cell is this."""
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines()]
    return [line for line in cells if line and line[0] == start]


def read_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_markdown_shows_both_numbers_the_difference_and_its_interval():
    text = format_markdown(compared())
    numbers, differences, flipped = lines_of(text, "grey")
    assert numbers[1:] == ["0.900 / 0.700"] * 6 + ["-"]
    assert differences[1:] == ["-0.200 (-0.300..+0.000)"] * 3 + ["-0.200"] * 3 + ["-"]
    assert flipped[1:] == ["1234", "0", "2", "0.5", "0", "0", "0", "-"]
    assert lines_of(text, "classes in the mean")[0][1:] == ["1"] * 6 + ["0"]
    assert lines_of(text, "pooled")[1][1:] == ["-0.100"] * 6 + ["+0.000"]
    assert [line[0] for line in lines_of(text, "mean over classes")] == ["mean over classes"] * 2
    assert lines_of(text, "all")[0][1] == "7"


def test_markdown_says_what_was_compared():
    text = format_markdown(compared())
    assert "A: a\n\nB: b\n\nProtocol snlad-v1, A exact and B exact; 8 pictures, data 0123456789ab."
    assert "pixel numbers have none" in text
    assert text.endswith("|\n")


def test_flips_are_listed_with_both_scores_and_thresholds():
    text = format_markdown(compared())
    assert "## Flipped pictures: 2" in text
    assert lines_of(text, "0") == [
        ["0", "grey", "grey/0.png", "hole", "new escape", "2", "1", "-0.5", "0.25"]
    ]
    assert lines_of(text, "1")[0][4] == "false alarm mended"


def test_no_flip_is_a_count_of_zero_and_no_empty_table():
    text = format_markdown(compared(flips=[]))
    assert "## Flipped pictures: 0" in text
    assert "score A" not in text


@pytest.mark.parametrize(
    ("lacking", "said"), [("a", "in A."), ("b", "in B."), ("ab", "in A and B.")]
)
def test_without_thresholds_every_format_says_that_flips_cannot_be_told(lacking, said):
    content = compared(flips=None, flip_counts=None)
    for name in lacking:
        content[name]["thresholds"] = None
    for text in (
        format_markdown(content),
        format_latex(content),
        "".join(html_parts(content)),
    ):
        assert f"Cannot be told: no thresholds {said}" in text
        assert "Flipped pictures" not in text
    assert len(read_csv(flips_csv(content))) == 1


def test_csv_has_a_line_a_row_and_metric_at_full_precision():
    content = compared()
    content["differences"]["classes"]["grey"]["image_ap"] = -0.2 - 1e-15
    lines = read_csv(numbers_csv(content))
    assert lines[0] == ["row", "class", "metric", "a", "b", "difference", "low", "high"]
    assert len(lines) == 1 + 3 * 7
    assert lines[1] == ["class", "grey", "image_auroc", "0.9", "0.7", "-0.2", "-0.3", "-1e-05"]
    assert float(lines[2][5]) == -0.2 - 1e-15
    assert lines[7] == ["class", "grey", "aupro", "", "", "", "", ""]
    assert [line[:2] for line in lines[8::7]] == [["mean", ""], ["pooled", ""]]
    assert lines[15][2:] == ["image_auroc", "0.8", "0.7", "-0.1", "", ""]
    bare = numbers_csv(content).splitlines()[1]
    assert bare.endswith(",0.9,0.7,-0.2,-0.3,-1e-05")  # numbers, not quoted text


def test_a_class_may_have_the_name_of_a_row():
    for name in ("mean", "pooled"):
        lines = read_csv(numbers_csv(compared(name)))
        assert lines[1][:2] == ["class", name]
        assert len(lines) == 22
        assert lines_of(format_markdown(compared(name)), name)[0][1] == "0.900 / 0.700"


def test_csv_of_flips_has_a_line_a_picture():
    lines = read_csv(flips_csv(compared()))
    assert lines[1][:5] == ["0", "grey", "grey/0.png", "hole", "new escape"]
    assert lines[1][5:] == ["2.0", "1.0", "-0.5", "0.25"]
    assert lines[0][0] == "number"
    assert len(lines) == 3


def test_no_cell_of_the_csv_runs():
    content = compared(EVIL_CLASS, EVIL_PATH)
    for line in read_csv(numbers_csv(content)) + read_csv(flips_csv(content)):
        for cell in line:
            is_number = cell.lstrip("-").replace(".", "").replace("e-", "").isdigit()
            assert is_number or not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert read_csv(numbers_csv(content))[1][1] == f"'{EVIL_CLASS}"
    assert read_csv(flips_csv(content))[1][2] == "<script>x</script>\\input{x}|\n'=1.png"


def test_no_name_breaks_the_markdown():
    plain, evil = (format_markdown(compared(*names)) for names in ((), (EVIL_CLASS, EVIL_PATH)))
    assert len(evil.splitlines()) == len(plain.splitlines())
    assert "<script>" not in evil
    (line,) = (line for line in evil.splitlines() if line.startswith("| 0 "))
    assert "&lt;script>x&lt;/script>\\\\input{x}\\| =1.png" in line


def test_no_name_breaks_the_latex():
    plain, evil = (format_latex(compared(*names)) for names in ((), (EVIL_CLASS, EVIL_PATH)))
    assert len(evil.splitlines()) == len(plain.splitlines())
    assert "\\input" not in evil
    assert r"\textless{}script\textgreater{}x" in evil
    assert r"\textbackslash{}input\{x\}\textbar{} =1.png" in evil
    assert plain.count(r"\begin{tabular}") == plain.count(r"\end{tabular}") == 4
    assert "$-$0.200 ($-$0.300..$+$0.000)" in plain


def test_a_hostile_run_name_is_text_everywhere():
    content = compared()
    content["a"]["run"] = EVIL_PATH
    assert "A: &lt;script>x&lt;/script>\\\\input{x}\\| =1.png" in format_markdown(content)
    assert "\\input" not in format_latex(content)
    assert "<script>" not in "".join(html_parts(content))


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_loads_nothing_and_runs_nothing():
    page = Page("".join(html_parts(compared(EVIL_CLASS, EVIL_PATH), [b"one", b"two"])))
    assert not {"script", "link", "iframe", "object", "form", "base"} & {t for t, _ in page.tags}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "href"]
    sources = [a["src"] for _, a in page.tags if "src" in a]
    assert [base64.b64decode(s.removeprefix("data:image/png;base64,")) for s in sources] == [
        b"one",
        b"two",
    ]
    (policy,) = (a["content"] for t, a in page.tags if "http-equiv" in a)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_page_shows_names_as_they_are_and_each_picture_with_its_flip():
    page = Page("".join(html_parts(compared(EVIL_CLASS, EVIL_PATH), [b"one", b"two"])))
    shown = EVIL_PATH.replace("\n", " ")
    images = [a for t, a in page.tags if t == "img"]
    assert images[0]["alt"] == f"0: {EVIL_CLASS}, {shown}, new escape"
    assert images[1]["alt"] == f"1: {EVIL_CLASS}, grey/1.png, false alarm mended"
    assert page.text.count(shown) == 2
    assert [tag for tag, _ in page.tags].count("table") == 4


def test_without_drawings_the_page_has_no_pictures():
    page = Page("".join(html_parts(compared())))
    assert "img" not in [tag for tag, _ in page.tags]
    assert "-0.200 (-0.300..+0.000)" in page.text


def test_a_page_comes_in_pieces_so_that_pictures_are_read_one_by_one():
    read = []

    def pictures():
        for name in (b"one", b"two"):
            read.append(name)
            yield name

    pieces = html_parts(compared(), pictures())
    for piece in pieces:
        if "<img" in piece:
            break
    assert read == [b"one"]

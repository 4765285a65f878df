"""The CSV: the row's values, RFC 4180, and no cell that a spreadsheet could run."""

import csv
import io
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snlad.report.cells import csv_cell
from snlad.report.prediction_table import COLUMNS, TableFile
from snlad.types import Prediction

HOSTILE = [
    "=cmd|' /C calc'!A0.png",
    "+1.png",
    "-2.png",
    "@SUM(A1).png",
    "\t=1.png",
    "\r\n=1.png",
    '"=1",=2,"\n=3.png',
    "a;=1;-2.png",
    "\uff1d1.png",
    "\udcff=1.png",
    " \u200b\uff0b1.png",
]


def predicted(**fields) -> Prediction:
    known = {"path": "a.png", "sha256": "f00", "pred_score": 0.25, "model": "m", "time": "t"}
    return Prediction(**known | fields)


def written(folder, *predictions: Prediction) -> bytes:
    file = TableFile(folder / "predictions.csv")
    for number, prediction in enumerate(predictions):
        file.add(number, prediction)
    file.close()
    return (folder / "predictions.csv").read_bytes()


def cells(data: bytes, **dialect) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), **dialect))


def is_formula(cell: str) -> bool:
    """What OWASP calls dangerous, with blanks, quotes and wide forms seen through."""
    plain = unicodedata.normalize("NFKC", cell)
    return plain.lstrip(" \"'").startswith(("=", "+", "-", "@", "\t", "\r")) and cell[:1] != "'"


def test_a_line_holds_the_scalars_of_the_row(tmp_path):
    regions = [{"box": [0, 0, 1, 1], "area": 1, "score": 2.0}] * 2
    judged = predicted(
        pred_label=True,
        threshold=-0.5,
        p_value=0.125,
        verdict="ng",
        reason="score",
        class_name="bolt",
        is_unknown=False,
        regions=regions,
    )
    assert written(tmp_path, judged).decode() == (
        '"path","class_name","verdict","reason","pred_score","pred_label","threshold",'
        '"p_value","is_unknown","region_count","error","sha256","model","time"\r\n'
        '"a.png","bolt","ng","score",0.25,"true",-0.5,0.125,"false",2,"","f00","m","t"\r\n'
    )


def test_an_error_row_is_a_line_and_what_is_unknown_is_empty(tmp_path):
    bad = predicted(sha256=None, pred_score=None, error="'a.png' cannot be read")
    line = dict(zip(*cells(written(tmp_path, bad)), strict=True))
    assert line["error"] == "'a.png' cannot be read"
    assert {c for c in COLUMNS if line[c] == ""} == {
        "class_name",
        "pred_score",
        "pred_label",
        "threshold",
        "p_value",
        "is_unknown",
        "region_count",
        "sha256",
    }


def test_no_region_is_not_the_same_as_no_thresholds(tmp_path):
    _, uncalibrated, clean = cells(written(tmp_path, predicted(), predicted(regions=[])))
    count = COLUMNS.index("region_count")
    assert (uncalibrated[count], clean[count]) == ("", "0")


def test_every_scalar_of_the_json_row_has_its_column():
    assert {*COLUMNS} - {"region_count"} == {*predicted().row()} - {"regions"}


def test_every_line_is_on_disk_at_once(tmp_path):
    file = TableFile(tmp_path / "t.csv")
    for count in range(3):
        assert len(cells((tmp_path / "t.csv").read_bytes())) == 1 + count
        file.add(count, predicted())
    file.close()


@pytest.mark.parametrize("score", [-0.5, -1e-300, 1e300, 0.1 + 0.2, -0.0])
def test_numbers_stay_bare_and_exact(tmp_path, score):
    data = written(tmp_path, predicted(pred_score=score))
    cell = cells(data)[1][COLUMNS.index("pred_score")]
    assert float(cell) == score
    assert f",{cell},".encode() in data


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_one_cell_that_starts_with_a_quote(tmp_path, name):
    data = written(tmp_path, predicted(path=name, class_name=name, error=f"{name}: bad"))
    header, line = cells(data)
    assert len(header) == len(line) == len(COLUMNS)
    for delimiter in (",", ";", "\t"):
        for cell in (cell for row in cells(data, delimiter=delimiter) for cell in row):
            assert not is_formula(cell)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1", "'=1"),
        ("+1.png", "'+1.png"),
        ("-2.png", "'-2.png"),
        ("@A1", "'@A1"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        ("  =1", "'  =1"),
        ("'=1", "''=1"),
        ('"=1', "'\"=1"),
        ("\u201c\u201d\uff1d1", "'\u201c\u201d\uff1d1"),
        ("\ufeff\u200b=1", "'\ufeff\u200b=1"),
        ("\x00=1", "'\x00=1"),
        ("a;=1", "a;'=1"),
        ("a\n\n @1", "a\n\n' @1"),
        ("a\t-1;;+1", "a\t'-1;;'+1"),
        ("\n=1", "'\n'=1"),
    ],
)
def test_what_would_run_gets_a_single_quote(text, safe):
    assert csv_cell(text) == safe


@pytest.mark.parametrize(
    "text", ["", "a", "a=1", "1-2", "x@y", "/a/=b.png", "a\tb", "a;b", "'", " ", "名前", "(=1)"]
)
def test_what_is_harmless_stays_as_it_is(text):
    assert csv_cell(text) == text


@given(
    st.text(
        st.sampled_from("=+-@\t\r\n;,\"' \uff1d\uff20a1\u200b\udcff") | st.characters(codec=None)
    )
)
@example("".join(HOSTILE))
@settings(deadline=None, derandomize=True)
def test_no_text_becomes_a_formula_and_none_is_lost(tmp_path_factory, text):
    data = written(tmp_path_factory.mktemp("t"), predicted(path=text, class_name=text, error=text))
    (_, line) = cells(data)
    assert len(line) == len(COLUMNS)
    for delimiter in (",", ";", "\t"):
        for cell in (cell for row in cells(data, delimiter=delimiter) for cell in row):
            assert not is_formula(cell)
    shown = text.encode("utf-8", "backslashreplace").decode()
    assert line[0].replace("'", "") == shown.replace("'", "")  # only single quotes were added

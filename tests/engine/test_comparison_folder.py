"""A comparison on disk: every format, every drawing, nothing overwritten."""

import csv

import numpy as np
import pytest
from PIL import Image

from snlad.engine.compare import compare
from snlad.engine.comparison_folder import require_no_comparison, write_comparison
from snlad.engine.evaluated_run import EvaluatedRun
from snlad.engine.scored import ScoredPicture
from snlad.errors import UsageError
from snlad.metrics.scores import ScoreRow, ScoreTable
from snlad.report.comparison import format_markdown

NAMES = ["<script>x</script>.png", "=cmd|x.png", "\\input{x}.png", "a\nb|c.png", "\udcff.png"]


def content(names=NAMES) -> dict:
    """Every picture flips: all are NG in A and OK in B."""
    pictures = [
        ScoredPicture(
            path=name,
            sha256="5" * 64,
            class_name="=1+1",
            defect_type="@hole",
            is_anomalous=True,
            score=2.0,
        )
        for name in names
    ]
    table = ScoreTable("snlad-v1", {"=1+1": ScoreRow()}, ScoreRow())
    a, b = (EvaluatedRun(run, table, {"=1+1": x}, pictures) for run, x in (("a", 1.0), ("b", 3.0)))
    return compare(a, b).to_dict()


def strips(count: int = len(NAMES)):
    for number in range(count):
        yield np.full((4, 6, 3), number, np.uint8)


def test_every_format_and_a_picture_for_each_flip(tmp_path):
    out = tmp_path / "deep" / "out"
    write_comparison(out, content(), strips())
    assert sorted(path.name for path in out.iterdir()) == [
        "compare.csv",
        "compare.html",
        "compare.md",
        "compare.tex",
        "flips",
        "flips.csv",
    ]
    drawn = sorted((out / "flips").iterdir())
    assert [path.name for path in drawn] == [f"{number:04d}.png" for number in range(5)]
    for number, path in enumerate(drawn):
        with Image.open(path) as picture:
            assert (picture.size, picture.getpixel((0, 0))) == ((6, 4), (number,) * 3)
    assert (out / "compare.md").read_text(encoding="utf-8") == format_markdown(content())
    assert (out / "compare.html").read_text(encoding="utf-8").count("<img ") == 5
    assert r"\begin{tabular}" in (out / "compare.tex").read_text(encoding="utf-8")


def test_hostile_names_are_harmless_in_every_file(tmp_path):
    write_comparison(tmp_path, content())
    page, tex = ((tmp_path / f"compare.{kind}").read_text("utf-8") for kind in ("html", "tex"))
    assert "<script" not in page
    assert "\\input" not in tex
    for name in ("compare.csv", "flips.csv"):
        with (tmp_path / name).open(encoding="utf-8", newline="") as file:
            for line in csv.reader(file):
                assert not [cell for cell in line if cell.startswith(("=", "+", "@", "\t"))]
    with (tmp_path / "flips.csv").open(encoding="utf-8", newline="") as file:
        paths = [line["path"] for line in csv.DictReader(file)]
    assert sorted(paths) == sorted(["'" + NAMES[1], "\\udcff.png", NAMES[0], NAMES[2], NAMES[3]])


def test_without_drawings_there_is_no_folder_for_them(tmp_path):
    write_comparison(tmp_path, content())
    assert not (tmp_path / "flips").exists()
    assert "<img" not in (tmp_path / "compare.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["compare.md", "compare.csv", "compare.tex", "compare.html", "flips.csv", "flips"]
)
def test_nothing_is_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name} exists; give another --out"):
        write_comparison(tmp_path, content(), strips())
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_with_other_things_and_one_that_is_not_there_will_do(tmp_path):
    (tmp_path / "notes.txt").touch()
    require_no_comparison(tmp_path)
    require_no_comparison(tmp_path / "absent")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(UsageError, match="is a file; give a folder"):
        write_comparison(tmp_path / "out", content())

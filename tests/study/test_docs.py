"""docs/study.md: every key and every field is there, and its example is a study."""

import re
import tomllib
from pathlib import Path

import pytest

from snlad.study.plan import Study, Trial, make_study
from snlad.study.rows import read_rows
from snlad.study.run import run_study

TEXT = (Path(__file__).parents[2] / "docs" / "study.md").read_text()
NAMED = set(re.findall(r"`\[*([a-z_]+)\]*`", TEXT))


@pytest.mark.parametrize("model", [Study, Trial])
def test_every_key_is_documented(model):
    assert set(model.model_fields) - {"folder", "trials"} <= NAMED


def test_every_field_of_a_row_is_documented(tiny_study, tmp_path):
    run_study(tiny_study(), tmp_path / "rows.jsonl")
    (row,) = read_rows(tmp_path / "rows.jsonl")
    table = TEXT[TEXT.index("## A row") : TEXT.index("## Tables")]
    first_cells = " ".join(line.split("|")[1] for line in table.splitlines() if "|" in line)
    assert set(re.findall(r"`(\w+)`", first_cells)) == set(row)


def test_the_example_is_a_study_of_as_many_runs_as_it_says():
    example = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)[1]
    assert len(make_study({"title": "t", **tomllib.loads(example)}).runs()) == 24
    assert "24 runs" in TEXT

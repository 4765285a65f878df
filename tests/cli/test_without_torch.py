"""The base install: what needs no torch works without it, the rest says what to install."""

from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "configs" / "studies" / "example.toml"


@pytest.mark.parametrize(
    "words",
    [
        ["train", "{data}", "--out", "{tmp}/run"],
        ["evaluate", "{run}", "{data}"],
        ["predict", "{run}", "{data}", "--out", "{tmp}/out"],
        ["report", "{run}"],
        ["probe", "{run}", "{data}"],
        ["study", "{plan}", "--data", "{data}", "--rows", "{tmp}/rows.jsonl"],
        ["weights", "import", "{tmp}/x.pth"],
    ],
)
def test_a_verb_that_needs_torch_prints_the_install_line(
    words, trained_run, shared_data, tmp_path, snlad_without_torch
):
    places = {"data": shared_data, "run": trained_run, "tmp": tmp_path, "plan": EXAMPLE}
    done = snlad_without_torch(*(word.format(**places) for word in words))
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        f"snlad: snlad {words[0]} needs the extra 'train': run  pip install 'snlad[train]'"
    )


def test_a_data_set_can_be_checked_without_torch(shared_data, snlad_without_torch):
    done = snlad_without_torch("data", "check", shared_data)
    assert done.returncode == 0, done.stderr
    assert "grey" in done.stdout


def test_maps_of_another_method_are_scored_without_torch(
    shared_data, tmp_path, snlad_without_torch
):
    for path in shared_data.glob("*/test/*/*.png"):
        file = tmp_path / path.relative_to(shared_data).with_suffix(".npy")
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.zeros((8, 8)))
    done = snlad_without_torch("evaluate", "--maps", tmp_path, shared_data)
    assert done.returncode == 0, done.stderr
    assert "0.500" in done.stdout


def test_the_runs_of_a_study_can_be_listed_without_torch(
    shared_data, tmp_path, snlad_without_torch
):
    done = snlad_without_torch(
        "study", EXAMPLE, "--data", shared_data, "--rows", tmp_path / "r.jsonl", "--list"
    )
    assert done.returncode == 0, done.stderr
    assert "0 of 8 runs" in done.stdout

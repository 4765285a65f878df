"""``snlad compare`` end to end: exit codes, both sources of numbers, all outputs, no network."""

import csv
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_TORCH = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "timm", "sklearn", "matplotlib"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
from snlad.cli.app import main
main()
"""


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch):
    """Any attempt to reach a network fails the test."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def evaluated(judged_runs, shared_data, tmp_path_factory) -> tuple[Path, Path]:
    """Copies of the two runs, each with its evaluation; 4 verdicts flip. Read only."""
    from snlad.data.opening import open_dataset
    from snlad.engine.evaluate import evaluate
    from snlad.predict import load

    folder = tmp_path_factory.mktemp("evaluated")
    runs = tuple(shutil.copytree(run, folder / run.name) for run in judged_runs)
    for run in runs:
        evaluate(load(run), open_dataset(shared_data)).save(run)
    return runs


def test_stored_evaluations_are_compared(snlad, evaluated):
    code, shown, error = snlad("compare", *evaluated)
    assert (code, error) == (0, "")
    assert shown.startswith("# Comparison: B against A\n")
    assert "## Flipped pictures: 4" in shown
    assert f"A: {evaluated[0]}" in shown.replace("\\", "")


def test_json_is_the_whole_comparison_and_agrees_with_the_scores(snlad, evaluated):
    code, shown, _ = snlad("compare", *evaluated, "--json")
    found = json.loads(shown)
    assert code == 0
    for name, run in zip("ab", evaluated, strict=True):
        scores = json.loads((run / "scores.json").read_text())
        assert found[name]["classes"] == scores["classes"]
        assert found[name]["thresholds"] == scores["thresholds"]
        assert found["data"] == scores["data"]
    assert len(found["flips"]) == 4
    assert shown.endswith("}\n")


def test_a_run_against_itself_shows_no_change(snlad, evaluated):
    code, shown, _ = snlad("compare", evaluated[0], evaluated[0], "--json", "--max-flips", "0")
    found = json.loads(shown)
    assert (code, found["flips"]) == (0, [])
    assert set(found["differences"]["pooled"].values()) == {0.0}
    assert found["intervals"]["mean"]["image_auroc"] == [0.0, 0.0]


@pytest.mark.parametrize(("limit", "expected"), [(0, 1), (3, 1), (4, 0), (5, 0)])
def test_the_gate_opens_at_the_number_of_flips(snlad, evaluated, limit, expected):
    code, shown, error = snlad("compare", *evaluated, "--max-flips", str(limit))
    assert code == expected
    assert "## Flipped pictures: 4" in shown
    said = f"snlad: 4 verdicts flip, more than --max-flips {limit}\n"
    assert error == (said if expected else "")


def test_both_models_are_evaluated_anew_on_data_and_maps_are_drawn(
    snlad, judged_runs, shared_data, tmp_path
):
    before = [sorted(run.rglob("*")) for run in judged_runs]
    out = tmp_path / "out"
    words = ["--data", shared_data, "--out", out, "--max-flips", "3", "--quiet"]
    code, shown, error = snlad("compare", *judged_runs, *words)
    assert code == 1
    assert "snlad: 4 verdicts flip, more than --max-flips 3" in error
    assert (out / "compare.md").read_text() == shown
    assert len(list((out / "flips").glob("*.png"))) == 4
    assert (out / "compare.html").read_text().count('src="data:image/png;base64,') == 4
    with (out / "flips.csv").open(newline="") as file:
        assert [line["class_name"] for line in csv.DictReader(file)] == ["grey"] * 4
    assert [sorted(run.rglob("*")) for run in judged_runs] == before


def test_data_gives_the_numbers_of_stored_evaluations(snlad, evaluated, shared_data):
    _, stored, _ = snlad("compare", *evaluated, "--json")
    _, anew, _ = snlad("compare", *evaluated, "--json", "--data", shared_data)
    assert json.loads(stored) == json.loads(anew)


def test_without_data_nothing_is_drawn(snlad, evaluated, tmp_path):
    assert snlad("compare", *evaluated, "--out", tmp_path / "out")[0] == 0
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [
        *(".csv", ".csv", ".html", ".md", ".tex")
    ]


def test_a_comparison_is_never_overwritten(snlad, evaluated, tmp_path):
    (tmp_path / "compare.md").write_text("mine")
    code, shown, error = snlad("compare", *evaluated, "--out", tmp_path)
    assert (code, shown) == (2, "")
    assert "compare.md exists; give another --out" in error
    assert [path.name for path in tmp_path.iterdir()] == ["compare.md"]


def test_no_drawing_lands_in_the_data_set(snlad, judged_runs, tiny_data):
    words = ["--data", tiny_data, "--out", tiny_data / "grey" / "compared"]
    code, _, error = snlad("compare", *judged_runs, *words)
    assert code == 2
    assert "lies inside the data set" in error
    assert not (tiny_data / "grey" / "compared").exists()


def test_a_run_without_an_evaluation_says_how_to_make_one(snlad, evaluated, judged_runs):
    code, _, error = snlad("compare", evaluated[0], judged_runs[1])
    assert code == 2
    assert f"{judged_runs[1]} holds no evaluation; make one with  snlad evaluate" in error
    assert "Traceback" not in error


def test_other_data_is_refused(snlad, evaluated, judged_runs, tiny_data, tmp_path):
    other = shutil.copytree(judged_runs[1], tmp_path / "other")
    (tiny_data / "grey/test/spot").rename(tiny_data / "grey/test/stain")
    snlad("evaluate", other, tiny_data)
    code, shown, error = snlad("compare", evaluated[0], other, "--out", tmp_path / "out")
    assert (code, shown) == (2, "")
    assert "were evaluated on different data" in error
    assert "give  --data DATA" in error
    assert not (tmp_path / "out").exists()
    assert snlad("compare", evaluated[0], other, "--data", tiny_data)[0] == 0


def test_a_damaged_evaluation_is_refused(snlad, evaluated, tmp_path):
    run = shutil.copytree(evaluated[1], tmp_path / "run")
    scores = json.loads((run / "scores.json").read_text())
    for changed in ({"thresholds": {"dark": 0.0}}, {"classes": 7}, {"protocol": 1}):
        (run / "scores.json").write_text(json.dumps(scores | changed))
        code, _, error = snlad("compare", evaluated[0], run)
        assert code == 2
        assert error.startswith("snlad: ")
        assert len(error.splitlines()) == 1


@pytest.mark.parametrize("source", ["stored", "data"])
def test_a_limit_without_thresholds_is_wrong_use_and_without_a_limit_a_note(
    snlad, evaluated, trained_run, shared_data, tmp_path, source
):
    bare = shutil.copytree(trained_run, tmp_path / "bare")
    words = ["--data", shared_data] if source == "data" else []
    if source == "stored":
        snlad("evaluate", bare, shared_data)
    code, shown, error = snlad("compare", bare, evaluated[1], *words, "--max-flips", "9")
    assert (code, shown) == (2, "")
    assert f"--max-flips counts verdicts and {bare} has no thresholds" in error
    code, shown, _ = snlad("compare", bare, evaluated[1], *words)
    assert code == 0
    assert "Cannot be told: no thresholds in A." in shown


def test_a_limit_below_zero_is_wrong_use(snlad, evaluated):
    code, _, error = snlad("compare", *evaluated, "--max-flips", "-1")
    assert code == 2
    assert "--max-flips" in error


def test_a_left_out_picture_makes_exit_code_1(snlad, judged_runs, tiny_data):
    (tiny_data / "dark" / "test" / "good" / "0.png").write_bytes(b"")
    words = ["--data", tiny_data, "--json", "--max-flips", "9"]
    code, shown, error = snlad("compare", *judged_runs, *words)
    assert code == 1
    assert json.loads(shown)["pictures"] == 7
    assert error.count("note: left out: ") == 1


@pytest.mark.parametrize("name", ["a|b_c", "=cmd", "$x$", "[a](b)"])
def test_hostile_run_names_stay_text(snlad, evaluated, tmp_path, name):
    run = shutil.copytree(evaluated[0], tmp_path / name)
    code, shown, _ = snlad("compare", run, run, "--out", tmp_path / "out")
    assert code == 0
    (line,) = (line for line in shown.splitlines() if line.startswith("A: "))
    assert line.replace("\\", "").endswith(name)
    for kind in "|$[":
        assert line.count(kind) == line.count(f"\\{kind}")


def test_stored_evaluations_are_compared_without_torch(evaluated, tmp_path, shared_data):
    words = ["compare", *map(str, evaluated), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-c", WITHOUT_TORCH]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "compare.html").exists()
    words = [*words[:3], "--data", str(shared_data)]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'snlad[train]'" in done.stderr

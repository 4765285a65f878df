"""``snlad study`` from the command line: what is shown, what is written, and each exit code."""

import json

import pytest

PLAN = """
data = "{data}"
seeds = [0, 1]
baseline = "rd"
[settings]
image_size = [64, 64]
teacher = {{ name = "test_efficientnet", weights = "random" }}
cram = {{ centers = 4 }}
train = {{ steps = 2, batch_size = 4 }}
[[trials]]
name = "rd"
method = "rd"
[[trials]]
name = "snl"
"""


@pytest.fixture
def plan(tmp_path, shared_data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "plans" / "methods.toml"
    path.parent.mkdir()
    path.write_text(PLAN.format(data=shared_data))
    return path


def test_a_list_runs_and_writes_nothing(snlad, plan, measured, tmp_path):
    code, text, _ = snlad("study", plan, "--list")
    assert code == 0
    assert text.splitlines() == [
        *("missing rd, seed 0", "missing snl, seed 0", "missing rd, seed 1", "missing snl, seed 1"),
        "0 of 4 runs are in results/methods.jsonl",
    ]
    assert measured == []
    assert not (tmp_path / "results").exists()


def test_a_study_runs_what_is_missing_and_writes_tables(snlad, plan, measured, tmp_path):
    code, text, _ = snlad("study", plan, "--only", "rd", "--seeds", 1, "--quiet")
    assert code == 0
    assert text.startswith("1 runs finished, 0 failed: results/methods.jsonl\n# methods\n")
    assert "1 of 4 runs are finished" in text
    code, text, _ = snlad("study", plan, "--tables", "shown", "--quiet")
    assert code == 0
    assert measured == ["rd, seed 1", "rd, seed 0", "snl, seed 0", "snl, seed 1"]
    assert "## Differences to the baseline" in text
    assert "By class" not in text
    assert text.endswith("tables and plots: shown\n")
    assert "## By class, AUPRO" in (tmp_path / "shown/study.md").read_text()
    assert (tmp_path / "results/methods/study.md").exists()  # of the first call
    code, text, _ = snlad("study", plan, "--list", "--rows", "results/methods.jsonl")
    assert text.endswith("4 of 4 runs are in results/methods.jsonl\n")
    assert len(measured) == 4


def test_failed_runs_make_exit_code_1_and_are_listed(snlad, plan, measured):
    from snlad.errors import WeightsError

    def fail(title):
        if title == "snl, seed 0":
            raise WeightsError("no weights; get some")

    measured.then = fail
    code, text, error = snlad("study", plan, "--quiet")
    assert code == 1
    assert "3 runs finished, 1 failed" in text
    assert "no weights; get some" in text
    assert error.endswith("snlad: 1 runs failed; the same command tries them again\n")
    assert "failed  snl, seed 0" in snlad("study", plan, "--list")[1]


def test_a_stop_makes_exit_code_130_and_one_sentence(snlad, plan, measured):
    def stop(title):
        if title == "snl, seed 0":
            raise KeyboardInterrupt

    measured.then = stop
    code, _, error = snlad("study", plan, "--quiet")
    assert code == 130
    assert error.splitlines()[-1].startswith("snlad: stopped in the run snl, seed 0; finished rows")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["absent.toml"], "absent.toml"),
        (["{plan}", "--only", "fd"], "it has rd, snl"),
        (["{plan}", "--seeds", "7"], "--seeds 7"),
        (["{plan}", "--data", "absent"], "absent"),
        (["{plan}", "--device", "abacus"], "--device abacus"),
    ],
)
def test_wrong_use_is_one_sentence(snlad, plan, words, hint):
    code, _, error = snlad("study", *(word.format(plan=plan) for word in words))
    assert code == 2
    assert error.count("\n") == 1
    assert hint in error


def test_a_real_study_keeps_features_and_students_for_the_next(snlad, plan, tmp_path):
    words = ("study", plan, "--memory", "memory", "--only", "rd", "--seeds", 0, "--quiet")
    assert snlad(*words)[0] == 0
    kept = list((tmp_path / "memory" / "features").rglob("*.safetensors"))
    assert len(kept) == 18  # 10 to train, 8 to test
    assert snlad(*words, "--rows", "other.jsonl")[0] == 0
    (row,) = map(json.loads, (tmp_path / "other.jsonl").read_text().splitlines())
    assert row["train_features"] == 0

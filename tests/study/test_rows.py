"""Rows on disk: none is lost, none is torn, whoever else writes and whenever the machine stops."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snlad.errors import ArtifactError
from snlad.study.rows import append_row, claim, failed, finished, read_rows

WRITER = """
import sys
from pathlib import Path
from snlad.study.rows import append_row
for i in range(100):
    append_row(Path(sys.argv[1]), {"key": f"{sys.argv[2]} {i}", "filling": "x" * 3000})
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results" / "rows.jsonl"


def test_there_are_no_rows_before_the_first(path):
    assert read_rows(path) == []


def test_rows_come_back_in_their_order(path):
    rows = [{"key": "a", "x": 1.5}, {"key": "b", "name": "ø\n\u2028"}, {"key": "c", "none": None}]
    for row in rows:
        append_row(path, row)
    assert read_rows(path) == rows
    assert path.read_bytes().count(b"\n") == 3


@given(st.integers(0, 60))
@settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_file_cut_anywhere_keeps_its_whole_rows_and_takes_new_ones(path, cut):
    path.parent.mkdir(exist_ok=True)
    text = "".join(json.dumps({"key": f"{i}", "name": "é"}) + "\n" for i in range(2)).encode()
    path.write_bytes(text[:cut])
    whole = text[:cut].count(b"\n")
    assert [row["key"] for row in read_rows(path)] == ["0", "1"][:whole]
    append_row(path, {"key": "new"})
    assert [row["key"] for row in read_rows(path)] == [*["0", "1"][:whole], "new"]
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


@pytest.mark.parametrize("line", [b"{", b"3", b"[]", b'{"x": 1}', b"\xff", b"null"])
def test_a_line_that_is_no_row_is_named(path, line):
    append_row(path, {"key": "a"})
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(ArtifactError, match=r"rows\.jsonl, line 2, is no row of a study"):
        read_rows(path)


def test_a_value_that_json_cannot_hold_leaves_the_file_as_it_was(path):
    append_row(path, {"key": "a"})
    with pytest.raises(ValueError, match="JSON"):
        append_row(path, {"key": "b", "x": float("nan")})
    assert read_rows(path) == [{"key": "a"}]


def test_two_processes_append_whole_rows(path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("a", "b")
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    keys = [row["key"] for row in read_rows(path)]
    assert sorted(keys) == sorted(f"{name} {i}" for name in "ab" for i in range(100))
    for name in "ab":
        assert [key for key in keys if key[0] == name] == [f"{name} {i}" for i in range(100)]


def test_of_equal_runs_the_first_finished_and_the_last_failed_row_counts():
    rows = [
        {"key": "a", "error": "x"},
        {"key": "a", "n": 1},
        {"key": "a", "n": 2},
        {"key": "b", "error": "x"},
        {"key": "b", "error": "y"},
        {"key": "a", "error": "late"},
    ]
    assert finished(rows) == {"a": {"key": "a", "n": 1}}
    assert failed(iter(rows)) == {"b": {"key": "b", "error": "y"}}


HOLDER = """
import sys
from pathlib import Path
from snlad.study.rows import claim
with claim(Path(sys.argv[1])) as is_mine:
    print(is_mine, flush=True)
    sys.stdin.read()
"""


def test_a_claim_holds_until_its_process_is_gone_however_it_goes(tmp_path):
    lock = tmp_path / "runs" / "key.lock"
    command = [sys.executable, "-c", HOLDER, str(lock)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as other:
        assert other.stdout.readline() == "True\n"
        with claim(lock) as is_mine:
            assert not is_mine
        with claim(lock.with_name("another.lock")) as is_mine:
            assert is_mine
        other.kill()
        other.wait()
        with claim(lock) as is_mine:
            assert is_mine


def test_a_claim_outlives_the_removal_of_its_empty_folder(tmp_path, monkeypatch):
    lock, calls = tmp_path / "runs" / "key.lock", []
    mkdir = Path.mkdir

    def removed_at_once(path, **options):
        mkdir(path, **options)
        calls.append(path)
        if len(calls) < 3:
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", removed_at_once)
    with claim(lock) as is_mine:
        assert is_mine
    assert len(calls) == 3

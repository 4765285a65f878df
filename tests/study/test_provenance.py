"""Where a row says its code comes from: the commit, a plus for other files, nothing elsewhere."""

import subprocess

import pytest

import snlad
from snlad.sections import TrainConfig
from snlad.study.provenance import describe_origin, find_commit, peak_mib


def git(folder, *words):
    names = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    command = ["git", *names, "-C", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("a = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "a")
    return tmp_path


@pytest.fixture(autouse=True)
def _asked_anew():
    find_commit.cache_clear()
    yield
    find_commit.cache_clear()


def test_a_clean_checkout_has_its_commit(checkout):
    (checkout / "notes.txt").write_text("beside the code")
    assert find_commit(checkout) == git(checkout, "rev-parse", "--short", "HEAD")


def test_changed_or_new_code_has_a_plus(checkout):
    (checkout / "src" / "b.py").write_text("b = 2\n")
    assert find_commit(checkout) == git(checkout, "rev-parse", "--short", "HEAD") + "+"


def test_a_commit_of_later_is_not_the_code_that_runs(checkout):
    before = find_commit(checkout)
    git(checkout, "commit", "-qm", "b", "--allow-empty")
    assert find_commit(checkout) == before


def test_an_installed_package_has_no_commit(tmp_path):
    assert find_commit(tmp_path) is None


def test_without_git_there_is_no_commit(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert find_commit(checkout) is None


def test_a_repository_without_a_commit_has_none(tmp_path):
    git(tmp_path, "init", "-q")
    assert find_commit(tmp_path) is None


def test_the_origin_names_version_and_hardware():
    origin = describe_origin("cpu", TrainConfig(precision="float32"))
    assert origin["snlad"] == snlad.__version__
    assert origin["hardware"]["device"] == "cpu"
    assert origin["hardware"]["precision"] == "float32"
    assert set(origin) == {"snlad", "commit", "torch", "hardware"}


def test_the_peak_is_a_size_of_this_process():
    assert 100 < peak_mib() < 100_000
    assert peak_mib() <= peak_mib()

"""The run folder: opened once, resumed only as itself, its log cut where training goes on."""

import json

import pytest

from snlad.config import make_config
from snlad.engine import rundir
from snlad.engine.rundir import RunFolder, write_json
from snlad.errors import ArtifactError, ConfigError, DataError, TrainingError, UsageError


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "a" / "run")
    folder.start(make_config("rd"), {"device": "cpu"}, resume=False)
    return folder


def test_a_new_run_records_config_versions_and_hardware(run):
    assert json.loads(run.config_file.read_text()) == make_config("rd").model_dump(mode="json")
    versions = json.loads((run.path / "versions.json").read_text())
    assert versions["device"] == "cpu"
    assert {"snlad", "python", "torch", "timm", "numpy", "platform", "cores"} <= versions.keys()


def test_a_missing_package_is_recorded_as_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(rundir, "_PACKAGES", ("no-such-package",))
    RunFolder(tmp_path / "r").start(make_config("rd"), {}, resume=False)
    assert json.loads((tmp_path / "r" / "versions.json").read_text())["no-such-package"] == "absent"


def test_a_second_start_is_refused_and_a_resume_is_not(run):
    with pytest.raises(UsageError, match="add --resume"):
        run.start(make_config("rd"), {}, resume=False)
    run.start(make_config("rd"), {}, resume=True)


def test_a_resume_names_every_section_that_changed(run):
    with pytest.raises(ConfigError, match="seed, train"):
        run.start(make_config("rd", seed=4, train={"batch_size": 2}), {}, resume=True)


def test_rows_come_back_as_they_were_written(run):
    rows = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]
    for row in rows:
        run.append_log(row)
    assert run.read_log() == rows


def test_a_run_without_a_log_has_no_rows(run):
    assert run.read_log() == []


def test_a_line_cut_off_by_a_crash_is_left_out(run):
    run.append_log({"step": 1})
    with run.log_file.open("a") as file:
        file.write('{"step": 2, "lo')
    assert run.read_log() == [{"step": 1}]


def test_rewinding_drops_what_will_be_written_again(run):
    for step in (10, 20, 30):
        run.append_log({"step": step})
    run.rewind_log(20)
    assert [row["step"] for row in run.read_log()] == [10, 20]
    run.append_log({"step": 30})
    assert [row["step"] for row in run.read_log()] == [10, 20, 30]


def test_a_value_that_is_no_json_number_never_enters_a_file(run, tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        run.append_log({"loss": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("inf")})
    assert not (tmp_path / "x.json").exists()


def test_a_damaged_configuration_or_log_is_one_sentence(run):
    run.config_file.write_text("{")
    with pytest.raises(ArtifactError, match=r"config\.json is damaged"):
        run.start(make_config("rd"), {}, resume=True)
    run.log_file.write_text('{"step": 1}\nno json\n{"step": 2}\n')
    with pytest.raises(ArtifactError, match=r"log\.jsonl is damaged"):
        run.read_log()


def test_a_run_inside_its_data_is_refused(tmp_path):
    with pytest.raises(UsageError, match="lies inside the data set"):
        RunFolder(tmp_path / "data" / "run").require_outside(tmp_path / "data")
    RunFolder(tmp_path / "data run").require_outside(tmp_path / "data")


def test_an_error_before_the_first_step_leaves_no_run(tmp_path):
    new = RunFolder(tmp_path / "run")
    new.start(make_config("rd"), {}, resume=False)
    with pytest.raises(DataError), new.forgotten_on_error(unless=False):
        raise DataError("bad")
    assert not new.path.exists()


@pytest.mark.parametrize(
    ("error", "resume"), [(TrainingError("stop", interrupted=True), False), (DataError("x"), True)]
)
def test_what_can_be_resumed_stays(run, error, resume):
    with pytest.raises(type(error)), run.forgotten_on_error(unless=resume):
        raise error
    assert run.config_file.exists()

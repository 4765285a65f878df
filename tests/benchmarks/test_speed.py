"""The speed benchmark: turns, rows, ratios and tables of made-up speeds; each subject, tiny."""

import importlib
import io
import json
import sys
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from snlad.build import build_detector
from snlad.config import make_config

MACHINE = {
    "processor": "a processor",
    "instructions": ["avx2"],
    "torch_instructions": "AVX2",
    "fast_bfloat16": False,
    "cores": 2,
    "threads": 2,
    "memory_gib": 8.0,
    "system": "Linux",
    "versions": {"python": "3.11", "torch": "2.7"},
}


@pytest.fixture
def speed(load_benchmark, monkeypatch):
    module = load_benchmark("speed")
    monkeypatch.setattr(module, "describe_machine", lambda _: MACHINE)
    return module


@pytest.fixture
def part(speed):
    """A module beside it, by the rest of its name."""
    return lambda name: importlib.import_module(f"speed_{name}")


class Stub:
    """A subject whose calls take what is said."""

    def __init__(self, seconds=0.1, about=None, dies_after=None, log=None, name=""):
        self.seconds, self.about = seconds, about or {"ready": True}
        self.dies_after, self.log, self.name = dies_after, log, name
        self.turns, self.closed = 0, False

    def turn(self, batch, seconds):
        del seconds
        self.turns += 1
        if self.log is not None:
            self.log.append((self.name, batch))
        if self.dies_after is not None and self.turns > self.dies_after:
            return {"reason": "it died", "failed": True}
        return {"seconds": [batch * self.seconds] * 2, "peak_mib": 100.0 + batch}

    def close(self):
        self.closed = True


@pytest.fixture
def subject(part):
    return part("list").Subject(name="a", task="inference", architecture="default")


# Turns.


def test_every_subject_has_its_turn_in_every_round_and_the_order_moves_on(part, subject):
    log = []
    subjects = [replace(subject, name=name) for name in "abc"]
    part("rounds").measure(subjects, lambda s: Stub(log=log, name=s.name), seconds=0, least=3)
    assert "".join(name for name, _ in log) == "abcbcacab"


def test_each_batch_has_turns_of_its_own(part, subject):
    log = []
    (found,) = part("rounds").measure(
        [replace(subject, batches=(1, 4))], lambda _: Stub(log=log), seconds=0, least=2
    )
    assert [batch for _, batch in log] == [1, 4, 1, 4]
    assert found["batches"].keys() == {"1", "4"}
    assert [one["peak_mib"] for one in found["batches"].values()] == [101, 104]


def test_rounds_go_on_while_there_is_time_and_end_at_the_most(part, subject):
    stub = Stub()
    part("rounds").measure([subject], lambda _: stub, seconds=60, least=1)
    assert stub.turns == part("rounds").MOST_ROUNDS


def test_who_dies_is_a_reason_and_the_others_go_on(part, subject):
    stubs = {"a": Stub(dies_after=1), "b": Stub(), "c": Stub(about={"reason": "not here"})}
    subjects = [replace(subject, name=name) for name in stubs]
    dead, well, absent = part("rounds").measure(
        subjects, lambda s: stubs[s.name], seconds=0, least=3
    )
    assert dead == {"reason": "it died", "failed": True}
    assert absent == {"reason": "not here"}
    assert well["batches"]["1"]["rounds"] == 3
    assert [stub.turns for stub in stubs.values()] == [2, 3, 0]
    assert all(stub.closed for stub in stubs.values())


def test_speeds_are_of_rounds_and_times_of_calls(part):
    found = part("rounds").summary(2, [[0.1, 0.3], [0.2], [0.5, 0.5]])
    assert found["images_per_s"] == pytest.approx({"median": 10, "low": 4, "high": 10})
    assert found["ms"] == pytest.approx({"p50": 300, "p95": 500})
    assert (found["rounds"], found["calls"]) == (3, 5)


# The worker's side.


@pytest.fixture
def talk(part):
    """Commands to a worker and what it answers."""

    def run(work, *turns):
        answers = io.StringIO()
        lines = [json.dumps({"batch": batch, "seconds": s}) + "\n" for batch, s in turns]
        with pytest.raises(SystemExit):
            work(part("worker").Turns(lines, answers))
        return [json.loads(line) for line in answers.getvalue().splitlines()]

    return run


def test_the_first_call_of_a_turn_is_not_counted_unless_it_is_long(part, talk, monkeypatch):
    worker, calls = part("worker"), []
    clock = iter(np.arange(0, 100, 0.25))
    monkeypatch.setattr(worker.time, "perf_counter", lambda: float(next(clock)))
    (short,) = talk(lambda turns: worker.serve(calls.append, turns), (3, 0.5))
    assert calls == [3, 3, 3]
    assert short["seconds"] == [0.25, 0.25]
    assert short["peak_mib"] > 10

    calls.clear()
    clock = iter(np.arange(0, 100, 2.0))
    first, second = talk(lambda turns: worker.serve(calls.append, turns), (1, 0.5), (1, 0.5))
    assert first["seconds"] == second["seconds"] == [2.0]
    assert len(calls) == 3


def test_a_training_stands_still_between_turns(part, talk, monkeypatch):
    worker = part("worker")
    clock = iter([0, 1, 3, 10, 20, 20.5, 20.5, 21, 30, 31.5, 40.0])
    monkeypatch.setattr(worker.time, "perf_counter", lambda: float(next(clock)))

    def work(turns):
        steps = worker.PausedSteps(turns, lambda s: turns.say(ready=True, before=s.rates))
        steps("reading pictures", 16, 64)  # at 1
        steps("reading pictures", 64, 64)  # at 3
        for step in range(1, 10):
            steps("training", step, 100)

    ready, first, second = talk(work, (4, 1.0), (4, 1.0))
    assert ready["before"] == {"reading pictures": 24.0}
    assert first["seconds"] == [0.5, 0.5]  # the first step only warms up
    assert second["seconds"] == [1.5]


def test_a_worker_process_answers_and_ends(part, speed, shared_data, tmp_path):
    rounds, names = part("rounds"), part("list")
    job = {
        "subject": asdict(names.peaks("default", "inference")[0]),
        "settings": make_config().model_dump(mode="json"),
        "models": str(tmp_path),
        "data": str(shared_data),
        "paths": [],
    }
    worker = rounds.Worker(job, part("start").environment("native"), tmp_path / "log")
    try:
        assert worker.about["flops"] == 2 * 3072**3, (tmp_path / "log").read_text()
        answer = worker.turn(1, 0.0)
        assert len(answer["seconds"]) == 1
        assert answer["peak_mib"] > 100
        worker._process.kill()
        worker._process.wait()
        assert "the process ended" in worker.turn(1, 0.0)["reason"]
    finally:
        worker.close()


def test_a_worker_that_breaks_says_why(part, tmp_path, monkeypatch):
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no memory left')")
    monkeypatch.setattr(part("rounds"), "WORKER", script)
    worker = part("rounds").Worker({}, {"PATH": ""}, tmp_path / "log")
    worker.close()
    assert worker.about["failed"]
    assert "no memory left" in worker.about["reason"]


# Rows.


@pytest.fixture
def counted(speed, monkeypatch, part):
    """Without processes and models: what would be started, and made-up speeds."""
    speed.started, speed.broken = [], set()

    def start(subject, session, column, machine):
        del session, machine
        speed.started.append((subject.task, subject.name, column))
        if subject.name in speed.broken:
            return Stub(about={"reason": "broken", "failed": True})
        return Stub(about={"flops": 1e9, "start_s": 1.0})

    monkeypatch.setattr(speed, "start_subject", start)
    monkeypatch.setattr(speed, "make_models", lambda *_: None)
    monkeypatch.setattr(part("rounds"), "_PAUSE_S", 0)
    monkeypatch.setattr(
        speed.speed_commands, "run_once", lambda *_: {"seconds": 600, "peak_mib": 5000}
    )
    return speed


@pytest.fixture
def asked(shared_data, tmp_path):
    return Namespace(
        data=shared_data,
        rows=tmp_path / "results" / "speed.jsonl",
        config=None,
        groups=["resnet18"],
        columns=["native", "AVX2"],
        seconds=0.0,
        models=None,
        whole=False,
        quick=False,
    )


def test_a_group_with_rows_is_not_measured_again_unless_something_failed(counted, asked):
    counted.broken = {"anomalib RD"}
    counted.run_all(asked)
    tasks = {(task, column) for task, _, column in counted.started}
    assert tasks == {(t, c) for t in ("training", "inference") for c in ("native", "AVX2")}
    first = len(counted.started)
    rows = counted.read_rows(asked.rows)
    assert len(rows) == first
    assert {"key", "machine", "commit", "code", "date", "load", "pictures"} <= rows[0].keys()

    counted.broken = set()
    counted.run_all(asked)
    assert len(counted.started) == 2 * first
    counted.run_all(asked)
    assert len(counted.started) == 2 * first
    assert "broken" not in counted.format_tables(counted.read_rows(asked.rows))


def test_the_default_recipe_also_starts_and_the_whole_training_is_asked_for(counted, asked):
    asked.groups, asked.columns, asked.whole = ["default"], ["native"], True
    counted.run_all(asked)
    assert {task for task, *_ in counted.started} == {"start", "training", "inference"}
    counted.run_all(asked)
    rows = counted.read_rows(asked.rows)
    assert sum(row["group"] == "whole training" for row in rows) == 1
    shown = counted.format_tables(rows)
    assert "| whole training, minutes | <= 15 | 10 (met) | - |" in shown
    assert "whole training, 10 pictures: 10.0 minutes, 5000 MiB." in shown


def test_a_smoke_test_is_no_measurement(counted, asked):
    asked.quick = True
    counted.run_all(asked)
    assert "these numbers are no measurements" in counted.format_tables(
        counted.read_rows(asked.rows)
    )


def test_the_command_line_runs_and_prints(counted, asked, monkeypatch, capsys):
    words = ["run", str(asked.data), "--rows", str(asked.rows), "--groups", "wide_resnet50_2"]
    monkeypatch.setattr("sys.argv", ["speed.py", *words, "--columns", "native", "--quick"])
    counted.main()
    assert {name for _, name, _ in counted.started} >= {"snlad", "anomalib RD", "matrix product"}
    monkeypatch.setattr("sys.argv", ["speed.py", "table", str(asked.rows)])
    counted.main()
    assert "wide_resnet50_2 inference:" in capsys.readouterr().out


# What is measured.


def test_groups_hold_each_subject_once_and_the_peak_beside_it(part):
    for name, subjects in part("list").groups().items():
        assert len(set(subjects)) == len(subjects), name
        assert sum(s.name == "matrix product" for s in subjects) == 3
        assert {f"{s.architecture} {s.task}" for s in subjects} == {name}


def test_what_a_column_cannot_have_needs_no_try(part, subject):
    names = part("list")
    onnx = replace(subject, runtime=names.ONNX)
    half = replace(subject, precision=names.BFLOAT16)
    assert names.reason_without(subject, names.LIMITED, False) == ""
    assert names.reason_without(onnx, names.NATIVE, False) == ""
    assert "no switch" in names.reason_without(onnx, names.LIMITED, False)
    assert "bfloat16" in names.reason_without(half, names.NATIVE, False)
    assert names.reason_without(half, names.NATIVE, True) == ""


@pytest.mark.parametrize(
    ("n", "count", "found"), [(3, 5, [0, 1, 2]), (5, 3, [0, 2, 4]), (100, 2, [0, 99])]
)
def test_pictures_are_spread_over_all(part, n, count, found):
    assert part("list").spread(range(n), count) == found


def test_the_machine_is_described(part):
    found = part("machine").describe()
    assert found["threads"] >= 1
    assert found["versions"]["torch"]
    assert json.loads(json.dumps(found)) == found


# Tables.


def row(group, name, speed=None, *, column="native", runtime="torch", precision="float32", **more):
    """A row with some images a second at batch 1, 1 GFLOP each."""
    architecture, task = group.rsplit(" ", 1)
    batches = {} if speed is None else {"batches": {"1": batch(speed)}}
    return {
        "key": f"{group} {column}",
        "group": group,
        "column": column,
        "quick": False,
        "machine": MACHINE,
        "date": "2026-01-02T03:04+00:00",
        "commit": "abc",
        "load": 0.1,
        "pictures": 10,
        "flops": 1e9,
        "start_s": 2.5,
        "subject": {
            "name": name,
            "task": task,
            "architecture": architecture,
            "runtime": runtime,
            "precision": precision,
        },
        **batches,
        **more,
    }


def batch(speed):
    return {
        "images_per_s": {"median": speed, "low": speed - 1, "high": speed + 1},
        "ms": {"p50": 1000 / speed, "p95": 2000 / speed},
        "peak_mib": 123,
        "rounds": 3,
        "calls": 9,
    }


def test_targets_compare_with_anomalib_of_the_same_group_and_column(speed):
    group = "resnet18 inference"
    shown = speed.format_tables(
        [
            row(group, "anomalib RD", 10.0),
            row(group, "snlad", 29.0),
            row(group, "snlad", 45.0, runtime="OpenVINO"),
            row(group, "snlad", 90.0, runtime="ONNX Runtime", precision="int8"),
            row(group, "anomalib RD", 5.0, column="AVX2"),
            row(group, "snlad", 20.0, column="AVX2"),
            row("resnet18 training", "snlad", 20.0, note="kept", before={}),
        ]
    )
    assert "| resnet18, times anomalib RD: torch | >= 3 | 2.9 (missed) | 4 (met) |" in shown
    assert "| resnet18, times anomalib RD: best float export | >= 4.5 | 4.5 (met) | - |" in shown
    assert "| resnet18, times anomalib RD: best INT8 export | >= 8 | 9 (met) | - |" in shown
    assert "| resnet18, times anomalib RD: training | >= 4 | - | - |" in shown
    assert "| resnet18, INT8 / bfloat16 | >= 1.5 | - | - |" in shown


def test_a_whole_prediction_is_held_against_the_teacher_of_its_precision_and_batch(speed):
    group = "default inference"
    both = {"batches": {"1": batch(100.0), "16": batch(200.0)}}
    half = {"batches": {"1": batch(40.0), "16": batch(100.0)}}
    shown = speed.format_tables(
        [
            row(group, "teacher alone", **both),
            row(group, "snlad, whole prediction", **half),
            row(group, "decode and resize alone", 300.0, runtime="Pillow", precision="uint8"),
            row(group, "snlad", 150.0),
        ]
    )
    assert "| whole prediction / teacher, torch, float32, batch 1 | <= 2 | 2.5 (missed) |" in shown
    assert "| whole prediction / teacher, torch, float32, batch 16 | <= 2 | 2 (met) |" in shown
    assert "| whole prediction / teacher, torch, bfloat16, batch 1 | <= 2 | - |" in shown
    assert "| pictures decoded / pictures that the fastest model takes | >= 1 | 2 (met) |" in shown


def test_start_and_loading_are_targets_too(speed):
    shown = speed.format_tables(
        [
            row("default start", "snlad --help", 4.0, runtime="-", precision="-"),
            row("default start", "first prediction", 0.4, runtime="OpenVINO", precision="int8"),
            row("default training", "snlad", 50.0, note="kept", before={"reading pictures": 400.0}),
        ]
    )
    assert "| `snlad --help`, s | <= 0.3 | 0.25 (met) | - |" in shown
    assert "| first prediction, OpenVINO, int8, s | <= 2 | 2.5 (missed) | - |" in shown
    assert "| pictures decoded / pictures trained, default recipe | >= 1 | 8 (met) | - |" in shown
    assert "| snlad --help | 0.25 | 0.20 to 0.33 | 123 |" in shown
    assert "- snlad, torch, float32 (native): kept; reading pictures 400/s" in shown


def test_speed_is_shown_with_its_range_and_as_a_share_of_the_peak_of_its_precision(speed):
    group = "resnet18 inference"
    shown = speed.format_tables(
        [
            row(group, "matrix product", 200.0),
            row(group, "matrix product", 800.0, precision="int8"),
            row(group, "snlad", 50.0),
            row(group, "snlad", 400.0, runtime="OpenVINO", precision="int8"),
            row(group, "snlad", reason="no switch", runtime="ONNX Runtime", column="AVX2"),
        ]
    )
    assert "| snlad, torch, float32 | 20 / 40 | 50 (49 to 51) | 1 | 25 % | 123 | 2.5 |" in shown
    assert "| snlad, OpenVINO, int8 | 2.5 / 5 | 400 (399 to 401) | 1 | 50 % |" in shown
    assert "| matrix product, torch, float32 | 5 / 10 | 200 GFLOP/s | 1 | - |" in shown
    assert "- snlad, ONNX Runtime, float32 (AVX2): no switch" in shown
    assert "a processor (avx2), 2 cores, 2 threads, 8.0 GiB, Linux; python 3.11" in shown


def test_only_the_newest_rows_of_a_group_are_shown(speed):
    old = {**row("resnet18 training", "snlad", 5.0, note="a", before={}), "key": "old"}
    shown = speed.format_tables([old, row("resnet18 training", "anomalib RD", 7.0)])
    assert "anomalib RD" in shown
    assert "snlad, torch" not in shown


# What follows computes, with a tiny teacher.


def traced_once(trace):
    """Both runtimes take one graph: tracing takes longer than all else."""
    graphs = []

    def traced(*asked):
        if not graphs:
            graphs.append(trace(*asked))
        return graphs[0]

    return traced


@pytest.fixture(scope="module")
def tiny_models(tmp_path_factory, tiny_settings, shared_data):
    """A run and its float exports, as they are timed."""
    export = importlib.import_module("snlad.deploy.export")
    folder = Path(__file__).parents[2] / "benchmarks"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        models = importlib.import_module("speed_models")
        patch.setattr(models, "PRECISIONS", ("float32",))
        patch.setattr(export, "to_onnx", traced_once(export.to_onnx))
        out = tmp_path_factory.mktemp("models")
        settings = make_config(**tiny_settings, maps={"centers": 8}).model_dump(mode="json")
        models.make(settings, shared_data, out)
    return out, settings


@pytest.fixture
def ask(part, talk, tiny_models, shared_data, subject):
    """Two turns of a subject, in this process."""
    out, settings = tiny_models
    pictures = sorted(shared_data.glob("*/train/good/*.png"))

    def run(**fields):
        job = {
            "subject": asdict(replace(subject, **fields)),
            "settings": settings,
            "models": str(out),
            "data": str(shared_data),
            "paths": [str(path) for path in pictures],
            "spawned": 0.0,
        }
        batch = fields.get("batches", (1,))[-1]
        return talk(lambda turns: part("subjects").run(job, turns), (batch, 0.0), (batch, 0.0))

    return run


@pytest.mark.parametrize(
    ("name", "runtime"),
    [
        ("teacher alone", "torch"),
        ("snlad", "torch"),
        ("snlad", "ONNX Runtime"),
        ("snlad", "OpenVINO"),
        ("snlad, whole prediction", "torch"),
        ("snlad, whole prediction", "ONNX Runtime"),
        ("decode and resize alone", "Pillow"),
    ],
)
def test_each_subject_answers(ask, name, runtime):
    ready, *turns = ask(name=name, runtime=runtime, batches=(1, 2))
    assert ready["ready"]
    assert bool(ready["flops"]) == (runtime != "Pillow")
    assert all(turn["seconds"][0] > 0 for turn in turns)


def test_what_could_not_be_exported_is_a_reason(part, ask, tiny_models):
    out, _ = tiny_models
    made = json.loads((out / "made.json").read_text())
    assert made["exports"] == {"onnx-float32": "", "openvino-float32": ""}
    (out / "made.json").write_text(
        json.dumps({**made, "exports": {**made["exports"], "onnx-int8": "too far off"}})
    )
    with pytest.raises(part("worker").UnavailableError, match="too far off"):
        part("subjects")._exported(replace_int8(part), out)


def replace_int8(part):
    names = part("list")
    return names.Subject(
        name="snlad", task="inference", architecture="default", runtime=names.ONNX, precision="int8"
    )


def test_training_is_timed_step_by_step(ask):
    ready, *turns = ask(name="snlad", task="training", batches=(4,))
    assert ready["note"] == "teacher features kept in memory"
    assert ready["flops"] > 0
    assert all(turn["seconds"][0] > 0 for turn in turns)


def test_operations_are_those_of_both_networks(part, tiny_settings):
    flops, config = part("flops"), make_config("rd", **tiny_settings)
    inference = flops.of_inference(build_detector(config).eval(), config.image_size)
    training = flops.of_training(config)
    assert inference["whole"] > inference["teacher"] + inference["student"] > 0
    assert training["teacher"] == inference["teacher"] > 0
    steps = training["student"] / inference["student"]
    assert 2 < steps < 3  # forward and backward, but not to the pixels


def test_a_command_is_timed_and_its_failure_is_a_reason(part):
    commands, variables = part("commands"), part("start").environment("native")
    good = commands.Command(["-c", "pass"], variables)
    assert good.turn(1, 0.0)["seconds"][0] > 0
    bad = commands.Command(["-c", "raise SystemExit(3)"], variables)
    assert bad.about["reason"].startswith("exit code 3")
    first = commands.subjects()[2]
    words = commands.words(first, Path("models"), "a.png")
    assert words[2:5] == ["predict", "models/onnx-float32", "a.png"]
    assert sys.executable not in words


def test_subjects_that_cannot_start_say_why(part, asked, speed, subject):
    start = part("start")
    session = start.Session(asked.data, None, asked.rows, asked.data / "none", 0.0, 1, False)
    onnx = replace(subject, runtime="ONNX Runtime")
    assert "no switch" in start.start_subject(onnx, session, "AVX2", MACHINE).about["reason"]
    help_ = replace(subject, task="start")
    assert start.start_subject(help_, session, "native", MACHINE).about["failed"]


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")  # anomalib and what it imports warn about their own future
@pytest.mark.parametrize("name", ["anomalib RD", "anomalib STFPM", "anomalib PatchCore"])
@pytest.mark.parametrize("task", ["training", "inference"])
def test_anomalibs_subjects_answer(part, name, task, monkeypatch):
    pytest.importorskip("anomalib", reason="anomalib 2.7 is not installed", exc_type=ImportError)
    peers = part("anomalib")
    monkeypatch.setattr(peers, "BANK", 50)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    network = peers.network(name, "resnet18", (64, 64))
    work = {
        "training": lambda: peers.training(name, network, pictures),
        "inference": lambda: peers.inference(network, pictures),
    }[task]()
    work(4)
    assert part("flops").count(work, 4) > 1e8
    if task == "inference":
        scores, maps = work(4)
        assert scores.size == len(maps) == 4


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_patchcore_is_timed_on_the_default_recipes_teacher(part):
    pytest.importorskip("anomalib", reason="anomalib 2.7 is not installed", exc_type=ImportError)
    peers, listed = part("anomalib"), part("list")
    assert [s.name for s in listed.inferred("default") if s.name in listed.PEERS] == [
        listed.PATCHCORE
    ]
    network = peers.network(listed.PATCHCORE, "default", (64, 64))
    assert network.memory_bank.shape == (15_000, 40 + 112)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    scores, maps = peers.inference(network, pictures)(2)
    assert scores.size == len(maps) == 2


def test_without_anomalib_its_subjects_say_so(part, monkeypatch):
    def absent(*_):
        raise ModuleNotFoundError("No module named 'anomalib'")

    monkeypatch.setattr(part("anomalib"), "network", absent)
    with pytest.raises(part("worker").UnavailableError, match="requirements/bench"):
        part("torch").peer(
            part("list").Subject(name="anomalib RD", task="training", architecture="resnet18"),
            (64, 64),
            np.zeros((1, 64, 64, 3), np.uint8),
        )

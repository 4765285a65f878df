"""The command line: every verb, every exit code, one sentence for every error, no socket."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snlad.cli import app, progress
from snlad.errors import TrainingError

CONFIG = """
image_size = [64, 64]
[cram]
centers = 4
[train]
steps = 2
batch_size = 4
[probes]
count = 3
"""


@pytest.fixture
def config(tmp_path) -> Path:
    (tmp_path / "tiny.toml").write_text(CONFIG)
    return tmp_path / "tiny.toml"


@pytest.fixture
def no_sockets(monkeypatch):
    """Any attempt to reach a network fails the test."""
    import socket

    def refuse(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_every_verb_works_without_a_network(snlad, no_sockets, tiny_data, tmp_path, config):
    run, out = tmp_path / "run", tmp_path / "out"
    code, text, _ = snlad("train", tiny_data, "--out", run, "--config", config, "--quiet")
    assert (code, "next: snlad evaluate" in text) == (0, True)

    code, text, _ = snlad("evaluate", run, tiny_data)
    assert code == 0
    assert "mean over classes" in text
    assert "interference: Mixup image AUROC " in text  # training set a picture aside and probed
    code, text, _ = snlad("evaluate", run, tiny_data, "--json")
    assert json.loads(text) == json.loads((run / "scores.json").read_text())

    code, text, _ = snlad(
        "predict",
        run,
        tiny_data / "grey" / "test",
        "--out",
        out,
        "--maps",
        "feature,center,overall",
    )
    assert code == 0
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 4
    assert len(list((out / "maps" / "center").iterdir())) == 4

    code, text, _ = snlad("report", run, "--data", tiny_data, "--quiet")
    assert (code, text.splitlines()[-1]) == (0, f"report: {run / 'report.html'}")
    assert "ground truth of grey/test/spot/" in (run / "report.html").read_text()

    code, text, _ = snlad("data", "check", tiny_data, "--json")
    assert json.loads(text)
    code, text, _ = snlad("data", "check", tiny_data)
    assert "grey" in text

    import torch

    torch.save({"a": torch.ones(2)}, tmp_path / "own.pth")
    code, text, _ = snlad("weights", "import", tmp_path / "own.pth")
    assert code == 0
    assert (tmp_path / "own.safetensors").exists()


def test_the_demo_runs_the_main_job(snlad, no_sockets, tmp_path, monkeypatch):
    from snlad.config import make_config
    from snlad.engine import demo

    pytest.importorskip("skimage", reason="the demo's pictures ship with scikit-image")

    def tiny(method: str, seed: int, image_size: tuple, train: dict):
        assert train == {"steps": demo.DEMO_STEPS}
        assert image_size == (128, 128)  # the crops' own size
        return make_config(
            method,
            seed=seed,
            image_size=(64, 64),
            teacher={"name": "test_efficientnet", "weights": "random"},
            train={"steps": 2, "batch_size": 4},
            probes={"count": 4},
        )

    monkeypatch.setattr(demo, "make_config", tiny)
    code, text, _ = snlad("demo", "--out", tmp_path / "demo", "--method", "rd")
    assert code == 0
    assert "mean over classes" in text
    assert "(n = 4 each, seed 0)" in text
    assert (tmp_path / "demo" / "run" / "probes.png").exists()
    calibration = json.loads((tmp_path / "demo" / "run" / "calibration.json").read_text())
    assert calibration["source"] == str(tmp_path / "demo" / "calibration")
    assert {limits["n"] for limits in calibration["classes"].values()} == {20}
    assert f"heat maps: {tmp_path / 'demo' / 'heatmaps.png'}" in text
    with Image.open(tmp_path / "demo" / "heatmaps.png") as sheet:
        assert sheet.height > sheet.width
    code, _, error = snlad("demo", "--out", tmp_path / "demo")
    assert code == 2
    assert "already holds a demo" in error


def test_a_roi_is_given_by_name(snlad, tiny_data, tmp_path, config):
    roi = tmp_path / "roi.png"
    Image.fromarray(np.tile(np.uint8([0, 255]), (4, 2))).save(roi)
    code, _, _ = snlad(
        "train", tiny_data, "--out", tmp_path / "run", "--config", config, "--roi", f"grey={roi}"
    )
    assert code == 0
    assert list((tmp_path / "run" / "model").glob("roi_0-*.png"))


def test_notes_of_the_data_are_told(snlad, tiny_data, tmp_path, config):
    (tiny_data / "spare").mkdir()
    (tiny_data / "spare" / "readme.txt").write_text("nothing to train on")
    code, _, error = snlad("train", tiny_data, "--out", tmp_path / "run", "--config", config)
    assert code == 0
    assert "note: " in error
    assert "spare" in error


def test_an_unreadable_picture_makes_exit_code_1(snlad, trained_run, shared_data, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    good = next(shared_data.glob("*/test/*/*.png"))
    code, text, _ = snlad("predict", trained_run, bad, good, "--out", tmp_path / "out")
    assert code == 1
    assert "2 pictures, 1 with errors" in text


def test_an_evaluation_with_a_left_out_picture_makes_exit_code_1(snlad, trained_run, tiny_data):
    (tiny_data / "grey" / "test" / "good" / "0.png").write_bytes(b"")
    code, _, error = snlad("evaluate", trained_run, tiny_data)
    assert code == 1
    assert "left out: " in error


def test_a_data_set_with_a_leak_makes_exit_code_1(snlad, tiny_data):
    source = tiny_data / "grey" / "train" / "good" / "0.png"
    (tiny_data / "grey" / "test" / "good" / "leak.png").write_bytes(source.read_bytes())
    code, text, _ = snlad("data", "check", tiny_data)
    assert code == 1
    assert "leak.png" in text


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["train", "/absent", "--out", "r"], "/absent"),
        (["train", "{data}", "--out", "r", "--method", "snl"], "fd, rd, fd-snl, rd-snl"),
        (["train", "{data}", "--out", "r", "--config", "absent.toml"], "absent.toml"),
        (["train", "{data}", "--out", "r", "--device", "tpu"], "--device cpu"),
        (["train", "{data}", "--out", "{run}"], "already holds a run"),
        (["train", "{data}", "--out", "r", "--roi", "grey"], "NAME=mask.png"),
        (["train", "{data}"], "--out"),
        (["evaluate", "/absent", "{data}"], "/absent"),
        (["evaluate", "{data}", "{run}"], "model.json"),
        (["probe", "{data}", "{data}"], "model.json"),
        (["probe", "{run}", "/absent"], "/absent"),
        (["probe", "{run}", "{data}", "--count", "0"], "--count"),
        (["probe", "{run}", "{data}", "--count", "1001"], "--count"),
        (["probe", "{run}", "{data}", "--seed", "-1"], "--seed"),
        (["probe", "{run}"], "DATA"),
        (["predict", "{run}", "/absent", "--out", "r"], "/absent"),
        (["predict", "{run}", "{data}", "--out", "r", "--maps", "depth"], "depth"),
        (["predict", "{run}", "{data}", "--out", "r", "--class-name", "blue"], "blue"),
        (["predict", "{run}", "{data}", "--out", "r", "--coco"], "snlad calibrate"),
        (["data", "check", "/absent"], "/absent"),
        (["weights", "import", "/absent.pth"], "/absent.pth"),
        (["predict", "{run}"], "PATH"),
        (["predict", "{run}", "{empty}", "--out", "r"], "no picture in"),
        (["evaluat"], "evaluat"),
    ],
)
def test_wrong_use_is_one_helpful_sentence_and_exit_code_2(
    snlad, trained_run, shared_data, tmp_path, monkeypatch, words, hint
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    names = {"data": shared_data, "run": trained_run, "empty": tmp_path / "empty"}
    filled = [word.format(**names) for word in words]
    code, _, error = snlad(*filled)
    assert code == 2
    assert hint in error
    assert "Traceback" not in error
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(("interrupted", "code"), [(True, 130), (False, 1)])
def test_training_that_ends_early_has_its_own_exit_codes(snlad, monkeypatch, interrupted, code):
    def stop():
        raise TrainingError("stopped here", interrupted=interrupted)

    monkeypatch.setattr(app, "app", stop)
    assert snlad("train")[0] == code


@pytest.mark.parametrize(
    ("module", "extra"), [("torch", "train"), ("timm", "train"), ("skimage", "demo")]
)
def test_a_missing_extra_prints_the_install_line(snlad, monkeypatch, module, extra):
    def fail():
        raise ModuleNotFoundError(f"No module named {module!r}", name=f"{module}.nn")

    monkeypatch.setattr(app, "app", fail)
    code, _, error = snlad("train")
    assert code == 2
    assert error.strip() == (
        f"snlad: snlad train needs the extra '{extra}': run  pip install 'snlad[{extra}]'"
    )


def test_a_module_that_is_none_of_ours_is_not_hidden(monkeypatch):
    def fail():
        raise ModuleNotFoundError("No module named 'x'", name="x")

    monkeypatch.setattr(app, "app", fail)
    with pytest.raises(ModuleNotFoundError):
        app.main()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] not enough memory: you tried to allocate"
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_running_out_of_memory_says_what_to_lower(snlad, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(app, "app", fail)
    code, _, error = snlad("train")
    assert code == 1
    assert "train.batch_size" in error


def test_another_runtime_error_is_not_hidden(monkeypatch):
    def fail():
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(app, "app", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        app.main()


def test_a_full_disk_is_one_sentence(snlad, monkeypatch):
    def fail():
        raise OSError(28, "No space left on device", "/data/run/log.jsonl")

    monkeypatch.setattr(app, "app", fail)
    code, _, error = snlad("train")
    assert code == 1
    assert error.startswith("snlad: No space left on device: /data/run/log.jsonl")


def test_ctrl_c_is_no_traceback(snlad, monkeypatch):
    def fail():
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "app", fail)
    assert snlad("predict")[0] == 130


def test_ctrl_c_in_predict_says_what_is_kept(
    snlad, trained_run, shared_data, tmp_path, monkeypatch
):
    from snlad.engine.picture_files import PictureFiles

    def stop(_files, number, prediction):
        if number == 4:
            signal.raise_signal(signal.SIGINT)
        return prediction

    monkeypatch.setattr(PictureFiles, "add", stop)
    code, shown, error = snlad("predict", trained_run, shared_data, "--out", tmp_path / "out")
    kept = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert (code, shown, len(kept)) == (130, "", 5)
    assert f"snlad: stopped; 5 rows are kept in {tmp_path / 'out' / 'predictions.jsonl'}" in error


def test_a_missing_path_among_others_is_an_error_row(snlad, trained_run, shared_data, tmp_path):
    good = next(shared_data.glob("*/test/*/*.png"))
    paths = [tmp_path / "gone.png", good, tmp_path / "gone folder"]
    code, shown, _ = snlad("predict", trained_run, *paths, "--out", tmp_path / "out")
    text = (tmp_path / "out" / "predictions.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert (code, shown.split(":")[0]) == (1, "3 pictures, 2 with errors")
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert [row["error"] is None for row in rows] == [False, True, False]
    assert "No such file or directory" in rows[0]["error"]


def test_predict_writes_a_table_in_which_no_name_is_a_formula(
    snlad, trained_run, shared_data, tmp_path, monkeypatch
):
    names = [
        "=cmd|' .png",
        "+1.png",
        "-2.png",
        "@SUM(A1).png",
        '\n"=1",-.png',
        os.fsdecode(b"\xff"),
    ]
    monkeypatch.chdir(tmp_path)
    for name in names:
        Path(name).write_bytes(next(shared_data.glob("*/test/*/*.png")).read_bytes())
    code, _, _ = snlad("predict", trained_run, "--out", "out", "--csv", "--", *names)
    assert code == 0
    with open("out/predictions.csv", encoding="utf-8", newline="") as file:  # noqa: PTH123
        _, *table = csv.reader(file)
    assert [line[0] for line in table] == [
        "'=cmd|' .png",
        "'+1.png",
        "'-2.png",
        "'@SUM(A1).png",
        "'\n'\"=1\",-.png",
        "\\udcff",
    ]
    text = Path("out/predictions.jsonl").read_text()
    assert [json.loads(line)["path"] for line in text.splitlines()] == names


def test_only_missing_paths_are_refused_before_any_work(snlad, trained_run, tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b"]
    code, _, error = snlad("predict", trained_run, *paths, "--out", tmp_path / "out")
    assert code == 2
    assert error == f"snlad: {paths[0]}, {paths[1]}: nothing there; give pictures or folders\n"
    assert not (tmp_path / "out").exists()


def test_a_full_disk_in_predict_names_the_file(
    snlad, trained_run, shared_data, tmp_path, limited_files
):
    picture = next(shared_data.glob("*/test/*/0.png"))
    words = ["--out", tmp_path / "out", "--maps", "overall"]
    with limited_files(100_000):  # less than a float map
        code, _, error = snlad("predict", trained_run, picture, *words)
    assert code == 1
    assert f"{tmp_path / 'out' / 'maps' / 'overall' / '000000_0.tiff'}; make room" in error


def test_predictions_inside_the_pictures_folder_are_not_inspected_again(
    snlad, trained_run, tiny_data
):
    pictures = tiny_data / "grey" / "test"
    code, text, _ = snlad("predict", trained_run, pictures, "--out", pictures / "out")
    assert code == 0
    assert "4 pictures" in text


def test_a_model_with_masks_asks_for_the_class(snlad, tiny_data, tmp_path, config):
    roi = tmp_path / "roi.png"
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(roi)
    words = ["--config", config, "--roi", f"grey={roi}"]
    snlad("train", tiny_data, "--out", tmp_path / "run", *words)
    picture = next(tiny_data.glob("grey/test/*/*.png"))
    _, _, error = snlad("predict", tmp_path / "run", picture, "--out", tmp_path / "a")
    assert "inspection masks of grey need --class-name" in error
    known = ["--out", tmp_path / "b", "--class-name", "grey"]
    _, _, error = snlad("predict", tmp_path / "run", picture, *known)
    assert "need --class-name" not in error


def test_evaluate_puts_the_scores_into_the_card(snlad, trained_run, shared_data, tmp_path):
    import shutil

    run = shutil.copytree(trained_run, tmp_path / "run")
    snlad("evaluate", run, shared_data)
    assert "Of the last `snlad evaluate`" in (run / "model" / "README.md").read_text()


def test_probe_then_evaluate_shows_the_interference_also_in_the_card(
    snlad, trained_run, shared_data, tmp_path
):
    import shutil

    run = shutil.copytree(trained_run, tmp_path / "run")
    code, shown, _ = snlad("evaluate", run, shared_data)
    assert shown.splitlines()[-1] == "interference: not probed; snlad probe RUN DATA"
    assert json.loads((run / "scores.json").read_text())["probes"] == {}
    words = ["--count", "5", "--seed", "2", "--quiet"]
    code, shown, error = snlad("probe", run, shared_data, *words)
    assert code == 0
    assert "probing: 14/14" in error  # two kinds of five, and the four normals of the test
    line, place = shown.splitlines()
    assert line.startswith("interference: Mixup image AUROC ")
    assert line.endswith("(n = 5 each, seed 2)")
    assert place == f"by pair of classes: {run / 'probes.png'}"
    found = json.loads((run / "probes.json").read_text())
    assert found["normals"] == {"dark": 2, "grey": 2}
    assert found["source"] == str(shared_data)
    assert line in (run / "model" / "README.md").read_text()
    code, shown, error = snlad("evaluate", run, shared_data)
    assert (code, shown.splitlines()[-1]) == (0, line)
    assert "note" not in error
    scores = json.loads((run / "scores.json").read_text())["probes"]
    assert scores["cutpaste_pixel_auroc"] == found["cutpaste"]["pixel_auroc"]
    code, shown, _ = snlad("probe", run, shared_data, *words, "--json")
    assert json.loads(shown) == found


def test_probes_of_another_model_are_not_shown(snlad, trained_run, shared_data, tmp_path):
    import shutil

    run = shutil.copytree(trained_run, tmp_path / "run")
    snlad("probe", run, shared_data, "--count", "1")
    text = (run / "probes.json").read_text()
    (run / "probes.json").write_text(text.replace('"model": "', '"model": "0'))
    _, shown, error = snlad("evaluate", run, shared_data)
    assert shown.splitlines()[-1] == "interference: not probed; snlad probe RUN DATA"
    assert "probes.json is of another model and ignored; probe again" in error


def test_a_copied_model_is_probed_with_the_test_alone(snlad, trained_run, shared_data, tmp_path):
    import shutil

    model = shutil.copytree(trained_run / "model", tmp_path / "copy")
    assert snlad("probe", model, shared_data, "--count", "1")[0] == 0
    assert json.loads((model / "probes.json").read_text())["normals"] == {"dark": 2, "grey": 2}
    assert "(n = 1 each, seed 0)" in snlad("evaluate", model, shared_data)[1]


def test_data_that_was_trained_on_is_not_probed_with(snlad, trained_run, tiny_data):
    import shutil

    for folder in tiny_data.glob("*/test"):
        shutil.rmtree(folder)
    code, _, error = snlad("probe", trained_run, tiny_data)
    assert code == 2
    assert f"no normal picture that {trained_run} did not train on" in error
    assert not (trained_run / "probes.json").exists()


def test_a_model_of_one_class_is_probed_to_nulls_and_told_so(
    snlad, trained_run, shared_data, tmp_path
):
    import shutil

    run = shutil.copytree(trained_run, tmp_path / "run")
    shutil.copytree(shared_data / "grey", tmp_path / "one" / "grey")
    code, shown, error = snlad("probe", run, tmp_path / "one")
    assert code == 0
    assert "note: a single class has no other to be mixed with" in error
    assert "Mixup image AUROC -, CutPaste image - / pixel -, eta squared -" in shown


def test_a_published_protocol_has_a_file_of_its_own(snlad, trained_run, shared_data, tmp_path):
    import shutil

    run = shutil.copytree(trained_run, tmp_path / "run")
    snlad("evaluate", run, shared_data)
    ours, card = ((run / name).read_text() for name in ("scores.json", "model/README.md"))
    _, shown, _ = snlad("evaluate", run, shared_data, "--protocol", "rd4ad", "--json")
    assert json.loads(shown) == json.loads((run / "scores-rd4ad.json").read_text())
    assert (run / "scores.json").read_text() == ours
    assert (run / "model" / "README.md").read_text() == card


def test_evaluate_takes_maps_in_place_of_a_run(snlad, trained_run, shared_data, tmp_path):
    import numpy as np

    for path in shared_data.glob("*/test/*/*.png"):
        file = tmp_path / path.relative_to(shared_data).with_suffix(".npy")
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.random.default_rng(0).random((32, 32)))
    code, shown, error = snlad("evaluate", "--maps", tmp_path, shared_data, "--json")
    assert (code, json.loads(shown)["protocol"]) == (0, "snlad-v1")
    assert "no scores.csv" in error
    for words in ([shared_data], ["--maps", tmp_path, trained_run, shared_data]):
        code, _, error = snlad("evaluate", *words)
        assert code == 2
        assert "takes RUN DATA, or --maps DIR DATA" in error
    full = ["evaluate", "--maps", tmp_path, shared_data, "--full-resolution", "--json"]
    code, shown, _ = snlad(*full)
    assert (code, json.loads(shown)["protocol"]) == (0, "snlad-v1-full")
    code, _, error = snlad(*full, "--protocol", "ader")
    assert code == 2
    assert "--full-resolution and --protocol ader are two" in error


# A map goes to the picture's size and back to map size: both ways are bilinear. Of a picture
# larger than the map nearly nothing is lost; one of 48 x 48 keeps every fifth pixel or so.
@pytest.mark.parametrize(("size", "tolerance"), [((330, 270), 0.002), ((48, 48), 0.02)])
def test_maps_in_mvtecs_layout_get_the_pixel_numbers_of_the_model(
    snlad, trained_run, tiny_data, tmp_path, size, tolerance
):
    import shutil

    run, out = shutil.copytree(trained_run, tmp_path / "run"), tmp_path / "out"
    for path in tiny_data.rglob("*.png"):
        rule = Image.Resampling.NEAREST if "mask" in path.name else Image.Resampling.BILINEAR
        with Image.open(path) as picture:
            picture.resize(size, rule).save(path)
    tests = sorted(tiny_data.glob("*/test"))
    code, _, _ = snlad("predict", run, *tests, "--out", out, "--mvtec-maps")
    assert code == 0
    for mask in tiny_data.glob("*/ground_truth/*/*.png"):
        parts = (mask.parts[-4], "test", mask.parts[-2], mask.name.replace("_mask.png", ".tiff"))
        with Image.open(out.joinpath("anomaly_maps", *parts)) as read, Image.open(mask) as truth:
            assert (read.mode, read.size) == ("F", truth.size)
    _, ours, _ = snlad("evaluate", run, tiny_data, "--json")
    code, theirs, _ = snlad("evaluate", "--maps", out / "anomaly_maps", tiny_data, "--json")
    assert code == 0
    for name, scores in json.loads(ours)["classes"].items():
        assert json.loads(theirs)["classes"][name] == pytest.approx(scores, abs=tolerance)
        assert scores["pixel_ap"] < 0.995  # there is something to get wrong


def test_two_pictures_of_one_stem_have_no_maps_in_mvtecs_layout(
    snlad, trained_run, tiny_data, tmp_path
):
    folder = tiny_data / "grey" / "test" / "good"
    (folder / "0.bmp").write_bytes((folder / "0.png").read_bytes())
    words = ["predict", trained_run, tiny_data, "--out", tmp_path / "out"]
    code, _, error = snlad(*words, "--mvtec-maps")
    assert (code, "'grey/test/good/0.tiff'; rename one" in error) == (2, True)
    assert not (tmp_path / "out").exists()
    assert snlad(*words)[0] == 0


def test_calibrate_then_predict_labels(snlad, trained_run, shared_data, other_data, tmp_path):
    import shutil

    run = shutil.copytree(trained_run, tmp_path / "run")
    code, _, error = snlad("calibrate", run)
    assert code == 2
    assert "give some with --calibration DIR" in error
    words = ["--calibration", other_data, "--target-fpr", "0.2", "--quiet"]
    code, shown, error = snlad("calibrate", run, *words)
    assert code == 0
    assert [line.split()[0] for line in shown.splitlines()[:4]] == [
        "class",
        "dark",
        "grey",
        "pooled",
    ]
    assert "version 1 promises 0.2 false alarms for pictures like those of the cal" in shown
    last = shown.splitlines()[-1]
    assert last.startswith("with a guessed class at most 0.258 of good pictures are not passed: ")
    assert "0.167 false alarms, 0.091 of unknown class and 0.000 taken for another class" in last
    code, shown, error = snlad("calibrate", run)
    assert "version 2 promises 0.05" in shown
    assert "too few" in shown
    assert "warning: class dark: " in error
    picture = next(shared_data.glob("grey/test/spot/*.png"))
    snlad("predict", run, picture, "--out", tmp_path / "out", "--class-name", "grey")
    row = json.loads((tmp_path / "out" / "predictions.jsonl").read_text())
    assert row["pred_label"] is (row["pred_score"] > row["threshold"])
    assert isinstance(row["regions"], list)
    area = ["--min-area", "1000000", "--class-name", "grey", "--coco"]
    snlad("predict", run, picture, "--out", tmp_path / "large", *area)
    assert json.loads((tmp_path / "large" / "predictions.jsonl").read_text())["regions"] == []
    coco = json.loads((tmp_path / "large" / "predictions.coco.json").read_text())
    assert ([one["file_name"] for one in coco["images"]], coco["annotations"]) == (
        [str(picture)],
        [],
    )


def test_a_report_compares_runs_of_the_same_data_alone(snlad, trained_run, tiny_data, tmp_path):
    import shutil

    own, other = (shutil.copytree(trained_run, tmp_path / name) for name in ("own", "other"))
    assert snlad("evaluate", own, tiny_data)[0] == 0
    assert snlad("evaluate", other, tiny_data)[0] == 0
    out = tmp_path / "comparison.html"
    code, text, _ = snlad("report", own, "--compare", other, "--out", out)
    assert (code, text) == (0, f"report: {out}\n")
    assert "Against the baseline" in out.read_text()

    (tiny_data / "grey/test/spot").rename(tiny_data / "grey/test/dent")
    assert snlad("evaluate", other, tiny_data)[0] == 0
    code, text, error = snlad("report", own, "--compare", other)
    assert (code, text, len(error.splitlines())) == (2, "", 1)
    assert "evaluated on other files, labels or masks" in error
    code, _, error = snlad("report", own, "--out", out)
    assert (code, "exists; give another or move it away" in error) == (2, True)
    assert not (own / "report.html").exists()


def test_links_in_folders_are_passed_over_and_told(snlad, trained_run, shared_data, tmp_path):
    import shutil

    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = next(shared_data.glob("grey/test/good/*.png"))
    shutil.copy(picture, folder / "a.png")
    (folder / "b.png").symlink_to(picture)
    code, shown, error = snlad("predict", trained_run, folder, "--out", tmp_path / "out")
    assert (code, shown.split(",")[0]) == (0, "1 pictures")
    assert "note: 1 links in folders were passed over; name them" in error


def test_the_masks_of_a_data_set_are_no_pictures(snlad, trained_run, shared_data, tmp_path):
    """The whole data set may be given: its masks are not inspected, and this is said."""
    code, shown, error = snlad("predict", trained_run, shared_data, "--out", tmp_path / "out")
    assert (code, shown.split(",")[0]) == (0, "18 pictures")
    assert "note: 4 masks in ground_truth were passed over; name the folder" in error


def test_the_version_is_printed(snlad):
    import snlad as package

    assert snlad("--version")[1].strip() == f"snlad {package.__version__}"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["data", "--help"]])
def test_help_needs_neither_torch_nor_patience(words):
    """Help and ``import snlad`` never import what the extras bring."""
    code = (
        "import sys; sys.argv = ['snlad', *sys.argv[1:]]\n"
        "from snlad.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'timm', 'sklearn', 'scipy', 'matplotlib'} & {*sys.modules}\n"
        "assert not heavy, heavy\n"
    )
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.3  # of processor time, since other work may share the machine


def test_plain_lines_tell_what_is_left(capsys, monkeypatch):
    now = iter([0.0, 1.0, 20.0, 21.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    with progress.show_progress(quiet=True) as show:
        for done in (0, 1, 2, 3, 4):
            show("work", done, 4)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["work: 2/4, 20 s, 20 s left", "work: 4/4, 40 s"]


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with progress.show_progress(quiet=False) as show:
        show("work", 1, 2)
        show("work", 2, 2)
    assert "work" in capsys.readouterr().err


def test_repeated_shots_of_a_part_give_a_table(snlad, trained_run, other_data, tmp_path):
    import shutil

    run = shutil.copytree(trained_run, tmp_path / "run")
    rows = ["path,class_name,split,label,part_id,view"]
    for index, path in enumerate(sorted(other_data.glob("grey/train/good/*.png"))):
        rows.append(f"{path},grey,train,good,part{index // 2},top")
    (tmp_path / "good.csv").write_text("\n".join(rows))
    code, shown, _ = snlad("calibrate", run, "--calibration", tmp_path / "good.csv", "--quiet")
    assert code == 0
    assert "class  repeated  shots  deviation  widest  across the threshold" in shown
    assert "grey          2      4" in shown  # the fifth picture is alone

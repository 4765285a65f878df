"""The report of a run: whatever the run holds or lacks, from its files to the page."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.engine.calibrate import calibrate
from snlad.engine.evaluate import evaluate
from snlad.engine.report import gather, write_report
from snlad.engine.train import train
from snlad.errors import UsageError
from snlad.predict import load

SCORES = {"a": ([1.0, 2.0, 3.0], [2.5, 9.0]), "b": ([10.0, 20.0], [15.0])}
CALIBRATED = {"a": [0.0, 1.0, 1.5, 2.5], "b": [5.0, 10.0, 15.0, 30.0]}
HOSTILE = [
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "</style><script>alert(1)</script>",
    "javascript:alert(1)",
    "🔩 שלום",
    "$x$ $\\frac$",
    "a\nb",
    "\udcff",
]


@pytest.fixture(scope="module")
def evaluated(trained_run, shared_data, other_data, tmp_path_factory):
    """The shared run, calibrated and evaluated; read only."""
    run = tmp_path_factory.mktemp("evaluated") / "rd-snl"
    shutil.copytree(trained_run, run)
    model = load(run)
    calibrate(run, model, open_dataset(other_data).train_normal, target_fpr=0.3)
    evaluate(model, open_dataset(shared_data)).save(run)
    return run


@pytest.fixture(scope="module")
def baseline(shared_data, tmp_path_factory, tiny_settings):
    """A run of another method on the same data, without thresholds; read only."""
    run = tmp_path_factory.mktemp("baseline") / "rd"
    train(open_dataset(shared_data), run, make_config("rd", **tiny_settings))
    evaluate(load(run), open_dataset(shared_data)).save(run)
    return run


@pytest.fixture(scope="module")
def tiny_settings():
    return {
        "image_size": (64, 64),
        "teacher": {"name": "test_efficientnet", "weights": "random"},
        "train": {"steps": 2, "batch_size": 4, "checkpoint_every": 2, "log_every": 1},
        "calibration": {"share": 0.0},
    }


def test_a_whole_report_from_training_to_pictures(
    evaluated, baseline, shared_data, tmp_path, read_page
):
    data = open_dataset(shared_data)
    told = []
    written = write_report(
        evaluated,
        tmp_path / "r.html",
        data=data,
        compare=baseline,
        progress=lambda *step: told.append(step),
    )
    assert written == tmp_path / "r.html"
    text = written.read_text(encoding="utf-8")
    found = read_page(text)
    assert [one["id"] for one in found.all("h2")] == [
        *("summary", "scores", "baseline", "decisions", "calibration", "histograms"),
        *("probes", "pictures", "training", "configuration", "versions"),
    ]
    rows = found.tables["The defects that score lowest against the threshold"]
    assert rows[0][3:] == ["picture", "ground truth", "baseline map, rd", "map, rd-snl"]
    assert len(rows) == 5  # four defects in all
    assert {cell for row in rows[1:] for cell in row[3:]} == {" <img>"}
    alarms = found.tables["The normal pictures that score highest"]
    assert alarms[0][3:] == ["picture", "baseline map, rd", "map, rd-snl"]
    assert "“baseline map, rd” is not calibrated" in found.text
    assert "“map, rd-snl” is not calibrated" not in found.text
    assert told[-1] == ("drawing pictures", 8, 8)
    assert len(text) < 2e6
    again = write_report(evaluated, tmp_path / "again.html", data=data, compare=baseline)
    assert again.read_bytes() == written.read_bytes()


def test_the_numbers_are_those_of_the_evaluation(evaluated, read_page, tmp_path):
    found = read_page(write_report(evaluated, tmp_path / "r.html").read_text())
    scores = json.loads((evaluated / "scores.json").read_text())
    (rows,) = (rows for caption, rows in found.tables.items() if "Protocol" in caption)
    by_class = {row[0]: row for row in rows}
    for name in ("dark", "grey"):
        shown = [float(cell.split()[0]) for cell in by_class[name][3:]]
        np.testing.assert_allclose(shown, list(scores["classes"][name].values()), atol=5e-4)
    pooled = scores["decisions"]["class threshold"]["pooled"]
    assert f"{pooled['escapes']} of {pooled['defects']}" in found.text
    version = json.loads((evaluated / "calibration.json").read_text())
    thresholds = found.tables["Thresholds and the share of false alarms that they promise"]
    assert thresholds[1][2] == f"{version['classes']['dark']['threshold']:.4g}"


def test_without_data_there_are_numbers_and_paths_and_no_picture(evaluated, tmp_path, read_page):
    found = read_page(write_report(evaluated, tmp_path / "r.html").read_text())
    texts = [str(one["alt"]) for one in found.all("img")]
    assert [text for text in texts if not text.startswith(("Histogram", "Loss"))] == []
    rows = found.tables["The defects that score lowest against the threshold"]
    assert rows[0] == ["class and file", "score", "normals below"]
    assert rows[1][0].endswith(".png")


def test_pictures_that_changed_or_went_are_named_and_the_rest_is_shown(
    evaluated, tiny_data, tmp_path, read_page
):
    (tiny_data / "grey/test/spot/0.png").unlink()
    Image.new("RGB", (48, 48)).save(tiny_data / "dark/test/spot/1.png")
    written = write_report(evaluated, tmp_path / "r.html", data=open_dataset(tiny_data))
    found = read_page(written.read_text())
    assert "2 chosen pictures are not shown; their rows say why" in found.text
    assert "grey/test/spot/0.png is not among the test pictures" in found.text
    assert "dark/test/spot/1.png was changed after it was scored" in found.text
    assert "map, rd-snl of grey/test/spot/1.png" in str([one["alt"] for one in found.all("img")])


def test_training_alone_makes_a_report(trained_run, tmp_path, shared_data, read_page):
    later = shutil.ignore_patterns("scores.json", "test_pictures.jsonl", "calibration*")
    run = shutil.copytree(trained_run, tmp_path / "run", ignore=later)
    written = write_report(run, data=open_dataset(shared_data))
    found = read_page(written.read_text())
    assert "snlad evaluate RUN DATA" in found.text
    assert "is not calibrated" in found.text
    assert any("Loss and learning rate" in str(one["alt"]) for one in found.all("img"))
    assert dict(found.tables["At training"])["platform"]


def test_a_run_of_one_class_without_thresholds_and_log(write_run, scored, read_page):
    run = write_run("run", scored({"only": ([1.0, 2.0], [3.0])}))
    found = read_page(write_report(run).read_text())
    assert "test pictures of 1 classes" in found.text
    assert "no log of its training" in found.text
    assert "The run does not say." in found.text
    assert len(found.all("img")) == 1


def test_a_run_without_a_defect_or_without_a_good_picture(write_run, scored, read_page):
    for name, scores in (("good", {"a": ([1.0], [])}), ("bad", {"a": ([], [1.0])})):
        run = write_run(name, scored(scores), {"a": [0.5, 2.0]})
        found = read_page(write_report(run).read_text())
        assert "There is none." in found.text
        assert "0 of 0" in found.text


def test_damage_that_a_report_can_do_without_is_told(write_run, scored, read_page):
    run = write_run("run", scored(SCORES), CALIBRATED)
    (run / "log.jsonl").write_text("damaged\n")
    (run / "versions.json").write_text("damaged")
    (run / "probes.png").write_text("damaged")
    text = read_page(write_report(run).read_text()).text
    for note in ("log.jsonl is damaged", "versions.json is damaged", "probes.png is damaged"):
        assert text.count(note) == 1


def test_probes_come_in(write_run, scored, read_page):
    run = write_run("run", scored(SCORES))
    (run / "probes.json").write_text('{"mixup": {"image_auroc": 0.987}}')
    Image.new("RGB", (40, 40)).save(run / "probes.png")
    found = read_page(write_report(run).read_text())
    assert found.tables["Numbers of the probes"][1:] == [["Mixup, image AUROC", "0.987"]]
    assert any("Matrix of the interference" in str(one["alt"]) for one in found.all("img"))


def test_too_few_calibration_pictures_are_told_once(write_run, scored):
    (note,) = gather(write_run("run", scored(SCORES), {"a": [1.0, 2.0], "b": [1.0] * 9})).notes
    assert note.startswith("1 of 2 classes have too few calibration pictures for the target: ")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_classes_defects_and_files_stay_text(write_run, scored, read_page, name):
    class_name = "a" if name == "\udcff" else name  # no data set can have a class of that name
    pictures = [
        one.model_copy(update={"path": f"{name}/{one.path}"})
        for one in scored({class_name: ([1.0, 2.0], [3.0])}, kind=name)
    ]
    run = write_run("run", pictures, {class_name: [0.5, 1.5]})
    shown = name.replace("\n", "\\n").replace("\udcff", "\\udcff")
    text = read_page(write_report(run).read_text(encoding="utf-8")).text
    assert text.count(shown) > 8
    assert text.count(f"/{shown}/0.png") == 2  # as a miss and as a pick


def test_a_run_with_a_hostile_name_stays_text(write_run, scored, read_page, tmp_path):
    run = write_run("run", scored(SCORES)).rename(tmp_path / "<script>alert(1)<")
    assert "snlad report: <script>alert(1)<" in read_page(write_report(run).read_text()).text


def test_only_the_reports_own_place_is_overwritten(write_run, tmp_path):
    run = write_run()
    own = write_report(run)
    assert own == run / "report.html"
    own.write_text("old")
    assert write_report(run, run / "." / "report.html").read_text() != "old"
    other = tmp_path / "kept.html"
    other.write_text("kept")
    for taken in (other, tmp_path):
        with pytest.raises(UsageError, match="exists; give another or move it away"):
            write_report(run, taken)
    assert other.read_text() == "kept"
    with pytest.raises(UsageError, match="there is no folder"):
        write_report(run, tmp_path / "absent" / "r.html")


def test_a_refusal_leaves_the_old_report(write_run, scored, read_page):
    own = write_run("own", scored(SCORES))
    other = write_run("other", scored(SCORES, kind="scratch"))
    before = write_report(own).read_bytes()
    with pytest.raises(UsageError, match="evaluated on other files, labels or masks"):
        write_report(own, compare=other)
    with pytest.raises(UsageError, match="holds no evaluation"):
        write_report(own, compare=write_run("bare"))
    with pytest.raises(UsageError, match="holds no evaluation"):
        write_report(write_run("new"), compare=own)
    assert (own / "report.html").read_bytes() == before
    assert sorted(path.name for path in own.iterdir()) == [
        *("model", "report.html", "scores.json", "test_pictures.jsonl")
    ]


def test_no_absolute_path_and_no_name_of_a_user_leaves_with_the_report(evaluated, tmp_path):
    text = write_report(evaluated, tmp_path / "r.html").read_text()
    assert str(evaluated) not in text
    by = json.loads((evaluated / "calibration.json").read_text())["by"]
    assert by == "" or f">{by}<" not in text

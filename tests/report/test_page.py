"""The page: told in order, whole without an evaluation, harmless whatever the names are."""

import json
from dataclasses import replace

import pytest

from snlad.config import make_config
from snlad.metrics.decisions import Decision, decision_table
from snlad.metrics.scores import METRICS, ByRow, ScoreRow, ScoreTable
from snlad.report.figures import draw_scores
from snlad.report.findings import Findings
from snlad.report.gallery import Entry
from snlad.report.page import Report, write_page

HOSTILE = [
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "</style></title><script>alert(1)</script>",
    "javascript:alert(1)",
    "<img src=http://example.com/x onerror=alert(1)>",
    "🔩 שלום",
    "$x$",
    "a\nb\u202e",
    "\udcff",
]
ROW = ScoreRow(**{metric: 0.5 + index / 100 for index, metric in enumerate(METRICS)})
LIMITS = {"n": 9, "threshold": 1.0, "pixel_threshold": 2.0, "attainable_fpr": 0.1, "is_short": True}
HISTOGRAM = draw_scores({"normal": [1.0]}, None)


@pytest.fixture(autouse=True)
def one_histogram(monkeypatch):
    """Drawing takes most of the time, and these tests look at what stands around it."""
    monkeypatch.setattr("snlad.report.findings.draw_scores", lambda *_: HISTOGRAM)


def findings(names: list[str]) -> Findings:
    decided = [
        Decision(name, kind, is_anomalous, is_ng)
        for name in names
        for kind, is_anomalous, is_ng in (("good", False, True), (name, True, False))
    ]
    tables = {"class threshold": decision_table(decided)}
    entries = [
        Entry(path=f"{name}.png", class_name=name, defect_type=name, score=1.0, problem=name)
        for name in names
    ]
    table = ScoreTable(
        "snlad-v1",
        dict.fromkeys(names, ROW),
        ROW,
        intervals=ByRow({}, {"image_auroc": (0.45, 0.55)}, {}),
    )
    return Findings(
        table=table,
        scores={name: {"normal": [1.0], "defect": [2.0, 3.0]} for name in names},
        decisions=tables,
        realised=tables,
        misses=entries,
        alarms=entries,
        picks=entries,
        gains=entries,
        losses=entries,
        heads=[f"map, {name}" for name in names],
        uncalibrated=names,
        baseline=("baseline rd", table),
    )


def report(names: list[str], **changed) -> Report:
    known = Report(
        title=f"snlad report: {names[0]}",
        method=names[0],
        facts={"method": names[0], "model": "0123456789ab"},
        trained=dict.fromkeys(names, 5),
        notes=names,
        calibration={
            "version": 1,
            "created": names[0],
            "target_fpr": 0.05,
            "classes": dict.fromkeys(names, LIMITS),
            "pooled": LIMITS,
        },
        findings=findings(names),
        probes=(dict.fromkeys(names, 0.5), HISTOGRAM),
        log=[{"step": 1, "lr": 0.1, "loss": 2.0}, {"step": 2, "lr": 0.1, "loss": 1.0}],
        config={name: {name: name} for name in names},
        versions=dict.fromkeys(names, names[0]),
    )
    return replace(known, **changed)


def test_hostile_names_everywhere_stay_text(read_page):
    """``read_page`` refuses any element, attribute or address that could run or load."""
    text = write_page(report(HOSTILE))
    found = read_page(text)
    for name in HOSTILE[:6]:
        assert name in found.text
    assert "$x$" in found.text
    assert "a\\nb\\u202e" in found.text
    assert "\\udcff" in found.text
    text.encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_each_hostile_name_alone_leaves_the_page_as_it_is(read_page, name):
    plain = [tag for tag, _ in read_page(write_page(report(["plain"]))).elements]
    assert [tag for tag, _ in read_page(write_page(report([name]))).elements] == plain


def test_a_report_tells_the_most_important_first(read_page):
    found = read_page(write_page(report(["a", "b"])))
    assert [one["href"] for one in found.all("a")] == [
        *("#summary", "#scores", "#baseline", "#decisions", "#calibration", "#histograms"),
        *("#probes", "#pictures", "#training", "#configuration", "#versions"),
    ]
    targets = [f"#{one['id']}" for one in found.all("h2")]
    assert targets == [one["href"] for one in found.all("a")]


def test_the_summary_holds_the_numbers_to_read_first(read_page):
    text = " ".join(read_page(write_page(report(["a", "b"]))).text.split())
    for part in (
        "0.500 0.450 to 0.550",
        "2 of 2 recall 0.0 %",
        "2 of 2 100.0 %",
        "6 2 good, 4 defect",
        "test pictures of 2 classes",
    ):
        assert part in text


def test_without_thresholds_the_summary_counts_no_escapes(read_page):
    known = replace(findings(["a"]), decisions={}, realised={}, baseline=None)
    found = read_page(write_page(report(["a"], findings=known, calibration=None)))
    assert "defects that escape" not in found.text
    assert "is not calibrated" in found.text
    links = [one["href"] for one in found.all("a")]
    assert "#decisions" not in links
    assert "#baseline" not in links


def test_without_an_evaluation_training_is_told_and_the_verb_named(read_page):
    found = read_page(write_page(report(["a"], findings=None)))
    assert "snlad evaluate RUN DATA" in found.text
    assert [one["href"] for one in found.all("a")] == [
        *("#summary", "#calibration", "#probes", "#training", "#configuration", "#versions")
    ]
    assert "promised" in found.text


def test_numbers_that_are_undefined_are_dashes(read_page):
    table = ScoreTable("snlad-v1", {"a": ScoreRow()}, ScoreRow())
    known = Findings(table=table, scores={"a": {"normal": [1.0]}})
    found = read_page(write_page(report(["a"], findings=known)))
    for number in ("image AUROC", "pixel AUROC", "AUPRO"):
        assert f"{number}, mean over classes-" in found.text


def test_notes_come_before_the_numbers_and_only_where_there_are_some(read_page):
    text = read_page(write_page(report(["a"], notes=["the log is damaged"]))).text
    assert text.index("Worth knowing") < text.index("the log is damaged") < text.index("0.500")
    assert "Worth knowing" not in read_page(write_page(report(["a"], notes=[]))).text


def test_probes_are_numbers_and_a_matrix_or_a_sentence(read_page):
    found = read_page(write_page(report(["a"], probes=({"Mixup": 0.12345}, None))))
    assert found.tables["Numbers of the probes"][1:] == [["Mixup", "0.123"]]
    found = read_page(write_page(report(["a"], probes=({}, HISTOGRAM))))
    assert "Numbers of the probes" not in found.tables
    assert any("interference probes" in str(one["alt"]) for one in found.all("img"))
    found = read_page(write_page(report(["a"], probes=({}, None))))
    assert "was not probed" in found.text


def test_training_is_told_by_curves_counts_choices_and_versions(read_page):
    config = make_config().model_dump(mode="json")
    found = read_page(write_page(report(["a"], config=config, versions={"torch": "2.6"})))
    assert any("learning rate" in str(one["alt"]) for one in found.all("img"))
    assert found.tables["Normal training pictures"] == [["class", "pictures"], ["a", "5"]]
    settings = dict(found.tables["Settings"][1:])
    assert settings["method"] == '"rd-snl"'
    assert json.loads(settings["train.batch_size"]) == config["train"]["batch_size"]
    assert json.loads(settings["image_size"]) == [256, 256]
    assert found.tables["At training"][1:] == [["torch", "2.6"]]


def test_what_the_run_does_not_hold_is_said(read_page):
    found = read_page(write_page(report(["a"], log=[], versions={})))
    assert "no log of its training that can be read" in found.text
    assert "The run does not say." in found.text
    assert not any("learning rate" in str(one["alt"]) for one in found.all("img"))


def test_the_same_report_is_the_same_page():
    assert write_page(report(HOSTILE)) == write_page(report(HOSTILE))


def test_facts_stand_in_one_line(read_page):
    text = read_page(write_page(report(["a"], facts={"method": "rd", "model": "01"}))).text
    assert "method rd · model 01" in text

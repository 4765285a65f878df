"""Tables, CSV, LaTeX and plots of a study: the numbers of the rows, and no name leaves its cell."""

import csv
import io
import re
import warnings

import numpy as np
import pytest
from PIL import Image

from snlad.metrics.scores import METRICS
from snlad.study.breakdown import Breakdown
from snlad.study.folder import write_study
from snlad.study.jobs import open_jobs
from snlad.study.plots import draw_bars, draw_classes, draw_cost
from snlad.study.results import collect
from snlad.study.tables import facts, spread, study_tables

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "a & b \\\\ \\hline",
    "<script>x</script>|`",
    "$x_1^2$ %#{}",
    "螺丝🔩",
]


def numbers(value):
    return dict.fromkeys(METRICS, value)


def row_of(job, values, **changes):
    """A finished row with one number for each class and all metrics."""
    classes = {n: numbers(v) for n, v in zip(job.dataset.class_names, values, strict=True)}
    scores = [float(sample.is_anomalous) for sample in job.dataset.test]
    return {
        "key": job.key,
        "trial": job.run.trial,
        "method": job.run.config.method,
        "seed": job.run.config.seed,
        "commit": "abc1234",
        "hardware": {"device": "cpu", "precision": "float32", "threads": 1},
        "steps": 100,
        "train_seconds": 30.0,
        "scores": {
            "protocol": "snlad-v1",
            "classes": classes,
            "mean": numbers(sum(values) / len(values)),
            "pooled": {**numbers(0.5), "pixel_auroc": None},
        },
        "probes": {},
        "image_scores": scores,
        **changes,
    }


@pytest.fixture
def two(tiny_study):
    """Two trials: the baseline 0.5 and 0.7; the other one 0.1 higher, 0.2 in its second seed."""
    trials = [{"name": "rd", "method": "rd"}, {"name": "snl"}]
    plan = tiny_study(trials=trials, seeds=[0, 1], baseline="rd", traits={"grey": ["bright"]})
    jobs = open_jobs(plan.runs())
    gains = {("rd", 0): 0, ("rd", 1): 0, ("snl", 0): 0.1, ("snl", 1): 0.2}
    rows = [
        row_of(job, (0.5 + gain, 0.7 + gain))
        for job in jobs
        for gain in [gains[job.run.trial, job.run.config.seed]]
    ]
    return plan, jobs, rows


def tables_of(plan, results):
    """By title, without a plot."""
    breakdowns = {r.place: Breakdown(r.job.dataset.test, plan.traits) for r in results if r.rows}
    return {table.title: table for table in study_tables(plan, results, breakdowns)}


@pytest.fixture
def tables(two):
    plan, jobs, rows = two
    return tables_of(plan, collect(jobs, rows))


@pytest.fixture
def written(two, tmp_path):
    plan, jobs, rows = two
    write_study(tmp_path / "out", plan, collect(jobs, rows))
    return tmp_path / "out"


def test_a_mean_and_its_spread_worked_by_hand():
    assert spread(np.array([0.5, 0.7])) == "0.600 ± 0.141"
    assert spread(np.array([0.5])) == "0.500"
    assert spread(np.array([12.4, 13.0]), 0) == "13 ± 0"
    assert spread(np.array([])) == spread(np.array([0.5, np.nan])) == "-"


def test_the_summary_worked_by_hand(tables):
    rd, snl = tables["Mean over classes"].rows
    assert rd == ["rd", "2", "2", *["0.600 ± 0.000"] * 8, "100 ± 0", "30 ± 0"]
    assert snl == ["snl", "2", "2", *["0.750 ± 0.071"] * 8, "100 ± 0", "30 ± 0"]
    pooled = tables["Pooled over all pictures"].rows[0]
    assert pooled[3:7] == ["0.500 ± 0.000"] * 3 + ["-"]


def test_the_difference_worked_by_hand(tables):
    (line,) = tables["Differences to the baseline"].rows
    assert line == ["snl", "rd", "2", "2", *["+0.150 (+0.100..+0.200)"] * 7]


def test_the_mean_of_seven_is_that_of_the_seven(two):
    plan, jobs, rows = two
    for row in rows:
        row["scores"]["mean"] = {m: 0.1 * i for i, m in enumerate(METRICS, start=1)}
    line = tables_of(plan, collect(jobs, rows))["Mean over classes"].rows[0]
    assert line[9:11] == ["0.700 ± 0.000", "0.400 ± 0.000"]


def test_groups_of_classes_are_shown_alone(two):
    plan, jobs, rows = two
    for row in rows:
        row["scores"]["classes"]["dark"]["pixel_auroc"] = None
    groups = {"confirming": ("grey",), "choosing": ("dark", "grey"), "absent": ("grey", "green")}
    tables = tables_of(plan.model_copy(update={"groups": groups}), collect(jobs, rows))
    grey = tables["Mean over confirming (1 classes)"].rows
    assert grey[1][:4] == ["snl", "2", "1", "0.850 ± 0.071"]
    both = tables["Mean over choosing (2 classes)"].rows
    assert both[1][3] == "0.750 ± 0.071"
    assert both[1][6] == "0.850 ± 0.071"  # where a number is defined in one class, of that one
    (line,) = tables["Differences to the baseline, confirming (1 classes)"].rows
    assert line[:5] == ["snl", "rd", "2", "1", "+0.150 (+0.100..+0.200)"]
    assert not any("absent" in title for title in tables)


def test_a_group_without_a_defined_number_is_a_dash(two):
    plan, jobs, rows = two
    for row in rows:
        row["scores"]["classes"]["dark"]["pixel_auroc"] = None
    tables = tables_of(plan.model_copy(update={"groups": {"one": ("dark",)}}), collect(jobs, rows))
    assert tables["Mean over one (1 classes)"].rows[0][6] == "-"


def test_classes_and_kinds_of_defects_are_shown_by_trial(tables):
    for head in ("img AUROC", "px AUROC", "AUPRO"):
        table = tables[f"By class, {head}"]
        assert table.heads == ("class", "rd", "snl")
        assert table.rows[0] == ["dark", "0.500 ± 0.000", "0.650 ± 0.071"]
    assert tables["By defect type, img AUROC"].rows == [["spot", "2", "4", *["1.000 ± 0.000"] * 2]]
    assert tables["By trait, img AUROC"].rows == [["bright", "1", "2", *["1.000 ± 0.000"] * 2]]
    assert [row[2] for row in tables["By defect area, img AUROC"].rows] == ["4"]  # all alike


def test_trials_and_failures_are_counted(two):
    plan, jobs, rows = two
    rows = [row for row in rows if row["trial"] == "rd" or row["seed"] == 0]
    rows.append({"key": jobs[-1].key, "trial": "snl", "seed": 1, "error": "no memory; get some"})
    results = collect(jobs, rows)
    tables = tables_of(plan, results)
    assert tables["Trials by method"].rows == [
        ["rd", "1", "2", "2", "0"],
        ["rd-snl", "1", "2", "1", "1"],
    ]
    assert tables["Failed runs"].rows == [["snl", "1", "no memory; get some"]]
    assert tables["Differences to the baseline"].rows[0][2] == "1"
    assert facts(plan, results) == [
        "3 of 4 runs are finished, 1 failed.",
        "Protocol: snlad-v1.",
        "Commit: abc1234.",
        "Hardware: cpu float32 1 threads.",
        "Baseline: rd.",
    ]


def test_a_plan_without_rows_has_its_counts_and_no_plot(two, tmp_path):
    plan, jobs, _ = two
    (table,) = write_study(tmp_path, plan, collect(jobs, []))
    assert table.title == "Trials by method"
    assert {path.name for path in tmp_path.iterdir()} == {"study.md", "study.tex", "study.csv"}


def test_probes_are_shown_where_there_are_some(two):
    plan, jobs, rows = two
    found = {"mixup_image_auroc": 0.9, "cutpaste_image_auroc": 0.8, "cutpaste_pixel_auroc": None}
    rows = [{**row, "probes": found} if row["trial"] == "rd" else row for row in rows]
    tables = tables_of(plan, collect(jobs, rows))
    assert tables["Probes"].rows == [["rd", "0.900 ± 0.000", "0.800 ± 0.000", "-", "-"]]


def test_every_number_is_in_the_csv_at_full_precision(two, written):
    text = (written / "study.csv").read_text()
    lines = list(csv.DictReader(io.StringIO(text)))
    picked = [
        float(line["value"])
        for line in lines
        if (line["trial"], line["row"], line["name"]) == ("snl", "class", "dark")
    ]
    assert picked == [0.6] * 7 + [0.7] * 7
    undefined = [line["metric"] for line in lines if line["value"] == ""]
    assert "pixel_auroc" in undefined
    kinds = {line["row"] for line in lines}
    assert kinds == {"class", "mean", "pooled", "defect type", "defect area", "trait", "cost"}
    _, _, rows = two
    assert len(lines) == len(rows) * (4 * 7 + 3 + 5)


def test_the_same_rows_give_the_same_files(two, written, tmp_path):
    plan, jobs, rows = two
    folder = written
    write_study(tmp_path / "again", plan, collect(jobs, list(reversed(rows))))
    files = sorted(path.name for path in folder.iterdir())
    assert files == [
        *("bars.png", "classes.png", "seconds.png", "steps.png"),
        *("study.csv", "study.md", "study.tex"),
    ]
    for name in files:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
        if name.endswith(".png"):
            with Image.open(folder / name) as picture:
                assert min(picture.size) > 100
                assert f"![{name}]({name})" in (folder / "study.md").read_text()


@pytest.fixture
def hostile(tiny_study, tiny_data, tmp_path):
    (tiny_data / "grey").rename(tiny_data / "& _%$ =1+1")
    trials = [{"name": name, "settings": {"loss": {"inter": i}}} for i, name in enumerate(HOSTILE)]
    plan = tiny_study(trials=trials, data=tiny_data, title="a_b & | <i>", baseline=HOSTILE[0])
    jobs = open_jobs(plan.runs())
    return plan, collect(jobs, [row_of(job, (0.5, 0.75)) for job in jobs])


def test_hostile_names_keep_to_their_cells(hostile, tmp_path):
    plan, results = hostile
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that no font has is no reason to stop
        tables = write_study(tmp_path / "out", plan, results)
    for line in csv.reader(io.StringIO((tmp_path / "out/study.csv").read_text())):
        assert len(line) == 7
        assert not any(cell.startswith(("=", "+", "@")) for cell in line)
    markdown = (tmp_path / "out/study.md").read_text()
    assert "<script>" not in markdown
    summary = next(table for table in tables if table.title == "Mean over classes")
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    pipes = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines]
    assert pipes[: len(summary.rows) + 2] == [len(summary.heads) + 1] * (len(summary.rows) + 2)
    latex = (tmp_path / "out/study.tex").read_text()
    assert latex.count(r"\hline") == 3 * len(tables)
    assert "±" not in latex
    assert r"a\_b \& \textbar{} \textless{}i\textgreater{}" in latex


def texts(axes):
    return [*axes.get_xticklabels(), *axes.get_yticklabels()]


def test_plots_show_names_as_they_are(hostile):
    _, results = hostile
    bars, classes = draw_bars(results), draw_classes(results)
    shown = [text for text in texts(bars.axes[0]) if text.get_text() in HOSTILE]
    assert [text.get_text() for text in shown] == HOSTILE
    assert not any(text.get_parse_math() for text in (*shown, *texts(classes.axes[0])))
    legend = draw_cost(results, "steps", "steps").legends[0]
    assert [text.get_text() for text in legend.get_texts()] == HOSTILE


def test_bars_and_heat_map_show_the_numbers_of_the_rows(two):
    _, jobs, rows = two
    results = collect(jobs, rows)
    axes = draw_bars(results).axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.6, 0.75])
    assert axes.get_xlim()[0] < 0.6
    (image,) = draw_classes(results).axes[0].get_images()
    np.testing.assert_allclose(image.get_array(), [[0.5, 0.65], [0.7, 0.85]])
    cells = {text.get_position(): text.get_text() for text in draw_classes(results).axes[0].texts}
    assert cells[1, 0] == "0.65"


def test_the_values_of_a_grid_are_one_line(tiny_study):
    grid = {"train.steps": [40, 10, 20]}
    jobs = open_jobs(tiny_study(grid=grid, seeds=[0, 1]).runs())
    rows = [
        row_of(job, (0.5, 0.5 + job.run.config.train.steps / 100), steps=job.run.config.train.steps)
        for job in jobs
    ]
    axes = draw_cost(collect(jobs, rows), "steps", "steps").axes[0]
    (line,) = [one for one in axes.get_lines() if len(one.get_xdata()) == 3][:1]
    assert list(line.get_xdata()) == [10, 20, 40]
    assert list(line.get_ydata()) == pytest.approx([0.55, 0.6, 0.7])


def test_trials_on_other_classes_have_tables_of_their_own(tiny_study):
    trials = [
        {"name": "all", "method": "rd"},
        {"name": "grey", "method": "rd", "classes": ["grey"]},
    ]
    plan = tiny_study(trials=trials, baseline="all")
    jobs = open_jobs(plan.runs())
    rows = [row_of(jobs[0], (0.5, 0.75)), row_of(jobs[1], (1.0,))]
    tables = tables_of(plan, collect(jobs, rows))
    assert tables["By defect type, img AUROC, data, 2 classes"].rows == [
        ["spot", "2", "4", "1.000"]
    ]
    assert tables["By defect type, img AUROC, data, 1 classes"].rows == [
        ["spot", "1", "2", "1.000"]
    ]
    assert tables["By class, img AUROC"].rows == [
        ["dark", "0.500", "-"],
        ["grey", "0.750", "1.000"],
    ]
    (line,) = tables["Differences to the baseline"].rows
    assert line[:5] == ["grey", "all", "1", "1", "+0.250"]  # only the class that both have

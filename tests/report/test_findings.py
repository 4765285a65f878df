"""Sections of an evaluation: numbers and intervals, the baseline, histograms, chosen pictures."""

import pytest

from snlad.metrics.scores import METRICS, ByRow, ScoreRow, ScoreTable
from snlad.report.findings import (
    Findings,
    baseline_section,
    histogram_section,
    pictures_section,
    scores_section,
)
from snlad.report.gallery import Entry
from snlad.report.html import element

ROW = {metric: 0.5 + index / 100 for index, metric in enumerate(METRICS)}
TABLE = ScoreTable(
    "snlad-v1",
    {"<a>": ScoreRow(**ROW), "b": ScoreRow(**{**ROW, "aupro": None, "image_auroc": 0.7})},
    ScoreRow(**{**ROW, "image_auroc": 0.9}),
    intervals=ByRow(
        {"<a>": {"image_auroc": (0.4, 0.61234)}}, {"image_ap": (0.1, 0.2)}, {"image_ap": (0.3, 0.4)}
    ),
)
SCORES = {
    "<a>": {"normal": [1.0, 2.0], "defect": [3.0], "calibration": [1.5, 1.75]},
    "b": {"normal": [], "defect": [4.0, 5.0], "calibration": []},
}
CALIBRATION = {"classes": {"<a>": {"threshold": 2.5}}, "pooled": {"threshold": 3.5}}


def found(**changed) -> Findings:
    return Findings(**({"table": TABLE, "scores": SCORES} | changed))


@pytest.fixture
def show(read_page):
    """A section as a reader sees it."""
    return lambda section: read_page(element("div", *section.content).markup)


def test_a_row_a_class_then_mean_classes_and_pooled(show):
    (rows,) = show(scores_section(found())).tables.values()
    assert [row[0] for row in rows] == [
        *("class", "<a>", "b"),
        *("mean over classes", "classes in the mean", "pooled"),
    ]
    assert rows[0][1:] == [
        *("normals", "defects"),
        *("img AUROC", "img AP", "img F1", "px AUROC", "px AP", "px F1", "AUPRO"),
    ]


def test_numbers_stand_in_their_order_with_intervals_where_there_are_some(show):
    (rows,) = show(scores_section(found())).tables.values()
    assert rows[1] == [
        *("<a>", "2", "1", "0.500 0.400 to 0.612"),
        *("0.510", "0.520", "0.530", "0.540", "0.550", "0.560"),
    ]
    assert rows[3][3:5] == ["0.600", "0.510 0.100 to 0.200"]
    assert rows[5][1:5] == ["2", "3", "0.900", "0.510 0.300 to 0.400"]


def test_an_undefined_number_is_a_dash_and_the_mean_says_how_many_classes_it_covers(show):
    (rows,) = show(scores_section(found())).tables.values()
    assert rows[2][-1] == "-"
    assert rows[4][3:] == ["2"] * 6 + ["1"]


def test_the_caption_names_protocol_and_evaluator(show):
    (caption,) = show(scores_section(found())).tables
    assert "Protocol snlad-v1, exact" in caption
    assert "95 %" in caption


def test_both_models_stand_side_by_side_in_mean_and_pooled(show):
    other = ScoreTable(
        "snlad-v1",
        {"<a>": ScoreRow(**ROW), "b": ScoreRow(**{**ROW, "image_auroc": 0.8})},
        ScoreRow(**{**ROW, "image_auroc": 0.95, "aupro": None}),
    )
    view = show(baseline_section("baseline rd", other, TABLE, "rd-snl"))
    rows, by_class = view.tables.values()
    assert rows[0] == [
        *("number", "mean, baseline rd", "mean, rd-snl", "mean, difference"),
        *("pooled, baseline rd", "pooled, rd-snl", "pooled, difference"),
    ]
    assert rows[1] == ["img AUROC", "0.650", "0.600", "-0.050", "0.950", "0.900", "-0.050"]
    assert rows[7] == ["AUPRO", "0.560", "0.560", "+0.000", "-", "0.560", "-"]
    assert len(rows) == 8
    assert by_class[1:] == [
        ["<a>", *["+0.000"] * 7],
        ["b", "-0.100", *["+0.000"] * 5, "-"],
    ]


def test_histograms_are_told_in_words_too(show):
    view = show(histogram_section(found(), CALIBRATION))
    texts = [str(one["alt"]).split(": ") for one in view.all("img")]
    assert [head for head, _ in texts] == [
        f"Histogram of image scores, {label}" for label in ("all classes", "<a>", "b")
    ]
    assert [told.split(", ") for _, told in texts] == [
        [
            *("2 normal from 1 to 2", "3 defect from 3 to 5"),
            *("2 calibration from 1.5 to 1.75", "threshold 3.5"),
        ],
        [
            *("2 normal from 1 to 2", "1 defect from 3 to 3"),
            *("2 calibration from 1.5 to 1.75", "threshold 2.5"),
        ],
        ["2 defect from 4 to 5", "threshold 3.5"],
    ]
    assert "dashed line is the threshold" in view.text


def test_without_calibration_histograms_have_no_threshold(show):
    view = show(histogram_section(found(), None))
    assert not any("threshold" in str(one["alt"]) for one in view.all("img"))
    assert "not calibrated" in view.text


def test_a_single_class_has_one_histogram(show):
    view = show(histogram_section(found(scores={"b": SCORES["b"]}), None))
    assert len(view.all("img")) == 1


def entry(path: str) -> Entry:
    return Entry(path=path, class_name="b", defect_type="hole", score=1.0)


def headings(section) -> list[str]:
    return [
        one.markup.removeprefix("<h3>").removesuffix("</h3>")
        for one in section.content
        if not isinstance(one, str) and one.markup.startswith("<h3>")
    ]


def test_chosen_pictures_stand_under_what_they_were_chosen_for(show):
    section = pictures_section(
        found(misses=[entry("m.png")], alarms=[entry("f.png")], picks=[entry("p.png")], seed=7)
    )
    assert headings(section) == ["Worst misses", "Worst false alarms", "Picked by seed"]
    tables = show(section).tables
    assert [rows[1][0].split()[-1] for rows in tables.values()] == ["m.png", "f.png", "p.png"]
    assert "One defect a class, drawn with seed 7" in tables


def test_gains_and_losses_are_told_of_a_comparison_alone(show):
    gains = {"gains": [entry("up.png")], "losses": [entry("down.png")]}
    assert "Largest gains" not in headings(pictures_section(found(**gains)))
    section = pictures_section(found(**gains, baseline=("baseline rd", TABLE)))
    assert headings(section)[-2:] == ["Largest gains", "Largest losses"]
    rows = list(show(section).tables.values())
    assert [row[1][0].split()[-1] for row in rows] == ["up.png", "down.png"]


def test_where_nothing_was_chosen_the_report_says_so(show):
    view = show(pictures_section(found()))
    assert view.text.count("There is none.") == 3
    assert view.tables == {}


def test_colours_are_explained_where_maps_are_shown(show):
    assert "pixel threshold" not in show(pictures_section(found())).text
    shown = found(heads=["picture", "map, rd"], uncalibrated=["map, rd"])
    text = show(pictures_section(shown)).text
    assert "tied to the threshold" in text
    assert "“map, rd” is not calibrated" in text

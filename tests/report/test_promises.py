"""Promises: what thresholds promise, what they did, and where it was more than promised."""

import pytest

from snlad.metrics.decisions import Decision, decision_table
from snlad.report.html import element
from snlad.report.promises import (
    calibration_section,
    decisions_section,
    percent,
    percents,
)


def limits(n: int, fpr: float) -> dict:
    return {
        "n": n,
        "threshold": 1.25,
        "pixel_threshold": 2.5,
        "attainable_fpr": fpr,
        "is_short": fpr > 0.05,
    }


CALIBRATION = {
    "version": 3,
    "created": "2026-11-25T12:00:00+00:00",
    "target_fpr": 0.05,
    "classes": {"a": limits(40, 2 / 41), "<b>": limits(9, 0.1)},
    "pooled": limits(49, 0.04),
}


def judged(class_name: str, alarms: int, normals: int, escapes: int = 0, defects: int = 0) -> list:
    """Decisions with so many false alarms among the normals and escapes among the defects."""
    return [Decision(class_name, "good", False, i < alarms) for i in range(normals)] + [
        Decision(class_name, "hole", True, i >= escapes) for i in range(defects)
    ]


def section_page(section, read_page):
    return read_page(element("div", *section.content).markup)


def test_shares_are_shown_in_per_cent():
    assert (percent(0.0512), percent(1.0), percent(None)) == ("5.1 %", "100.0 %", "-")
    assert (percents((0.0, 0.12345)), percents(None)) == ("0.0 to 12.3 %", "-")


def test_without_calibration_the_verb_that_makes_one_is_named(read_page):
    found = section_page(calibration_section(None, {}), read_page)
    assert "The model is not calibrated" in found.text
    assert "snlad calibrate" in found.text
    assert found.tables == {}


def test_thresholds_stand_with_target_and_promise(read_page):
    found = section_page(calibration_section(CALIBRATION, {}), read_page)
    assert "Version 3 of 2026-11-25T12:00:00+00:00 was asked for 5.0 %" in found.text
    (rows,) = found.tables.values()
    assert rows == [
        ["class", "calibration pictures", "threshold", "pixel threshold", "target", "promised"],
        ["a", "40", "1.25", "2.5", "5.0 %", "4.9 %"],
        ["<b>", "9", "1.25", "2.5", "5.0 %", "10.0 %"],
        ["pooled", "49", "1.25", "2.5", "5.0 %", "4.0 %"],
    ]


REALISED = {
    "pooled threshold": decision_table([*judged("a", 0, 20), *judged("<b>", 5, 10)]),
    "class threshold": decision_table([*judged("a", 1, 20), *judged("<b>", 6, 10)]),
    "guessed class threshold": decision_table([*judged("a", 2, 20), *judged("<b>", 0, 10)]),
}


def realised_rows(read_page, calibration=CALIBRATION, realised=REALISED) -> dict[str, list[str]]:
    found = section_page(calibration_section(calibration, realised), read_page)
    rows = found.tables["Good test pictures called NG, by policy"]
    assert rows[0] == ["class", *realised]
    return {row[0]: row[1:] for row in rows[1:]}


def test_the_realised_rate_stands_with_its_interval_and_promise_by_class_and_policy(read_page):
    """0 of 20: Clopper-Pearson ends at 1 - 0.025^(1/20) = 0.168; 1 of 20 at 0.249."""
    rows = realised_rows(read_page)
    assert rows["a"] == [
        "0.0 % 0 of 20: 0.0 to 16.8 %",
        "5.0 % 1 of 20: 0.1 to 24.9 % promised 4.9 %",
        "10.0 % 2 of 20: 1.2 to 31.7 %",
    ]


def test_a_rate_whose_interval_lies_above_the_promise_is_marked(read_page):
    """6 of 10 lies in 26.2 to 87.8 %, and 10 % was promised."""
    rows = realised_rows(read_page)
    assert rows["<b>"][1].startswith("60.0 % 6 of 10: 26.2 to 87.8 % promised 10.0 %")
    assert rows["<b>"][1].endswith("above the promise")
    assert "promise" not in rows["<b>"][0] + rows["<b>"][2]  # nothing was promised there
    assert "above" not in rows["a"][1]


def test_all_classes_have_the_pooled_promise_or_the_weakest_of_a_class(read_page):
    pooled, own, guessed = realised_rows(read_page)["all classes"]
    assert "promised 4.0 %" in pooled
    assert "promised 10.0 %" in own
    assert "promised" not in guessed


def test_a_class_without_calibration_pictures_has_no_promise(read_page):
    known = {**CALIBRATION, "classes": {"a": limits(40, 2 / 41)}}
    rows = realised_rows(read_page, known)
    assert "promised 4.9 %" in rows["a"][1]
    assert "promised" not in rows["<b>"][1] + rows["all classes"][1]
    assert "promised 4.0 %" in rows["all classes"][0]


def test_a_class_without_normal_test_pictures_has_no_rate(read_page):
    tables = {"class threshold": decision_table(judged("a", 0, 0, 1, 2))}
    rows = realised_rows(read_page, realised=tables)
    assert rows == {"a": ["-"], "all classes": ["-"]}


DECIDED = [*judged("a", 1, 20, 2, 4), *judged("<b>", 0, 10), Decision("a", "<i>", True, True)]


def test_decisions_stand_by_policy_class_and_defect_type(read_page):
    tables = {
        "pooled threshold": decision_table(judged("a", 0, 1)),
        "class threshold": decision_table(DECIDED),
    }
    found = section_page(decisions_section(tables), read_page)
    every, by_class, by_type = found.tables.values()
    assert [row[0] for row in every] == ["policy", "pooled threshold", "class threshold"]
    assert every[2][1:] == [
        *("5", "2", "60.0 %", "14.7 to 94.7 %"),
        *("30", "1", "3.3 %", "0.1 to 17.2 %"),
    ]
    assert [row[0] for row in by_class] == ["class", "<b>", "a"]
    assert by_class[1][1:5] == ["0", "0", "-", "-"]
    assert by_type == [
        ["class and defect", "defects", "escapes", "recall", "95 %"],
        ["a: <i>", "1", "0", "100.0 %", "2.5 to 100.0 %"],
        ["a: hole", "4", "2", "50.0 %", "6.8 to 93.2 %"],
    ]


@pytest.mark.parametrize("alarms", range(0, 41, 5))
def test_the_mark_follows_the_interval(read_page, alarms):
    """Of 40 pictures: above 4.9 % for sure once the exact interval begins beyond it."""
    from scipy.stats import beta

    table = decision_table(judged("a", alarms, 40))
    (cell,) = realised_rows(read_page, realised={"class threshold": table})["a"]
    low = beta.ppf(0.025, alarms, 41 - alarms) if alarms else 0.0
    assert ("above the promise" in cell) is bool(low > 2 / 41)

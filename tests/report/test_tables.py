"""Tables: the seven numbers in their order, undefined ones as a dash, columns aligned."""

from snlad.metrics.decisions import Decision, decision_table
from snlad.metrics.scores import METRICS
from snlad.report.tables import (
    align,
    format_interference,
    format_limits,
    format_repeatability,
    format_scores,
)

ROW = {metric: 0.5 + index / 100 for index, metric in enumerate(METRICS)}
SCORES = {
    "protocol": "snlad-v1",
    "evaluator": "exact",
    "n_classes": {**dict.fromkeys(METRICS, 2), "aupro": 1},
    "classes": {"a": ROW, "long name": {**ROW, "aupro": None}},
    "mean": ROW,
    "pooled": {**ROW, "image_auroc": 1.0},
    "intervals": {"classes": {}, "mean": {}, "pooled": {}},
}


def test_a_row_a_class_then_mean_classes_and_pooled():
    lines = format_scores(SCORES).splitlines()
    assert lines[0] == "protocol snlad-v1, exact"
    heads = [line.split("  ")[0] for line in lines[1:]]
    assert heads == [
        "class",
        "a",
        "long name",
        "mean over classes",
        "classes in the mean",
        "pooled",
    ]


def test_numbers_stand_in_protocol_order():
    (line,) = (line for line in format_scores(SCORES).splitlines() if line.startswith("a "))
    assert line.split()[1:] == ["0.500", "0.510", "0.520", "0.530", "0.540", "0.550", "0.560"]


def test_an_undefined_number_is_a_dash_and_never_a_zero():
    (line,) = (line for line in format_scores(SCORES).splitlines() if line.startswith("long name"))
    assert line.split()[-1] == "-"


def test_the_mean_says_how_many_classes_it_covers():
    (line,) = (line for line in format_scores(SCORES).splitlines() if line.startswith("classes in"))
    assert line.split()[4:] == ["2"] * 6 + ["1"]


def test_columns_are_aligned():
    text = align([["a", "1"], ["long", "100"]])
    assert text == "a       1\nlong  100"


def test_intervals_stand_below_the_table():
    intervals = {"classes": {}, "mean": {"image_auroc": (0.4, 0.61234)}, "pooled": {}}
    text = format_scores({**SCORES, "intervals": intervals})
    assert text.splitlines()[-1] == "95 % interval over images, mean: img AUROC 0.400..0.612"


def test_decisions_have_a_row_a_class_a_defect_type_and_all():
    seen = [
        Decision("a", "good", False, True),
        Decision("a", "hole", True, False),
        Decision("b", "hole", True, True),
    ]
    decisions = {"class threshold": decision_table(seen).to_dict()}
    lines = format_scores({**SCORES, "decisions": decisions}).splitlines()[-6:]
    assert [line.split("  ")[0] for line in lines[:2]] == ["class threshold", "a"]
    assert [line.strip().split()[0] for line in lines[2:]] == ["hole", "b", "hole", "all"]
    assert lines[1].split() == [
        *("a", "1", "1", "0.000", "0.000..0.975"),
        *("1", "1", "1.000", "0.025..1.000"),
    ]
    assert lines[3].split()[-3:] == ["0", "-", "-"]


def test_thresholds_say_what_they_promise_and_where_pictures_are_too_few():
    row = {"n": 40, "threshold": 1.23456, "pixel_threshold": 2.0, "attainable_fpr": 2 / 41}
    short = {**row, "n": 5, "attainable_fpr": 1 / 6, "is_short": True}
    lines = format_limits({"a": {**row, "is_short": False}}, short).splitlines()
    assert lines[1].split() == ["a", "40", "1.235", "2", "0.049"]
    assert lines[2].split() == ["pooled", "5", "1.235", "2", "0.167", "(too", "few)"]


def test_classes_that_share_thresholds_are_marked_and_named_below():
    row = {"n": 40, "threshold": 1.0, "pixel_threshold": 2.0, "attainable_fpr": 0.5}
    classes = {
        "a": {**row, "is_short": False},
        "b": {**row, "is_short": True},
        "c": {**row, "is_short": False},
    }
    text = format_limits(classes, classes["c"], [["a", "b", "absent"], ["x", "y"]])
    lines = text.splitlines()
    assert lines[1].endswith("0.500 (shared)")
    assert lines[2].endswith("0.500 (too few, shared)")
    assert lines[3].endswith("0.500")
    assert lines[4].startswith("pooled")
    assert lines[5:] == [
        "cannot be told apart, thresholds shared: a, b, absent",
        "cannot be told apart, thresholds shared: x, y",
    ]


def test_repeatability_is_a_row_a_class() -> None:
    row = {"repeats": 3, "shots": 7, "deviation": 0.01234, "widest": 1.5, "flips": 1}
    lines = format_repeatability({"nut": row}).splitlines()
    assert lines[0].split("  ")[0] == "class"
    assert lines[1].split() == ["nut", "3", "7", "0.0123", "1.5", "1"]


PROBES = {
    "mixup_image_auroc": 0.98765,
    "cutpaste_image_auroc": 0.5,
    "cutpaste_pixel_auroc": 1.0,
    "eta_squared": 0.0123,
    "mixups": 200,
    "cutpastes": 200,
    "seed": 0,
    "normals": 63,
}


def test_interference_is_one_line_below_everything_else():
    text = format_scores({**SCORES, "probes": PROBES})
    assert text.splitlines()[-1] == (
        "interference: Mixup image AUROC 0.988, CutPaste image 0.500 / pixel 1.000, "
        "eta squared 0.012 (n = 200 each, seed 0)"
    )
    seen = [Decision("a", "good", False, True)]
    decisions = {"class threshold": decision_table(seen).to_dict()}
    both = format_scores({**SCORES, "decisions": decisions, "probes": PROBES})
    assert both.splitlines()[-1] == text.splitlines()[-1]


def test_a_model_that_was_not_probed_says_how_to_probe_it_and_maps_say_nothing():
    text = format_scores({**SCORES, "probes": {}})
    assert text.splitlines()[-1] == "interference: not probed; snlad probe RUN DATA"
    assert "interference" not in format_scores(SCORES)


def test_interference_that_is_undefined_is_a_dash_and_unequal_counts_are_both_told():
    nulls = {name: None for name in PROBES if "auroc" in name or "eta" in name}
    assert format_interference({**PROBES, **nulls, "mixups": 0, "cutpastes": 0}) == (
        "interference: Mixup image AUROC -, CutPaste image - / pixel -, "
        "eta squared - (n = 0 each, seed 0)"
    )
    fewer = format_interference({**PROBES, "cutpastes": 187, "seed": 5})
    assert fewer.endswith("(n = 200 and 187, seed 5)")

"""Tables: the seven numbers in their order, undefined ones as a dash, columns aligned."""

from snlad.metrics.scores import METRICS
from snlad.report.tables import align, format_scores

ROW = {metric: 0.5 + index / 100 for index, metric in enumerate(METRICS)}
SCORES = {
    "protocol": "snlad-v1",
    "n_classes": {**dict.fromkeys(METRICS, 2), "aupro": 1},
    "classes": {"a": ROW, "long name": {**ROW, "aupro": None}},
    "mean": ROW,
    "pooled": {**ROW, "image_auroc": 1.0},
}


def test_a_row_a_class_then_mean_classes_and_pooled():
    lines = format_scores(SCORES).splitlines()
    assert lines[0] == "protocol snlad-v1"
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

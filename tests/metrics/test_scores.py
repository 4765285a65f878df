"""Rows and tables: means, null, and the published form in JSON."""

import json
import math

import pytest

from snlad.errors import MetricError, UsageError
from snlad.metrics.scores import METRICS, ByRow, ScoreRow, ScoreTable

FULL = ScoreRow(**dict(zip(METRICS, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], strict=True)))
IMAGES_ONLY = ScoreRow(image_auroc=0.5, image_ap=0.0)
TABLE = ScoreTable(
    "snlad-v1",
    {"a": FULL, "b": IMAGES_ONLY},
    FULL,
    "streaming",
    ByRow({"a": {"image_ap": (0.1, 0.3)}, "b": {}}, {}, {"image_ap": (0.0, 0.5)}),
    ByRow({"a": {"aupro": 1e-5}}, {"aupro": 1e-5}, {"aupro": 2e-5}),
)


def values(row: ScoreRow) -> list[float | None]:
    return [getattr(row, metric) for metric in METRICS]


def test_the_seven_metrics_keep_their_order() -> None:
    assert METRICS == (
        "image_auroc",
        "image_ap",
        "image_f1_max",
        "pixel_auroc",
        "pixel_ap",
        "pixel_f1_max",
        "aupro",
    )


def test_mad_is_the_mean_of_the_seven() -> None:
    assert FULL.mad == pytest.approx(0.4)


@pytest.mark.parametrize("metric", METRICS)
def test_mad_is_undefined_where_any_metric_is(metric: str) -> None:
    known = dict(zip(METRICS, values(FULL), strict=True))
    assert ScoreRow(**(known | {metric: None})).mad is None


def test_mad_counts_a_metric_of_zero() -> None:
    assert ScoreRow(**dict.fromkeys(METRICS, 0.0)).mad == 0.0


def test_the_mean_covers_the_classes_where_a_metric_is_defined() -> None:
    assert TABLE.mean.image_auroc == pytest.approx(0.3)
    assert TABLE.mean.image_ap == pytest.approx(0.1)  # a zero is a value, not a gap
    assert TABLE.mean.aupro == 0.7
    assert list(TABLE.n_classes.values()) == [2, 2, 1, 1, 1, 1, 1]


def test_a_mean_over_no_class_is_null() -> None:
    table = ScoreTable("snlad-v1", {}, ScoreRow())
    assert values(table.mean) == [None] * 7
    assert set(table.n_classes.values()) == {0}


def test_to_dict_has_exactly_the_published_form() -> None:
    content = TABLE.to_dict()
    rows = ["classes", "mean", "pooled"]
    assert list(content) == [
        *("protocol", "evaluator", "n_classes", *rows, "intervals", "bounds"),
    ]
    assert (content["protocol"], content["evaluator"]) == ("snlad-v1", "streaming")
    assert content["n_classes"] == TABLE.n_classes
    assert list(content["classes"]) == ["a", "b"]
    for row in (content["mean"], content["pooled"], *content["classes"].values()):
        assert tuple(row) == METRICS
    assert list(content["intervals"]) == list(content["bounds"]) == rows


def test_undefined_numbers_are_null_in_json() -> None:
    text = json.dumps(ScoreTable("snlad-v1", {"a": ScoreRow()}, FULL).to_dict(), allow_nan=False)
    assert json.loads(text)["classes"]["a"] == dict.fromkeys(METRICS)


def test_a_table_survives_json() -> None:
    again = ScoreTable.from_dict(json.loads(json.dumps(TABLE.to_dict())))
    assert again == TABLE
    assert again.to_dict() == TABLE.to_dict()


@pytest.mark.parametrize(
    "damage",
    [
        {"pooled": None},
        {"pooled": {"image_auroc": 0.5}},
        {"classes": ["a"]},
        {"classes": {"a": dict.fromkeys(METRICS) | {"extra": 0.5}}},
        {"classes": {"a": dict.fromkeys(METRICS, 1.5)}},
        {"classes": {"a": dict.fromkeys(METRICS, math.nan)}},
        {"classes": {"a": dict.fromkeys(METRICS, "0.5")}},
        {"intervals": {"classes": {}, "mean": {"image_ap": [0.5]}, "pooled": {}}},
        {"bounds": {"classes": {}, "mean": {"aupro": "small"}, "pooled": {}}},
    ],
)
def test_a_damaged_table_is_refused(damage: dict) -> None:
    with pytest.raises(MetricError, match="score table cannot be read"):
        ScoreTable.from_dict(TABLE.to_dict() | damage)


@pytest.mark.parametrize("part", ["protocol", "evaluator", "bounds"])
def test_a_table_without_a_part_is_refused(part: str) -> None:
    content = TABLE.to_dict()
    del content[part]
    with pytest.raises(MetricError, match=part):
        ScoreTable.from_dict(content)


def test_a_table_of_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(UsageError, match="'v2' is unknown"):
        ScoreTable.from_dict(TABLE.to_dict() | {"protocol": "v2"})

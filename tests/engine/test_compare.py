"""Comparison: differences and flips worked by hand, and what cannot be compared."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.engine.compare import compare, require_one_protocol, require_thresholds
from snlad.engine.evaluated_run import EvaluatedRun
from snlad.engine.scored import ScoredPicture
from snlad.errors import UsageError
from snlad.metrics.flips import KINDS, FlipRow
from snlad.metrics.scores import METRICS, ScoreRow, ScoreTable

NOTHING = dict.fromkeys(METRICS)


def picture(name, score, class_name="a", **changed) -> ScoredPicture:
    """Names with a d are defects."""
    bad = "d" in name
    row = {
        "path": f"{class_name}/{name}.png",
        "sha256": "5" * 64,
        "class_name": class_name,
        "defect_type": "hole" if bad else "good",
        "is_anomalous": bad,
        "score": score,
    }
    return ScoredPicture(**(row | changed))


def evaluated(name, pictures, thresholds=1.0, **rows) -> EvaluatedRun:
    """Rows are by class; the pool has the numbers of the first."""
    names = sorted({one.class_name for one in pictures})
    classes = {one: rows.get(one, ScoreRow()) for one in names}
    table = ScoreTable("snlad-v1", classes, next(iter(classes.values()), ScoreRow()))
    limits = None if thresholds is None else dict.fromkeys(names, thresholds)
    ordered = sorted(pictures, key=lambda one: (one.class_name, one.path))
    return EvaluatedRun(name, table, limits, ordered)


def moved(pictures, *scores) -> list[ScoredPicture]:
    pairs = zip(pictures, scores, strict=True)
    return [one.model_copy(update={"score": score}) for one, score in pairs]


PICTURES = [picture("d0", 0.0), picture("d1", 2.0), picture("n0", 2.0), picture("n1", 0.0)]


def test_differences_are_b_minus_a():
    a = evaluated("a", PICTURES, a=ScoreRow(image_auroc=0.75, aupro=0.5))
    b = evaluated("b", PICTURES, a=ScoreRow(image_auroc=0.5, aupro=0.75))
    found = compare(a, b)
    expected = {**NOTHING, "image_auroc": -0.25, "aupro": 0.25}
    assert found.differences.classes == {"a": expected}
    assert found.differences.mean == found.differences.pooled == expected


def test_a_number_that_one_side_lacks_is_left_out_on_both_and_in_the_mean():
    pictures = [*PICTURES, *(picture(n, 0.0, "b") for n in ("d0", "n0"))]
    a = evaluated("a", pictures, a=ScoreRow(aupro=0.5), b=ScoreRow(aupro=1.0))
    b = evaluated("b", pictures, a=ScoreRow(aupro=0.75))
    for first, second, sign in ((a, b, 1), (b, a, -1)):
        found = compare(first, second)
        assert found.differences.classes["b"] == NOTHING
        assert found.differences.mean == {**NOTHING, "aupro": sign * 0.25}
        content = found.to_dict()
        assert content["n_classes"] == {**dict.fromkeys(METRICS, 0), "aupro": 1}
        assert content["a"]["classes"]["b"] == content["b"]["classes"]["b"] == NOTHING
        assert content["a"]["mean"]["aupro"] + sign * 0.25 == content["b"]["mean"]["aupro"]


def test_the_interval_is_that_of_the_same_images():
    """Class a turns from chance to certainty; in class b nothing changes."""
    pictures = [picture(f"{kind}{i:02}", float(i), name) for name in "ab" for kind in "dn"
                for i in range(20)]  # fmt: skip
    better = [
        one.model_copy(update={"score": one.score + 100})
        if one.class_name == "a" and one.is_anomalous
        else one
        for one in pictures
    ]
    found = compare(evaluated("a", pictures), evaluated("b", better))
    low, high = found.intervals.classes["a"]["image_auroc"]
    assert 0.2 < low < 0.5 < high < 0.8
    assert found.intervals.classes["b"]["image_auroc"] == (0.0, 0.0)
    half = found.intervals.mean["image_auroc"]
    assert half == pytest.approx((low / 2, high / 2))


def test_flips_worked_by_hand():
    a = evaluated("a", PICTURES)
    b = evaluated("b", moved(PICTURES, 1.5, 1.0, 0.5, 1.1))
    found = compare(a, b)
    assert [(flip.path, flip.kind) for flip in found.flips] == [
        ("a/d0.png", "escape mended"),
        ("a/d1.png", "new escape"),  # a score at the threshold is OK
        ("a/n0.png", "false alarm mended"),
        ("a/n1.png", "new false alarm"),
    ]
    first = found.flips[0]
    assert (first.score_a, first.threshold_a, first.score_b, first.threshold_b) == (0, 1, 1.5, 1)
    assert (first.class_name, first.defect_type) == ("a", "hole")
    assert found.flip_counts.classes["a"] == FlipRow(2, 1, 1, 1.0, 2, 1, 1, 1.0)


def test_each_side_judges_by_its_own_thresholds():
    a, b = evaluated("a", PICTURES, 1.0), evaluated("b", PICTURES, 3.0)
    flips = compare(a, b).flips
    assert [(flip.path, flip.kind) for flip in flips] == [
        ("a/d1.png", "new escape"),
        ("a/n0.png", "false alarm mended"),
    ]
    assert {(flip.threshold_a, flip.threshold_b) for flip in flips} == {(1.0, 3.0)}


def test_flips_are_sorted_by_class_then_kind_then_path():
    names = ["n3", "n2", "d1", "d0"]
    pictures = [picture(name, 2.0, kind) for name in names for kind in "ba"]
    flips = compare(evaluated("a", pictures), evaluated("b", moved(pictures, *[0.0] * 8))).flips
    order = [(flip.class_name, KINDS.index(flip.kind), flip.path) for flip in flips]
    assert order == sorted(order)
    assert len(order) == 8


def test_the_order_of_the_data_does_not_matter():
    b = moved(PICTURES, 1.5, 1.0, 0.5, 1.1)
    one = compare(evaluated("a", PICTURES), evaluated("b", b))
    other = compare(evaluated("a", PICTURES[::-1]), evaluated("b", b[2:] + b[:2]))
    assert one.to_dict() == other.to_dict()


@given(st.lists(st.tuples(st.booleans(), st.floats(-5, 5)), min_size=1, max_size=12))
@settings(deadline=None, derandomize=True, max_examples=10)
def test_a_run_against_itself_changes_nothing(rows):
    pictures = [picture(f"{'d' if bad else 'n'}{i}", x) for i, (bad, x) in enumerate(rows)]
    run = evaluated("a", pictures, a=ScoreRow(**dict.fromkeys(METRICS, 0.5)))
    found = compare(run, run)
    assert found.flips == []
    assert set(found.differences.classes["a"].values()) == {0.0}
    for row in (*found.intervals.classes.values(), found.intervals.mean, found.intervals.pooled):
        assert set(row.values()) <= {(0.0, 0.0)}
    counted = found.flip_counts.pooled
    assert (counted.defects + counted.normals) == len(rows)
    assert {counted.defects_p, counted.normals_p} <= {1.0, None}


def test_there_and_back_are_opposites():
    a, b = evaluated("a", PICTURES), evaluated("b", moved(PICTURES, 1.5, 1.0, 0.5, 0.9))
    there, back = compare(a, b).flip_counts.pooled, compare(b, a).flip_counts.pooled
    assert (there.escapes_mended, there.new_escapes) == (back.new_escapes, back.escapes_mended)
    assert (there.false_alarms_mended, there.new_false_alarms) == (1, 0)
    assert (back.false_alarms_mended, back.new_false_alarms) == (0, 1)


def test_views_of_one_part_are_listed_apart_and_counted_once():
    views = [picture(name, 2.0, part_id="p") for name in ("d0", "d1")] + [picture("d2", 2.0)]
    a = evaluated("a", views)
    one_view = compare(a, evaluated("b", moved(views, 0.0, 2.0, 2.0)))
    assert len(one_view.flips) == 1
    assert one_view.flip_counts.pooled.new_escapes == 0  # the other view still finds it
    both = compare(a, evaluated("b", moved(views, 0.0, 0.0, 0.0)))
    assert len(both.flips) == 3
    assert (both.flip_counts.pooled.defects, both.flip_counts.pooled.new_escapes) == (2, 2)


@pytest.mark.parametrize(("a", "b"), [(None, 1.0), (1.0, None), (None, None)])
def test_without_thresholds_there_are_numbers_and_no_flips(a, b):
    found = compare(evaluated("a", PICTURES, a), evaluated("b", PICTURES, b))
    assert found.flips is found.flip_counts is None
    content = found.to_dict()
    assert content["flips"] is content["flip_counts"] is None
    assert found.intervals.classes["a"]


def test_the_comparison_is_json():
    content = compare(evaluated("a", PICTURES), evaluated("b", PICTURES)).to_dict()
    again = json.loads(json.dumps(content, allow_nan=False))
    assert list(again) == [
        *("protocol", "data", "pictures", "n_classes", "a", "b"),
        *("differences", "intervals", "flips", "flip_counts"),
    ]
    assert again["pictures"] == 4
    assert again["a"]["run"] == "a"


@pytest.mark.parametrize(
    "changed",
    [
        {"sha256": "6" * 64},
        {"mask_sha256": "6" * 64},
        {"path": "a/other.png"},
        {"defect_type": "scratch"},
    ],
)
def test_other_data_is_refused_with_what_to_do(changed):
    others = [PICTURES[0].model_copy(update=changed), *PICTURES[1:]]
    with pytest.raises(UsageError, match=r"a run and b run were evaluated on different data.*"):
        compare(evaluated("a run", PICTURES), evaluated("b run", others))
    with pytest.raises(UsageError, match=r"snlad evaluate RUN DATA, or give  --data DATA"):
        compare(evaluated("a", PICTURES), evaluated("b", PICTURES[1:]))


def test_other_rules_are_refused_before_other_data():
    a, b = evaluated("a run", PICTURES), evaluated("b run", PICTURES[1:])
    b = replace(b, table=replace(b.table, protocol="snlad-v1-max"))
    with pytest.raises(UsageError, match=r"a run .*snlad-v1 and b run .*snlad-v1-max.*maps.score"):
        compare(a, b)
    require_one_protocol("a", "snlad-v1", "b", "snlad-v1")


def test_a_limit_of_flips_needs_thresholds_in_both():
    require_thresholds({"a": True, "b": True})
    with pytest.raises(
        UsageError, match=r"b run has no thresholds; set some with  snlad calibrate"
    ):
        require_thresholds({"a": True, "b run": False})

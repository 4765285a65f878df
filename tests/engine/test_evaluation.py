"""Decisions on scored pictures: by policy, and by part where a part has several views."""

import pytest

from snlad.calibration.record import Calibration, find_limits
from snlad.engine.evaluation import decide
from snlad.engine.scored import ScoredPicture


def calibration(**changed) -> Calibration:
    """Class a is OK up to about 10, class b up to about 1."""
    scores = {"a": [10.0] * 20, "b": [1.0] * 20}
    classes, pooled = find_limits(scores, scores, 0.05)
    return Calibration(
        version=1,
        previous=None,
        created="",
        by="",
        target_fpr=0.05,
        source="",
        data="",
        model="",
        classes=classes,
        pooled=pooled,
        scores=scores,
        peaks=scores,
        **changed,
    )


def picture(score, class_name="a", *, bad=False, **changed) -> ScoredPicture:
    kind = "hole" if bad else "good"
    return ScoredPicture(
        path=f"{class_name}/{score}.png",
        sha256="5" * 64,
        class_name=class_name,
        defect_type=kind,
        is_anomalous=bad,
        score=score,
        **changed,
    )


def test_each_policy_has_its_threshold():
    pictures = [picture(5.0), picture(5.0, "b"), picture(11.0)]
    tables, decided = decide(calibration(), pictures)
    assert list(tables) == ["pooled threshold", "class threshold"]
    by_class = [one.is_ng["class threshold"] for one in decided]
    assert by_class == [False, True, True]
    assert [one.is_ng["pooled threshold"] for one in decided] == [False, False, True]
    assert tables["class threshold"].pooled.false_alarms == 2
    assert [one.score for one in decided] == [5.0, 5.0, 11.0]


def test_a_picture_of_no_class_is_never_passed():
    known = calibration(class_scales={"a": 1.0, "b": 1.0}, unknown_above=2.0, unknown_rate=0.01)
    pictures = [picture(0.0, answer="a"), picture(0.0, answer=None), picture(5.0, answer="b")]
    tables, decided = decide(known, pictures)
    assert [one.is_ng["guessed class threshold"] for one in decided] == [False, True, True]
    assert tables["guessed class threshold"].pooled.false_alarms == 2


def test_the_views_of_a_part_count_once():
    """A part is NG where any view is, and a defect where any view shows one."""
    pictures = [
        picture(0.0, part_id="p1"),
        picture(11.0, part_id="p1"),  # a false alarm on one of two views
        picture(0.0, part_id="p2"),
        picture(11.0, bad=True, part_id="p2"),  # found by one view
        picture(0.0, bad=True, part_id="p3"),
        picture(0.0, part_id="p3"),  # escaped in both
        picture(0.0),
        picture(0.0),  # two pictures without a part are two parts
    ]
    row = decide(calibration(), pictures)[0]["class threshold"]
    assert (row.pooled.normals, row.pooled.false_alarms) == (3, 1)
    assert (row.pooled.defects, row.pooled.escapes) == (2, 1)
    assert row.defect_types["a"]["hole"].defects == 2


def test_the_same_part_name_in_two_classes_is_two_parts():
    pictures = [picture(11.0, part_id="p"), picture(0.0, "b", part_id="p")]
    row = decide(calibration(), pictures)[0]["class threshold"]
    assert (row.pooled.normals, row.pooled.false_alarms) == (2, 1)


@pytest.mark.parametrize("score", [0.0, 11.0])
def test_without_parts_pictures_are_counted(score):
    tables, _ = decide(calibration(), [picture(score)] * 7)
    assert tables["class threshold"].pooled.normals == 7
    assert tables["class threshold"].pooled.false_alarms == (7 if score > 10 else 0)

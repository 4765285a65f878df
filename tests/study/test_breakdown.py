"""Results by kind of defect: worked by hand on scores that are easy to rank."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from snlad.data.samples import Sample
from snlad.study.breakdown import Breakdown


def sample(class_name, defect_type="good", mask=None):
    return Sample(
        path=Path("x.png"),
        class_name=class_name,
        split="test",
        is_anomalous=defect_type != "good",
        defect_type=defect_type,
        mask=mask,
    )


SAMPLES = [
    sample("a"),
    sample("a"),
    sample("a", "hole"),
    sample("a", "cut"),
    sample("b"),
    sample("b", "hole"),
    sample("b", "hole"),
    sample("c", "hole"),  # a class without a normal picture
]
SCORES = [1.0, 3.0, 2.0, 4.0, 2.0, 2.0, 3.0, 9.0]


def found(scores=SCORES, traits=None):
    breakdown = Breakdown(SAMPLES, traits or {})
    return {(g.kind, g.name): breakdown.auroc(scores, g) for g in breakdown.groups}


def test_defect_types_worked_by_hand():
    """Hole: a beats one of two (0.5), b ties once and wins once (0.75), c cannot be ranked."""
    assert found() == {
        ("defect type", "cut"): 1.0,
        ("defect type", "hole"): pytest.approx((0.5 + 0.75) / 2),
    }


def test_traits_take_all_defects_of_their_classes():
    traits = {"b": ["texture"], "a": ["object", "texture"], "nowhere": ["rare"]}
    values = {name: v for (kind, name), v in found(traits=traits).items() if kind == "trait"}
    assert values == {"texture": pytest.approx(0.75), "object": 0.75}


def test_pictures_without_a_score_are_left_out():
    scores = [*SCORES[:2], None, *SCORES[3:6], None, 9.0]
    assert found(scores)["defect type", "hole"] == 0.5
    nothing = found([None] * len(SCORES))
    assert np.isnan(list(nothing.values())).all()


def test_groups_know_their_classes():
    breakdown = Breakdown(SAMPLES, {})
    cut, hole = breakdown.groups
    assert (breakdown.classes(cut), breakdown.classes(hole)) == (["a"], ["a", "b", "c"])
    assert (cut.members.sum(), hole.members.sum()) == (1, 4)


def masked(folder, class_name, share, number):
    """A defect that covers some of 100 rows."""
    mask = np.zeros((100, 100), np.uint8)
    mask[: round(100 * share)] = 255
    path = folder / f"{class_name}{number}.png"
    Image.fromarray(mask).save(path)
    return sample(class_name, "hole", path)


def test_quarters_of_the_defect_area_are_pooled_over_classes(tmp_path):
    shares = [0.5, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8]
    defects = [masked(tmp_path, "ab"[i % 2], share, i) for i, share in enumerate(shares)]
    samples = [sample("a"), sample("b"), sample("a", "hole"), *defects]
    groups = [g for g in Breakdown(samples, {}).groups if g.kind == "defect area"]
    members = [[shares[i - 3] for i in np.flatnonzero(group.members)] for group in groups]
    assert members == [[0.05, 0.1], [0.2, 0.3], [0.5, 0.4], [0.6, 0.8]]
    assert [group.name[:2] for group in groups] == ["1:", "2:", "3:", "4:"]
    assert groups[0].name == "1: up to 17 %"
    assert groups[-1].name == "4: above 53 %"


def test_a_tiny_defect_counts_where_the_mask_would_vanish(tmp_path):
    mask = np.zeros((2000, 2000), np.uint8)
    mask[999, 999] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    samples = [sample("a"), sample("a", "dot", tmp_path / "m.png")]
    (_, area) = Breakdown(samples, {}).groups
    assert area.members.tolist() == [False, True]


def test_without_masks_there_are_no_quarters():
    assert {group.kind for group in Breakdown(SAMPLES, {}).groups} == {"defect type"}


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.9]), min_size=1, max_size=12))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_every_defect_with_a_mask_is_in_one_quarter(tmp_path_factory, shares):
    folder = tmp_path_factory.mktemp("masks")
    defects = [masked(folder, "a", share, i) for i, share in enumerate(shares)]
    groups = [g for g in Breakdown([sample("a"), *defects], {}).groups if g.kind == "defect area"]
    together = sum(group.members.astype(int) for group in groups)
    assert together.tolist() == [0] + [1] * len(shares)


def test_all_defects_together_have_the_image_auroc_of_an_evaluation(shared_data):
    from snlad.data.opening import open_dataset
    from snlad.metrics.evaluator import Evaluator

    samples = open_dataset(shared_data).test
    scores = np.random.default_rng(0).normal(0, 1, len(samples)).tolist()
    whole = Evaluator()
    for one, score in zip(samples, scores, strict=True):
        whole.add(
            one.class_name,
            score=score,
            is_anomalous=one.is_anomalous,
            anomaly_map=None,
            mask=None,
        )
    breakdown = Breakdown(samples, {"grey": ["any"], "dark": ["any"]})
    (trait,) = [group for group in breakdown.groups if group.kind == "trait"]
    expected = whole.table().mean.image_auroc
    assert breakdown.auroc(scores, trait) == pytest.approx(expected)


@given(st.lists(st.integers(0, 3), min_size=8, max_size=8))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_a_group_is_ranked_as_every_pair_says(scores):
    """Ties among few distinct scores count half."""
    breakdown = Breakdown(SAMPLES, {})
    for group in breakdown.groups:
        by_class = []
        for name in "ab":
            normals = [
                x
                for x, one in zip(scores, SAMPLES, strict=True)
                if one.class_name == name and not one.is_anomalous
            ]
            defects = [
                x
                for x, one, member in zip(scores, SAMPLES, group.members, strict=True)
                if one.class_name == name and member
            ]
            wins = [(d > n) + (d == n) / 2 for d in defects for n in normals]
            by_class += [sum(wins) / len(wins)] if wins else []
        assert breakdown.auroc(scores, group) == pytest.approx(sum(by_class) / len(by_class))

"""The evaluator: the rules of snlad-v1 about labels, masks, rois, null and memory."""

import math
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from snlad.errors import MetricError, UsageError
from snlad.metrics import METRICS, Evaluator, ScoreRow, ScoreTable

IMAGE = METRICS[:3]
PIXEL = METRICS[3:]


def values(row: ScoreRow, metrics: tuple[str, ...] = METRICS) -> list[float | None]:
    return [getattr(row, metric) for metric in metrics]


def plane(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def some_images(seed: int, count: int = 6, shape: tuple[int, int] = (8, 12)) -> list[dict]:
    """Arguments of `add` for half normal, half defect images of one class, with ties."""
    random = np.random.default_rng(seed)
    images = []
    for index in range(count):
        mask = np.zeros(shape, bool)
        if index % 2:
            mask[1:4, 2 : 3 + index] = mask[6, 8] = True
        anomaly_map = (random.integers(0, 9, shape) + 3 * mask).astype(np.float32)
        images.append(
            {
                "score": float(anomaly_map.mean()),
                "is_anomalous": bool(index % 2),
                "anomaly_map": anomaly_map,
                "mask": mask if index % 2 else None,
            }
        )
    return images


def evaluated(exact_pixels: int = 10**9, **classes: list[dict]) -> ScoreTable:
    evaluator = Evaluator(exact_pixels=exact_pixels)
    for name, images in classes.items():
        for image in images:
            evaluator.add(name, **image)
    return evaluator.table()


def by_pixel(images: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores of all pixels, for scikit-learn."""
    empty = np.zeros_like(images[0]["anomaly_map"], bool)
    masks = [empty if image["mask"] is None else image["mask"] for image in images]
    maps = [image["anomaly_map"] for image in images]
    return np.concatenate(masks).ravel(), np.concatenate(maps).ravel()


def test_the_score_pooling_names_the_table_and_changes_no_number_here() -> None:
    tables = []
    for protocol in ("snlad-v1", "snlad-v1-max"):
        evaluator = Evaluator(protocol)
        for image in some_images(1):
            evaluator.add("a", **image)
        tables.append(evaluator.table())
    assert [table.protocol for table in tables] == ["snlad-v1", "snlad-v1-max"]
    assert tables[0].classes == tables[1].classes


def test_an_unknown_protocol_is_refused_before_any_work() -> None:
    with pytest.raises(UsageError, match=r"'v2' is unknown: choose one of snlad-v1, .*rd4ad"):
        Evaluator("v2")


def test_a_class_row_equals_scikit_learn() -> None:
    images = some_images(3, count=10)
    row = evaluated(a=images).classes["a"]
    labels, pixels = by_pixel(images)
    image_labels = [image["is_anomalous"] for image in images]
    scores = [image["score"] for image in images]
    assert row.image_auroc == pytest.approx(roc_auc_score(image_labels, scores))
    assert row.image_ap == pytest.approx(average_precision_score(image_labels, scores))
    assert row.pixel_auroc == pytest.approx(roc_auc_score(labels, pixels))
    assert row.pixel_ap == pytest.approx(average_precision_score(labels, pixels))


def test_aupro_of_two_regions_worked_by_hand() -> None:
    # Ten normal pixels scored 9 ... 0; the region of one pixel is found before any alarm, half of
    # the region of two after two alarms: (0.2 * 1/2 + 0.1 * 3/4) / 0.3.
    scores = plane([9.5, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 7.5, -1])
    mask = np.isin(scores, [9.5, 7.5, -1])
    image = {"score": 1.0, "is_anomalous": True, "anomaly_map": scores, "mask": mask}
    assert evaluated(a=[image]).classes["a"].aupro == pytest.approx(0.175 / 0.3)


def test_the_pooled_row_equals_one_class_of_all_images() -> None:
    first, second = some_images(1), some_images(2, shape=(7, 9))  # shapes may differ
    table = evaluated(a=first, b=second)
    together = evaluated(all=first + second)
    assert values(table.pooled) == pytest.approx(values(together.classes["all"]), abs=1e-12)


def test_pooling_sees_scales_that_differ_between_classes() -> None:
    def scored(*scores: float) -> list[dict]:
        return [
            {"score": score, "is_anomalous": bool(i), "anomaly_map": None, "mask": None}
            for i, score in enumerate(scores)
        ]

    table = evaluated(quiet=scored(1.0, 2.0), loud=scored(10.0, 20.0))
    assert table.mean.image_auroc == 1.0
    assert table.pooled.image_auroc == 0.75  # 2 lies below 10


def test_the_mean_is_the_plain_mean_of_class_rows() -> None:
    table = evaluated(a=some_images(1), b=some_images(2, count=20))
    for metric in METRICS:
        a, b = (getattr(table.classes[name], metric) for name in "ab")
        assert a != b
        assert getattr(table.mean, metric) == pytest.approx((a + b) / 2)


def test_order_and_interleaving_of_images_change_nothing() -> None:
    first, second = some_images(1), some_images(2)
    evaluator = Evaluator()
    for one, other in zip(reversed(first), second, strict=True):
        evaluator.add("b", **other)
        evaluator.add("a", **one)
    shuffled, straight = evaluator.table(), evaluated(a=first, b=second)
    assert list(shuffled.classes) == ["a", "b"]
    for row, other in zip(
        [*shuffled.classes.values(), shuffled.pooled],
        [*straight.classes.values(), straight.pooled],
        strict=True,
    ):
        assert values(row) == pytest.approx(values(other), abs=1e-12)


def test_a_table_halfway_changes_nothing_later() -> None:
    images = some_images(1)
    evaluator = Evaluator()
    for image in images[:2]:
        evaluator.add("a", **image)
    assert evaluator.table() == evaluated(a=images[:2])
    for image in images[2:]:
        evaluator.add("a", **image)
    assert evaluator.table() == evaluator.table() == evaluated(a=images)


def test_raw_maps_are_ranked_without_a_sigmoid() -> None:
    mask = plane([1, 0, 0]) > 0
    table = evaluated(
        a=[
            {"score": 50.0, "is_anomalous": True, "anomaly_map": plane([60, 40, 30]), "mask": mask},
            {"score": 40.0, "is_anomalous": False, "anomaly_map": plane([9, 8, 7]), "mask": None},
        ]
    )
    assert values(table.pooled) == [1.0] * 7


def test_maps_are_not_scaled_image_by_image() -> None:
    # Each image alone is perfect; the second one's noise lies above the first one's defect.
    mask = plane([1, 0, 0, 0]) > 0
    maps = [plane([1, 0, 0, 0]), plane([9, 5, 5, 5])]
    images = [
        {"score": 1.0, "is_anomalous": True, "anomaly_map": one, "mask": mask} for one in maps
    ]
    assert evaluated(a=images[:1]).classes["a"].aupro == 1.0
    row = evaluated(a=images).classes["a"]
    assert row.pixel_auroc == 0.75
    assert row.aupro == pytest.approx(0.5)


def test_constant_scores_give_chance_level() -> None:
    mask = plane([1, 0], [0, 0]) > 0
    flat = np.ones((2, 2), np.float32)
    row = evaluated(
        a=[
            {"score": 1.0, "is_anomalous": True, "anomaly_map": flat, "mask": mask},
            {"score": 1.0, "is_anomalous": False, "anomaly_map": flat, "mask": None},
        ]
    ).classes["a"]
    assert values(row) == pytest.approx([0.5, 0.5, 2 / 3, 0.5, 1 / 8, 2 / 9, 0.15])


def test_the_label_comes_from_the_data_set_not_from_the_mask() -> None:
    empty = np.zeros((1, 2), bool)
    images = [
        {"score": 2.0, "is_anomalous": True, "anomaly_map": plane([2, 3]), "mask": empty},
        {"score": 1.0, "is_anomalous": False, "anomaly_map": plane([1, 0]), "mask": ~empty},
    ]
    row = evaluated(a=images).classes["a"]
    assert values(row, IMAGE) == [1.0] * 3
    assert values(row, PIXEL) == [None] * 4  # an empty mask has no region, a normal image none


def test_a_normal_image_counts_with_an_empty_mask() -> None:
    mask = plane([1, 0]) > 0
    defect = {"score": 1.0, "is_anomalous": True, "anomaly_map": plane([1, 0]), "mask": mask}
    normal = {"score": 0.0, "is_anomalous": False, "anomaly_map": plane([2, 3])}
    unmasked = evaluated(a=[defect, normal | {"mask": None}]).classes["a"]
    assert unmasked.pixel_auroc == pytest.approx(1 / 3)
    assert evaluated(a=[defect, normal | {"mask": np.zeros((1, 2), bool)}]).classes["a"] == unmasked
    assert evaluated(a=[defect, normal | {"mask": mask}]).classes["a"] == unmasked


def test_a_defect_image_without_mask_counts_for_the_image_metrics_only() -> None:
    images = some_images(1)
    unmasked = images[1] | {"score": -1e6, "mask": None}
    with_it, without = evaluated(a=[*images, unmasked]), evaluated(a=images)
    assert values(with_it.pooled, PIXEL) == values(without.pooled, PIXEL)
    assert with_it.pooled.image_auroc < without.pooled.image_auroc


def test_an_image_without_map_counts_for_the_image_metrics_only() -> None:
    images = some_images(1)
    mapless = images[1] | {"score": -1e6, "anomaly_map": None}
    with_it, without = evaluated(a=[*images, mapless]), evaluated(a=images)
    assert values(with_it.pooled, PIXEL) == values(without.pooled, PIXEL)
    assert with_it.pooled.image_auroc < without.pooled.image_auroc


def test_a_class_without_masks_is_null_by_pixel_and_stays_out_of_the_pool() -> None:
    masked = some_images(1)
    bare = [image | {"mask": None} for image in some_images(2)]
    table = evaluated(masked=masked, bare=bare)
    assert values(table.classes["bare"], PIXEL) == [None] * 4
    assert None not in values(table.classes["bare"], IMAGE)
    assert values(table.pooled, PIXEL) == values(table.classes["masked"], PIXEL)
    assert list(table.n_classes.values()) == [2, 2, 2, 1, 1, 1, 1]


def test_the_pool_takes_every_image_of_a_class_with_masks_even_where_its_row_is_null() -> None:
    defect, normal = some_images(1)[1], some_images(2)[0]
    hidden = defect | {"roi": ~defect["mask"]}  # the defect lies outside what counts
    table = evaluated(a=[defect], b=[hidden, normal])
    assert values(table.classes["b"], PIXEL) == [None] * 4
    labels, pixels = by_pixel([defect, normal])
    labels = np.append(labels, np.zeros(int((~defect["mask"]).sum()), bool))
    pixels = np.append(pixels, defect["anomaly_map"][~defect["mask"]])
    assert table.pooled.pixel_auroc == pytest.approx(roc_auc_score(labels, pixels))


@pytest.mark.parametrize("anomalous", [True, False])
def test_a_class_of_one_kind_of_image_has_null_image_metrics(anomalous: bool) -> None:
    images = [image for image in some_images(1) if image["is_anomalous"] is anomalous]
    table = evaluated(a=images, b=some_images(2))
    assert values(table.classes["a"], IMAGE) == [None] * 3
    assert table.n_classes["image_auroc"] == 1
    assert table.mean.image_auroc == table.classes["b"].image_auroc
    # Pixel metrics need defect and normal pixels, which masked defect images have by themselves.
    assert (table.classes["a"].pixel_auroc is None) is not anomalous


def test_a_mask_of_the_whole_image_leaves_no_normal_pixel() -> None:
    whole = np.ones((1, 2), bool)
    image = {"score": 1.0, "is_anomalous": True, "anomaly_map": plane([1, 2]), "mask": whole}
    assert values(evaluated(a=[image]).classes["a"]) == [None] * 7


def test_pixels_outside_the_roi_do_not_count() -> None:
    images = some_images(1)
    roi = np.zeros((8, 12), bool)
    roi[:7, 1:9] = True  # cuts the long regions, keeps the single pixel
    outside = [
        image | {"anomaly_map": np.where(roi, image["anomaly_map"], 99).astype(np.float32)}
        for image in images
    ]
    cropped = [
        image
        | {
            "anomaly_map": image["anomaly_map"][:7, 1:9],
            "mask": None if image["mask"] is None else image["mask"][:7, 1:9],
        }
        for image in images
    ]
    with_roi = evaluated(a=[image | {"roi": roi} for image in outside]).pooled
    assert with_roi == evaluated(a=cropped).pooled
    assert with_roi != evaluated(a=images).pooled


def test_an_empty_roi_leaves_nothing_to_rank_by_pixel() -> None:
    nowhere = np.zeros((8, 12), bool)
    row = evaluated(a=[image | {"roi": nowhere} for image in some_images(1)]).pooled
    assert values(row, PIXEL) == [None] * 4
    assert None not in values(row, IMAGE)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_an_error_naming_the_class(score: float) -> None:
    with pytest.raises(MetricError, match=r"class 'pill': an image score is -?(nan|inf)"):
        evaluated(pill=[some_images(1)[0] | {"score": score}])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("anomalous", [0, 1])
def test_a_map_that_is_not_finite_is_an_error_naming_the_class(value, anomalous) -> None:
    image = some_images(1)[anomalous]
    image["anomaly_map"][3, 2] = value
    with pytest.raises(MetricError, match="class 'pill': a map holds NaN or inf"):
        evaluated(pill=[image])


def test_a_map_that_overflows_float32_is_an_error_too() -> None:
    image = some_images(1)[0]
    image["anomaly_map"] = image["anomaly_map"].astype(np.float64) + 1e300
    with pytest.raises(MetricError, match="NaN or inf"):
        evaluated(pill=[image])


def test_a_refused_image_leaves_no_trace() -> None:
    evaluator = Evaluator()
    broken = some_images(1)[1]
    broken["anomaly_map"] = np.full((8, 12), np.nan, np.float32)
    with pytest.raises(MetricError):
        evaluator.add("a", **broken)
    assert evaluator.table().classes == {}


@pytest.mark.parametrize("name", ["mask", "roi"])
@pytest.mark.parametrize(
    "wrong", [np.ones((12, 8), bool), np.ones((8, 12), np.uint8), np.ones((1, 8, 12), bool)]
)
def test_a_mask_or_roi_must_be_bool_on_its_map(name: str, wrong: np.ndarray) -> None:
    with pytest.raises(MetricError, match=rf"class 'pill': a {name} is .* on a map of \(8, 12\)"):
        evaluated(pill=[some_images(1)[1] | {name: wrong}])


def test_importing_the_metrics_loads_neither_torch_nor_scipy() -> None:
    code = "import sys, snlad.metrics; print({'torch', 'scipy'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_image_and_pixel_metrics_together_are_the_seven_in_order() -> None:
    row = evaluated(a=some_images(1)).classes["a"]
    assert None not in values(row)


# However many pixels were kept before, what is counted afterwards is the same.
@pytest.mark.parametrize("exact_pixels", [0, 1, 500, 96 * 12 - 1])
def test_streaming_from_any_image_on_finds_the_same_numbers(exact_pixels: int) -> None:
    data = {"a": some_images(1), "b": some_images(2)}
    exact, streamed = evaluated(**data), evaluated(exact_pixels, **data)
    assert (exact.evaluator, streamed.evaluator) == ("exact", "streaming")
    whole_scores_have_bins_of_their_own = pytest.approx(values(exact.pooled), abs=0.4)
    assert values(streamed.pooled) == whole_scores_have_bins_of_their_own
    assert streamed.pooled.image_auroc == exact.pooled.image_auroc
    rows = [(streamed.classes[n], exact.classes[n], streamed.bounds.classes[n]) for n in "ab"]
    for row, truth, bounds in [*rows, (streamed.pooled, exact.pooled, streamed.bounds.pooled)]:
        assert tuple(bounds) == PIXEL
        for metric, bound in bounds.items():
            assert abs(getattr(row, metric) - getattr(truth, metric)) <= bound + 1e-12


def test_exact_up_to_the_last_pixel_of_the_room() -> None:
    images = some_images(1)
    pixels = sum(image["anomaly_map"].size for image in images)
    assert evaluated(pixels, a=images).evaluator == "exact"
    assert evaluated(pixels, a=images).bounds.pooled == {}
    assert evaluated(pixels - 1, a=images).evaluator == "streaming"


def test_streaming_goes_on_after_a_table() -> None:
    images = some_images(1)
    evaluator = Evaluator(exact_pixels=0)
    for image in images[:3]:
        evaluator.add("a", **image)
    assert evaluator.table() == evaluated(0, a=images[:3])
    for image in images[3:]:
        evaluator.add("a", **image)
    assert evaluator.table() == evaluated(0, a=images)


def test_the_mean_of_streamed_numbers_errs_by_the_mean_of_their_bounds() -> None:
    table = evaluated(0, a=some_images(1), b=some_images(2), bare=some_images(3)[:1])
    for metric in PIXEL:
        a, b = (table.bounds.classes[name][metric] for name in "ab")
        assert table.bounds.mean[metric] == pytest.approx((a + b) / 2)
    assert table.bounds.classes["bare"] == {}


def test_every_row_with_image_metrics_has_intervals_around_them() -> None:
    table = evaluated(a=some_images(1, count=40), b=some_images(2, count=40))
    ranges = [*table.intervals.classes.values(), table.intervals.mean, table.intervals.pooled]
    rows = [*table.classes.values(), table.mean, table.pooled]
    for row, intervals in zip(rows, ranges, strict=True):
        assert tuple(intervals) == IMAGE
        for metric, (low, high) in intervals.items():
            assert low <= getattr(row, metric) <= high


def test_a_class_of_one_kind_has_no_interval_and_the_mean_covers_the_others() -> None:
    table = evaluated(a=some_images(1), b=some_images(2)[:1])
    assert table.intervals.classes["b"] == {}
    assert table.intervals.mean == table.intervals.classes["a"]


def test_published_rules_never_stream() -> None:
    evaluator = Evaluator("ader", exact_pixels=0)
    for image in some_images(1):
        evaluator.add("a", **image)
    assert evaluator.table().evaluator == "exact"

"""Setting pictures aside: seeded, a share of each class, copies and groups never cut."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snlad.data.holdout import hold_out, split_folds
from snlad.data.samples import Sample
from snlad.errors import ImageError


def write(folder: Path, counts: dict[str, int]) -> list[Sample]:
    """Distinct noise pictures, so many a class."""
    random = np.random.default_rng(0)
    samples = []
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            path = folder / name / f"{index:03d}.png"
            pixels = random.integers(0, 256, (4, 4, 3), np.uint8)
            Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(path)
            samples.append(Sample(path=path, class_name=name, split="train", is_anomalous=False))
    return samples


def counts(samples: tuple[Sample, ...]) -> dict[str, int]:
    names = [sample.class_name for sample in samples]
    return {name: names.count(name) for name in sorted({*names})}


def test_a_share_of_each_class_is_set_aside_and_nothing_is_lost(tmp_path) -> None:
    samples = write(tmp_path, {"a": 300, "b": 120, "c": 12, "d": 3})
    kept, aside = hold_out(samples, 0.1, seed=0)
    # 10 % of a; b is raised to 20; a quarter of c is less than that; d is too small for any
    assert counts(aside) == {"a": 30, "b": 20, "c": 3}
    assert sorted(s.path for s in (*kept, *aside)) == sorted(s.path for s in samples)
    for part in (kept, aside):
        assert list(part) == [s for s in samples if s in set(part)]


def test_the_draw_is_that_of_the_seed_and_of_the_class_alone(tmp_path) -> None:
    samples = write(tmp_path, {"a": 60, "b": 60})
    once, again, other = (hold_out(samples, 0.2, seed)[1] for seed in (3, 3, 4))
    assert once == again != other
    alone = hold_out([s for s in samples if s.class_name == "a"], 0.2, 3)[1]
    assert alone == tuple(s for s in once if s.class_name == "a")


def test_no_share_sets_nothing_aside_and_opens_no_file(tmp_path) -> None:
    missing = Sample(path=tmp_path / "no.png", class_name="a", split="train", is_anomalous=False)
    assert hold_out([missing], 0.0, 0) == ((missing,), ())
    with pytest.raises(ImageError, match=r"no\.png"):
        hold_out([missing], 0.1, 0)


@pytest.mark.parametrize("field", ["group", "part_id"])
def test_a_group_or_part_is_never_cut(tmp_path, field) -> None:
    samples = [
        replace(s, **{field: f"g{i // 5}"}) for i, s in enumerate(write(tmp_path, {"a": 100}))
    ]
    for seed in range(5):
        kept, aside = hold_out(samples, 0.2, seed)
        assert aside
        names = [{getattr(s, field) for s in part} for part in (kept, aside)]
        assert not names[0] & names[1]


def test_exact_and_near_copies_stay_together_even_in_a_chain(tmp_path) -> None:
    samples = write(tmp_path, {"a": 80})
    for index in range(0, 80, 4):
        source = samples[index].path
        samples[index + 1].path.write_bytes(source.read_bytes())
        with Image.open(source) as picture:
            picture.resize((56, 56), Image.Resampling.BICUBIC).save(samples[index + 2].path)
    for seed in range(5):
        _, aside = hold_out(samples, 0.2, seed)
        assert aside
        for index in range(0, 80, 4):
            assert len({samples[index + k] in aside for k in range(3)}) == 1


def test_a_group_larger_than_a_quarter_of_the_class_stays_in_training(tmp_path) -> None:
    samples = [replace(s, group="all") for s in write(tmp_path, {"a": 40})]
    assert hold_out(samples, 0.1, 0) == (tuple(samples), ())


def test_copies_in_several_classes_stay_in_training(tmp_path) -> None:
    samples = write(tmp_path, {"a": 40, "b": 40})
    for index in range(40):
        samples[40 + index].path.write_bytes(samples[index].path.read_bytes())
    assert hold_out(samples, 0.2, 0)[1] == ()


def test_progress_is_told_of_every_picture(tmp_path) -> None:
    samples = write(tmp_path, {"a": 5})
    told: list[tuple[str, int, int]] = []
    hold_out(samples, 0.2, 0, lambda *what: told.append(what))
    assert told == [("looking for copies", i, 5) for i in range(1, 6)]


@pytest.mark.parametrize("folds", [2, 3])
def test_folds_hold_every_picture_once_and_each_class_evenly(tmp_path, folds) -> None:
    samples = write(tmp_path, {"a": 20, "b": 7})
    parts = split_folds(samples, folds, 0)
    assert sorted(i for part in parts for i in part) == list(range(27))
    for name, total in (("a", 20), ("b", 7)):
        sizes = [sum(samples[i].class_name == name for i in part) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert sum(sizes) == total
    assert split_folds(samples, folds, 0) == parts != split_folds(samples, folds, 1)


def test_a_group_lies_in_one_fold(tmp_path) -> None:
    samples = [replace(s, group=f"g{i // 4}") for i, s in enumerate(write(tmp_path, {"a": 24}))]
    first, second = split_folds(samples, 2, 0)
    assert len(first) == len(second) == 12
    assert not {samples[i].group for i in first} & {samples[i].group for i in second}

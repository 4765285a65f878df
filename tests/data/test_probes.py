"""Probes: seeded, spread over all pairs of classes, on the product, never hidden."""

from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from snlad.data import probes
from snlad.data.foreground import find_foreground
from snlad.data.images import read_image
from snlad.data.masks import resize_nearest
from snlad.data.probes import AREA, ASPECT, NEARLY_EQUAL, cutpaste, cutpastes, mixup, mixups
from snlad.data.samples import Sample
from snlad.errors import ImageError

SIDE = 64
SIZE = (SIDE, SIDE)


def sample(path, class_name) -> Sample:
    return Sample(path=path, class_name=class_name, split="train", is_anomalous=False)


def write(folder, tones: dict[str, int], each: int = 3, noise: float = 15.0) -> list[Sample]:
    """Noisy pictures of a tone, so many a class."""
    random = np.random.default_rng(0)
    samples = []
    for name, tone in tones.items():
        (folder / name).mkdir(parents=True)
        for index in range(each):
            pixels = np.clip(random.normal(tone, noise, (*SIZE, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
            samples.append(sample(folder / name / f"{index}.png", name))
    return samples


@pytest.fixture
def three(tmp_path) -> list[Sample]:
    return write(tmp_path / "three", {"ash": 40, "bone": 120, "clay": 210})


def everywhere(size=SIZE) -> np.ndarray:
    return np.ones(size, dtype=bool)


def flat(value: int, size=SIZE) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def test_a_mixup_is_the_mean_of_two_pictures_with_halves_to_the_even_level():
    first = np.array([[[0, 255, 255]], [[10, 1, 3]]], np.uint8)
    second = np.array([[[0, 255, 0]], [[20, 2, 4]]], np.uint8)
    assert mixup(first, second).tolist() == [[[0, 255, 128]], [[15, 2, 4]]]
    assert mixup(first, second).dtype == np.uint8
    np.testing.assert_array_equal(mixup(first, second), mixup(second, first))


def test_a_mixup_comes_from_two_classes_and_has_no_patch(three):
    pictures = {name: [read_image(s.path) for s in three if s.class_name == name] for name in NAMES}
    made = list(mixups(three, SIZE, 9, seed=0))
    assert len(made) == 9
    for one in made:
        assert one.pasted is None
        candidates = (mixup(a, b) for a in pictures[one.host] for b in pictures[one.donor])
        assert any(np.array_equal(one.pixels, candidate) for candidate in candidates)


NAMES = ("ash", "bone", "clay")


@pytest.mark.parametrize("n", [0, 1, 6, 7, 13])
def test_all_pairs_of_classes_come_up_as_often_as_another_or_once_less(three, n):
    for make, arrange in ((mixups, combinations), (cutpastes, permutations)):
        counts = Counter((one.host, one.donor) for one in make(three, SIZE, n, seed=4))
        assert sum(counts.values()) == n
        times = [counts[pair] for pair in arrange(NAMES, 2)]
        assert sum(times) == n  # no other pair
        assert max(times) - min(times) <= 1


def test_all_pictures_of_a_class_come_up(tmp_path):
    """Equally often, and each time with another partner: red tells that of a, green that of b."""
    samples = write(tmp_path, {"a": 0, "b": 0}, each=6, noise=0.0)
    for index, one in enumerate(samples):
        tone = [20 * index, 0, 100] if one.class_name == "a" else [0, 20 * index, 200]
        Image.fromarray(np.full((*SIZE, 3), tone, np.uint8)).save(one.path)
    made = [tuple(one.pixels[0, 0].tolist()) for one in mixups(samples, SIZE, 12, seed=1)]
    assert len(set(made)) > 9
    for channel in (0, 1):
        assert set(Counter(tones[channel] for tones in made).values()) == {2}
    shown = Counter(
        tuple(tone)
        for one in cutpastes(samples, SIZE, 24, seed=1)
        for tone in np.unique(one.pixels.reshape(-1, 3), axis=0).tolist()
    )
    assert len(shown) == 12
    assert set(shown.values()) == {4}  # as host or as donor


def one_mask(one) -> np.ndarray:
    """The pasted pixels at the picture's own size, from the map's."""
    return resize_nearest(one.pasted, one.pixels.shape[:2])


def same(left, right) -> bool:
    pairs = list(zip(left, right, strict=True))
    return all(
        (a.host, a.donor) == (b.host, b.donor) and np.array_equal(a.pixels, b.pixels)
        for a, b in pairs
    )


@pytest.mark.parametrize("make", [mixups, cutpastes])
def test_probes_are_a_function_of_pictures_and_seed_in_whatever_order(make, three):
    once = list(make(three, SIZE, 8, seed=5))
    assert same(once, make(three[::-1], SIZE, 8, seed=5))
    assert same(once, make(sorted(three, key=lambda one: one.path.name), SIZE, 8, seed=5))
    assert not same(once, make(three, SIZE, 8, seed=6))
    assert same(once[:3], make(three, SIZE, 3, seed=5))


@pytest.mark.parametrize("make", [mixups, cutpastes])
def test_a_single_class_or_no_picture_gives_no_probe_and_opens_no_file(make, tmp_path):
    alone = [sample(tmp_path / "absent.png", "a")] * 3
    assert list(make(alone, SIZE, 5, seed=0)) == []
    assert list(make([], SIZE, 5, seed=0)) == []


@pytest.mark.parametrize("make", [mixups, cutpastes])
def test_one_picture_a_class_is_enough(make, tmp_path):
    samples = write(tmp_path, {"a": 30, "b": 220}, each=1)
    assert len(list(make(samples, SIZE, 5, seed=0))) == 5


@pytest.mark.parametrize("make", [mixups, cutpastes])
def test_a_picture_that_cannot_be_read_is_named(make, three):
    for one in three:
        one.path.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"\d\.png"):
        list(make(three, SIZE, 5, seed=0))


def test_only_the_patch_differs_from_the_host_and_it_is_the_donors(three):
    for one in cutpastes(three, SIZE, 12, seed=2):
        pasted = one_mask(one)
        hosts = [read_image(s.path) for s in three if s.class_name == one.host]
        assert any(np.array_equal(host[~pasted], one.pixels[~pasted]) for host in hosts)
        rows, columns = np.flatnonzero(pasted.any(1)), np.flatnonzero(pasted.any(0))
        patch = one.pixels[np.ix_(rows, columns)]
        donors = [read_image(s.path) for s in three if s.class_name == one.donor]
        windows = (sliding_window_view(donor, patch.shape) for donor in donors)
        assert any((found == patch).all((-1, -2, -3)).any() for found in windows)


def test_the_mask_is_the_pasted_rectangle_at_map_size(three):
    for one in cutpastes(three, (128, 64), 6, seed=0):
        assert one.pixels.shape == (128, 64, 3)
        assert one.pasted.shape == (256, 256)
        assert one.pasted.dtype == np.bool_
        rows, columns = np.flatnonzero(one.pasted.any(1)), np.flatnonzero(one.pasted.any(0))
        assert one.pasted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert one.pasted.sum() == len(rows) * len(columns)
        assert len(rows) % 2 == 0  # each of 128 rows is two of the map, each of 64 columns four
        assert len(columns) % 4 == 0


@given(seed=st.integers(0, 10**6), height=st.integers(64, 300), width=st.integers(64, 300))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_a_patch_is_a_rectangle_of_2_to_10_percent_within_the_aspect(seed, height, width):
    size, random = (height, width), np.random.default_rng(seed)
    picture, pasted = cutpaste(
        flat(0, size), flat(99, size), everywhere(size), everywhere(size), random
    )
    rows, columns = pasted.any(1).sum(), pasted.any(0).sum()
    assert pasted.sum() == rows * columns
    assert AREA[0] <= pasted.mean() <= AREA[1]
    assert 1 / ASPECT / 1.2 < (rows / height) / (columns / width) < ASPECT * 1.2  # whole pixels
    np.testing.assert_array_equal((picture == 99).all(-1), pasted)
    np.testing.assert_array_equal((picture == 0).all(-1), ~pasted)


def test_patches_use_all_areas_shapes_and_places():
    """Both ends of each range, and every place but the outermost, come up in a thousand patches."""
    random = np.random.default_rng(0)
    made = [cutpaste(flat(0), flat(99), everywhere(), everywhere(), random)[1] for _ in range(1000)]
    shares = [pasted.mean() for pasted in made]
    ratios = [pasted.any(1).sum() / pasted.any(0).sum() for pasted in made]
    assert min(shares) < 0.022
    assert max(shares) > 0.098
    assert min(ratios) < 0.33
    assert max(ratios) > 3.0
    assert 0.9 < np.median(ratios) < 1.1
    assert np.any(made, axis=0)[3:-3, 3:-3].all()


@given(seed=st.integers(0, 10**6), tones=st.lists(st.integers(0, 255), min_size=4, max_size=4))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_no_patch_nearly_equals_what_it_covers(seed, tones):
    """Two pictures of two halves each: some places differ, some do not, perhaps none."""
    host, donor = flat(tones[0]), flat(tones[2])
    host[:, SIDE // 2 :], donor[:, SIDE // 2 :] = tones[1], tones[3]
    before = host.copy()
    found = cutpaste(host, donor, everywhere(), everywhere(), np.random.default_rng(seed))
    np.testing.assert_array_equal(host, before)
    if found is not None:
        picture, pasted = found
        covered, patch = before[pasted].astype(float), picture[pasted].astype(float)
        assert np.abs(patch - covered).mean() >= NEARLY_EQUAL
    if min(abs(a - b) for a in tones[:2] for b in tones[2:]) >= NEARLY_EQUAL:
        assert found is not None
    if max(tones) - min(tones) < NEARLY_EQUAL:
        assert found is None


def test_brighter_and_darker_by_seven_levels_is_nearly_equal_and_by_eight_is_not():
    random = np.random.default_rng(0)
    for tone in (93, 107):
        assert cutpaste(flat(100), flat(tone), everywhere(), everywhere(), random) is None
    for tone in (92, 108):
        assert cutpaste(flat(100), flat(tone), everywhere(), everywhere(), random) is not None


def test_pictures_that_are_nearly_equal_give_no_probe_and_end(tmp_path):
    samples = write(tmp_path, {"a": 100, "b": 103, "c": 200}, each=2, noise=0.0)
    pairs = {(one.host, one.donor) for one in cutpastes(samples, SIZE, 12, seed=0)}
    assert pairs == {("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")}


def test_another_pair_of_pictures_is_taken_where_the_first_gives_no_patch(tmp_path):
    """Of three pictures of b only one differs from a: all probes are made of it."""
    samples = write(tmp_path, {"a": 100, "b": 100}, each=3, noise=0.0)
    Image.fromarray(flat(180)).save(samples[-1].path)
    made = list(cutpastes(samples, SIZE, 10, seed=0))
    assert len(made) == 10
    assert all({100, 180} == set(np.unique(one.pixels)) for one in made)


def on_background(tone: int, where: tuple[slice, slice]) -> np.ndarray:
    """An object on a plain, slightly noisy background."""
    picture = np.random.default_rng(tone).normal(20, 3, (SIDE, SIDE, 3))
    picture[where] += tone
    return np.clip(picture, 0, 255).astype(np.uint8)


LEFT, RIGHT = (slice(16, 48), slice(6, 30)), (slice(10, 54), slice(36, 58))


def test_a_patch_is_taken_from_the_product_and_placed_on_the_product(tmp_path):
    """At least half of the patch shows the donor's product, and of what it covers the host's."""
    samples = []
    for name, tone, where in (("left", 90, LEFT), ("right", 200, RIGHT)):
        (tmp_path / name).mkdir()
        Image.fromarray(on_background(tone, where)).save(tmp_path / name / "0.png")
        samples.append(sample(tmp_path / name / "0.png", name))
    shown = {one.class_name: find_foreground(read_image(one.path)) for one in samples}
    assert 0.15 < shown["left"].mean() < 0.3
    for one in cutpastes(samples, SIZE, 60, seed=0):
        pasted = one_mask(one)
        assert shown[one.host][pasted].mean() >= 0.5
        brightest = 150 if one.donor == "right" else 60
        assert (one.pixels[pasted].max(axis=1) > brightest).mean() >= 0.5


def test_on_a_texture_a_patch_may_lie_anywhere(tmp_path):
    samples = write(tmp_path, {"a": 60, "b": 190}, each=1)
    covered = np.any([one.pasted for one in cutpastes(samples, SIZE, 150, seed=0)], axis=0)
    assert covered[32:-32, 32:-32].all()


@pytest.mark.parametrize("whose", ["host", "donor"])
def test_half_of_a_patch_must_be_foreground(whose):
    """A foreground of a strip: a patch reaches at most half beyond it."""
    strip = np.zeros(SIZE, bool)
    strip[:, 20:44] = True
    donor = np.zeros((*SIZE, 3), np.uint8)
    donor[..., 1] = np.where(strip, 200, 100)
    planes = (strip, everywhere()) if whose == "host" else (everywhere(), strip)
    shares = []
    for seed in range(200):
        picture, pasted = cutpaste(flat(0), donor, *planes, np.random.default_rng(seed))
        inside = strip[pasted] if whose == "host" else picture[pasted][:, 1] == 200
        shares.append(inside.mean())
    assert 0.5 <= min(shares) < 0.6
    assert max(shares) == 1.0


@pytest.mark.parametrize("whose", ["host", "donor"])
def test_without_a_place_there_is_no_patch(whose):
    nowhere = np.zeros(SIZE, bool)
    nowhere[:4, :4] = True
    planes = (nowhere, everywhere()) if whose == "host" else (everywhere(), nowhere)
    assert cutpaste(flat(0), flat(99), *planes, np.random.default_rng(0)) is None


def test_patches_stay_on_what_is_inspected(tmp_path):
    """The upper half of a and the lower half of b are all that a model looks at."""
    samples = write(tmp_path, {"a": 0, "b": 100}, each=1, noise=0.0)
    halves = np.zeros(SIZE, bool)
    halves[:32] = True
    Image.fromarray(np.where(halves[..., None], np.uint8(100), np.uint8([200, 200, 200]))).save(
        samples[1].path
    )
    seen = {"a": halves, "b": ~halves}.get
    for one in cutpastes(samples, SIZE, 30, seed=0, inspected=seen):
        pasted = one_mask(one)
        where = halves if one.host == "a" else ~halves
        assert where[pasted].mean() >= 0.5
        if one.donor == "b":
            assert (one.pixels[pasted][:, 0] == 200).mean() >= 0.5
    assert list(cutpastes(samples, SIZE, 4, seed=0, inspected=lambda _: ~everywhere())) == []


def test_giving_up_takes_a_bounded_number_of_pictures(tmp_path, monkeypatch):
    read = []
    load = probes.load_inputs
    monkeypatch.setattr(probes, "load_inputs", lambda *words: (read.append(1), load(*words))[1])
    samples = write(tmp_path, {"a": 100, "b": 100}, each=1, noise=0.0)
    assert list(cutpastes(samples, SIZE, 2, seed=0)) == []
    assert len(read) == 2 * 10

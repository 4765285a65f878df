"""Loading: batches in order, errors kept as data, constant memory, and digests of what was read."""

import itertools
import threading

import numpy as np
import pytest
from PIL import Image

from snlad.data import loading
from snlad.data.loading import data_digest, find_images, load_batches, load_inputs, load_picture
from snlad.data.opening import open_dataset
from snlad.errors import DataError, ImageError


@pytest.fixture
def files(tmp_path):
    paths = []
    for index in range(7):
        path = tmp_path / f"{index}.png"
        Image.fromarray(np.full((6, 5, 3), index * 20, np.uint8)).save(path)
        paths.append(path)
    return paths


def test_a_file_is_read_hashed_and_fitted(files):
    picture = load_picture(files[3], (4, 8))
    assert picture.path == str(files[3])
    assert len(picture.sha256) == 64
    assert picture.original.shape == (6, 5, 3)
    assert picture.fitted.shape == (4, 8, 3)
    assert (picture.fitted == 60).all()
    assert picture.error is None


def test_a_vanished_file_is_an_error_and_no_exception(tmp_path):
    picture = load_picture(tmp_path / "gone.png", (4, 4))
    assert "gone.png" in picture.error
    assert picture.fitted is picture.original is picture.sha256 is None


def test_a_damaged_file_keeps_its_hash_beside_the_error(tmp_path):
    (tmp_path / "x.png").write_bytes(b"damaged")
    picture = load_picture(tmp_path / "x.png", (4, 4))
    assert picture.error
    assert len(picture.sha256) == 64


@pytest.mark.parametrize("batch", [1, 3, 7, 50])
def test_batches_keep_the_order_and_lose_nothing(files, batch):
    batches = list(load_batches(files, (2, 2), batch))
    assert [p.path for part in batches for p in part] == [str(path) for path in files]
    assert all(len(part) == batch for part in batches[:-1])


def test_nothing_gives_no_batch():
    assert list(load_batches([], (2, 2), 3)) == []


def test_no_more_than_two_batches_are_read_ahead(files):
    asked = itertools.count()
    source = (files[next(asked) % 7] for _ in itertools.count())
    batches = load_batches(source, (2, 2), 4)
    next(batches)
    batches.close()
    assert next(asked) <= 4 * 3


def test_decoding_happens_beside_the_caller(files, monkeypatch):
    names = set()

    def remember(source, size):
        names.add(threading.current_thread().name)
        return load_picture(source, size)

    monkeypatch.setattr(loading, "load_picture", remember)
    list(load_batches(files, (2, 2), 2))
    assert threading.main_thread().name not in names


def test_inputs_are_stacked_and_a_bad_one_is_named(files, tmp_path):
    assert load_inputs(files, (3, 3)).shape == (7, 3, 3, 3)
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"bad\.png"):
        load_inputs([*files, tmp_path / "bad.png"], (3, 3))


def test_folders_are_walked_in_order_and_only_pictures_are_found(files, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.JPG").write_bytes(b"")
    (tmp_path / "b" / "x.txt").write_bytes(b"")
    (tmp_path / "b" / ".hidden.png").write_bytes(b"")
    assert list(find_images([tmp_path])) == [*files, tmp_path / "b" / "x.JPG"]


def test_a_file_given_by_name_is_taken_whatever_its_suffix(tmp_path):
    (tmp_path / "picture").write_bytes(b"")
    assert list(find_images([tmp_path / "picture"])) == [tmp_path / "picture"]


def test_links_to_folders_are_not_followed(files, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(b"")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    assert list(find_images([inside])) == []


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(DataError, match="absent"):
        list(find_images([tmp_path / "absent"]))


def test_the_data_digest_follows_every_byte_and_every_class(tiny_data):
    first = data_digest(open_dataset(tiny_data).train_normal)
    assert data_digest(open_dataset(tiny_data).train_normal) == first
    (tiny_data / "grey").rename(tiny_data / "gray")
    renamed = data_digest(open_dataset(tiny_data).train_normal)
    picture = tiny_data / "gray" / "train" / "good" / "0.png"
    picture.write_bytes(picture.read_bytes() + b"\0")
    changed = data_digest(open_dataset(tiny_data).train_normal)
    assert len({first, renamed, changed}) == 3

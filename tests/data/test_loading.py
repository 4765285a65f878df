"""Loading: batches in order, errors kept as data, constant memory, and digests of what was read."""

import itertools
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snlad.data import images, loading
from snlad.data.loading import (
    count_masks,
    data_digest,
    file_digests,
    find_images,
    load_batches,
    load_picture,
)
from snlad.data.opening import open_dataset
from snlad.errors import DataError


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

    def remember(source, **settings):
        names.add(threading.current_thread().name)
        return load_picture(source, **settings)

    monkeypatch.setattr(loading, "load_picture", remember)
    list(load_batches(files, (2, 2), 2))
    assert threading.main_thread().name not in names


def test_an_array_is_fitted_and_has_neither_path_nor_hash():
    image = np.full((6, 5, 3), 40, np.uint8)
    picture = load_picture(image, (4, 8))
    assert picture.original is image
    assert (picture.fitted == 40).all()
    assert picture.fitted.shape == (4, 8, 3)
    assert picture.path is picture.sha256 is picture.error is None


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((6, 5), np.uint8), "uint8 (6, 5)"),
        (np.zeros((6, 5, 4), np.uint8), "uint8 (6, 5, 4)"),
        (np.zeros((0, 5, 3), np.uint8), "uint8 (0, 5, 3)"),
        (np.zeros((6, 5, 3), np.float32), "float32 (6, 5, 3)"),
    ],
)
def test_an_array_of_another_form_is_an_error_and_no_exception(image, found):
    picture = load_picture(image, (4, 4))
    assert picture.error == f"array is {found}; give uint8 (height, width, 3) in RGB"
    assert picture.fitted is picture.original is None


# Evaluation never looks at the pixels again: 16 pictures of 12 megapixels would hold 600 MB.
@pytest.mark.parametrize("keep", [True, False])
def test_the_original_is_kept_only_where_it_is_wanted(files, keep):
    sources = [files[0], np.zeros((6, 5, 3), np.uint8)]
    (batch,) = load_batches(sources, (4, 4), 2, keep_original=keep)
    assert [picture.original is not None for picture in batch] == [keep, keep]
    assert all(picture.fitted.shape == (4, 4, 3) for picture in batch)
    assert all(picture.error is None for picture in batch)


def test_the_original_is_kept_unless_told_otherwise(files):
    (batch,) = load_batches(files, (4, 4), 7)
    assert all(picture.original.shape == (6, 5, 3) for picture in batch)


# Memory runs out where the largest picture is stretched: that one is lost, the job is not.
@pytest.mark.parametrize("error", [MemoryError(), ValueError("bad\nsize"), OSError("broken")])
def test_a_picture_that_cannot_be_fitted_is_an_error_and_the_rest_goes_on(
    files, monkeypatch, error
):
    resize = loading.resize_image

    def fail(image, size):
        if (image == 60).all():
            raise error
        return resize(image, size)

    monkeypatch.setattr(loading, "resize_image", fail)
    (batch,) = load_batches([*files, np.full((9, 9, 3), 60, np.uint8)], (4, 4), 8)
    assert [picture.error is None for picture in batch] == [i not in (3, 7) for i in range(8)]
    lost = batch[3]
    assert lost.path == str(files[3])
    assert len(lost.sha256) == 64
    assert lost.fitted is lost.original is None
    reason = "bad size" if str(error).startswith("bad") else str(error) or "MemoryError"
    assert lost.error == (
        f"{str(files[3])!r} cannot be loaded ({reason}); shrink or replace the picture"
    )
    assert batch[7].error.startswith("'array' cannot be loaded")


# What was listed may be gone when its turn comes.
def test_a_file_that_vanishes_after_listing_is_one_error_picture(files, tmp_path):
    def listed():
        for path in list(find_images([tmp_path])):
            if path == files[2]:
                path.unlink()
            yield path

    pictures = [p for batch in load_batches(listed(), (2, 2), 3) for p in batch]
    assert [p.path for p in pictures] == [str(path) for path in files]
    assert [p.error is None for p in pictures] == [i != 2 for i in range(7)]
    assert "No such file" in pictures[2].error


# A camera writes while we read: half a picture is no picture, and no worker dies of it.
def test_a_file_that_is_still_being_written_is_one_error_picture(files):
    whole = files[4].read_bytes()
    files[4].write_bytes(whole[: len(whole) // 2])
    pictures = [p for batch in load_batches(files, (2, 2), 3) for p in batch]
    assert [p.error is None for p in pictures] == [i != 4 for i in range(7)]
    assert "4.png" in pictures[4].error
    files[4].write_bytes(whole)
    assert load_picture(files[4], (2, 2)).error is None


# A file that grows while it is read is cut at the cap, never read to an end that does not come.
def test_a_file_that_grows_past_the_cap_is_one_error_picture(files, monkeypatch):
    cap = 4 * max(path.stat().st_size for path in files)
    monkeypatch.setattr(images, "MAX_BYTES", cap)

    def listed():
        for path in files:
            if path == files[5]:
                with path.open("ab") as file:
                    file.write(b"\0" * cap)
            yield path

    pictures = [p for batch in load_batches(listed(), (2, 2), 3) for p in batch]
    assert [p.error is None for p in pictures] == [i != 5 for i in range(7)]
    assert f"larger than {cap} bytes" in pictures[5].error


# What follows the picture in a file is not the picture's: it stays readable and changes the hash.
def test_a_file_that_grew_at_its_end_is_read_with_another_hash(files):
    before = load_picture(files[1], (2, 2))
    with files[1].open("ab") as file:
        file.write(b"\0" * 100)
    after = load_picture(files[1], (2, 2))
    assert after.error is None
    assert after.sha256 != before.sha256
    np.testing.assert_array_equal(after.fitted, before.fitted)


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


def test_the_masks_of_a_data_set_are_passed_over_unless_their_folder_is_named(tmp_path):
    masks = tmp_path / "bolt" / "ground_truth"
    for folder in (tmp_path / "bolt" / "test" / "cut", masks / "cut"):
        folder.mkdir(parents=True)
        (folder / "0.png").write_bytes(b"")
    (masks / "notes.txt").write_bytes(b"")
    assert list(find_images([tmp_path])) == [tmp_path / "bolt" / "test" / "cut" / "0.png"]
    assert count_masks([tmp_path, tmp_path / "bolt" / "test"]) == 1
    assert list(find_images([masks])) == [masks / "cut" / "0.png"]
    assert count_masks([masks]) == 0


# A folder that someone else filled must not make us read other files.
def test_links_to_files_inside_a_folder_are_passed_over(files, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside.png"
    outside.write_bytes(files[0].read_bytes())
    (tmp_path / "a.png").symlink_to(outside)
    (tmp_path / "b.png").symlink_to(files[0])
    (tmp_path / "c.png").symlink_to(tmp_path / "c.png")
    (tmp_path / "d.png").symlink_to("/etc/passwd")
    assert list(find_images([tmp_path])) == files


def test_a_link_given_by_name_is_taken(files, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "picture.png").symlink_to(files[0])
    (folder / "pictures").symlink_to(tmp_path)
    found = list(find_images([folder / "picture.png", folder / "pictures"]))
    assert found[0] == folder / "picture.png"
    assert found[1:] == [folder / "pictures" / path.name for path in files]


# Whoever reads it says that it is missing: one picture, one error.
@pytest.mark.parametrize("name", ["absent", "x" * 300, "nul\0"])
def test_a_path_that_does_not_exist_is_handed_on_and_read_as_an_error(files, tmp_path, name):
    found = list(find_images([files[0], tmp_path / name, files[1]]))
    assert found == [files[0], tmp_path / name, files[1]]
    (batch,) = load_batches(found, (2, 2), 3)
    assert [picture.error is None for picture in batch] == [True, False, True]
    assert "cannot be read" in batch[1].error


# os.walk passes over what it cannot list: half a night's pictures would be missing unseen.
@pytest.mark.parametrize("place", [".", "night"])
def test_a_folder_that_cannot_be_listed_is_named(files, tmp_path, monkeypatch, place):
    (tmp_path / "night").mkdir()
    closed, scan = tmp_path / place, os.scandir

    def refuse(folder):
        if Path(folder) == closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError) as caught:
        list(find_images([tmp_path]))
    assert str(caught.value) == (
        f"{str(closed)!r} cannot be listed (Permission denied); check its permissions"
    )


# Results written into the folder that is inspected are not inspected in their turn.
@pytest.mark.parametrize("way", ["plain", "relative", "through a link", "with dots"])
def test_the_excluded_folder_is_never_walked_into(files, tmp_path, monkeypatch, way):
    out = tmp_path / "night" / "out"
    (out / "maps").mkdir(parents=True)
    for place in (out / "0.png", out / "maps" / "1.png", out.parent / "2.png"):
        place.write_bytes(b"")
    (tmp_path.parent / f"{tmp_path.name}-link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    exclude = {
        "plain": out,
        "relative": Path("night/out"),
        "through a link": tmp_path.parent / f"{tmp_path.name}-link" / "night" / "out",
        "with dots": tmp_path / "night" / ".." / "night" / "out",
    }[way]
    assert list(find_images([tmp_path], exclude=exclude)) == [*files, out.parent / "2.png"]
    assert len(list(find_images([tmp_path]))) == len(files) + 3


def test_an_excluded_folder_that_is_not_there_or_elsewhere_excludes_nothing(files, tmp_path):
    for exclude in (tmp_path / "absent", tmp_path.parent):
        assert list(find_images([tmp_path], exclude=exclude)) == files


# To inspect the folder of the results is a mistake that an empty answer would hide.
def test_the_excluded_folder_given_by_name_is_refused(files, tmp_path):
    with pytest.raises(DataError, match="is the folder of the results; give another"):
        list(find_images([files[0], tmp_path], exclude=tmp_path))


def test_the_data_digest_follows_every_byte_and_every_class(tiny_data):
    def digest() -> str:
        samples = open_dataset(tiny_data).train_normal
        return data_digest(samples, file_digests(samples))

    first = digest()
    assert digest() == first
    (tiny_data / "grey").rename(tiny_data / "gray")
    renamed = digest()
    picture = tiny_data / "gray" / "train" / "good" / "0.png"
    picture.write_bytes(picture.read_bytes() + b"\0")
    changed = digest()
    assert len({first, renamed, changed}) == 3


def test_a_picture_that_hangs_is_an_error_and_the_others_go_on(files, monkeypatch):
    """One of two threads is held; the other reads the rest, in order."""
    release, load = threading.Event(), loading.load_picture

    def hang(source, **how):
        if source == files[2]:
            release.wait(30)
        return load(source, **how)

    monkeypatch.setattr(loading, "load_picture", hang)
    batches = load_batches(files, (2, 2), 3, timeout_s=0.3)
    try:
        pictures = [picture for batch in batches for picture in batch]
    finally:
        release.set()
    assert [picture.path for picture in pictures] == [str(path) for path in files]
    assert [picture.fault for picture in pictures if picture.error] == ["timeout"]
    assert "2.png' was not read within 0.3 s" in pictures[2].error
    assert pictures[2].fitted is None
    assert all(picture.fitted is not None for i, picture in enumerate(pictures) if i != 2)


def test_without_a_limit_a_slow_picture_is_waited_for(files, monkeypatch):
    load = loading.load_picture

    def slow(source, **how):
        threading.Event().wait(0.2)
        return load(source, **how)

    monkeypatch.setattr(loading, "load_picture", slow)
    (batch,) = load_batches(files[:2], (2, 2), 2)
    assert [picture.error for picture in batch] == [None, None]


def test_an_array_that_hangs_has_no_path(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(loading, "load_picture", lambda *_args, **_how: release.wait(30))
    try:
        ((picture,),) = load_batches([np.zeros((4, 4, 3), np.uint8)], (2, 2), 1, timeout_s=0.1)
    finally:
        release.set()
    assert (picture.path, picture.fault) == (None, "timeout")


def test_the_size_in_the_file_is_kept_without_the_picture(files):
    picture = load_picture(files[0], (2, 2), keep_original=False)
    assert (picture.original, picture.size) == (None, (6, 5))
    assert load_picture(files[0].parent / "gone.png", (2, 2)).size is None


def test_samples_come_with_their_own_pictures(tiny_data):
    samples = open_dataset(tiny_data).train_normal
    pairs = [
        pair
        for batch, pictures in loading.load_samples(samples, (4, 4), 3)
        for pair in zip(batch, pictures, strict=True)
    ]
    assert [sample for sample, _ in pairs] == list(samples)
    assert all(picture.path == str(sample.path) for sample, picture in pairs)
    assert all(picture.original is None for _, picture in pairs)

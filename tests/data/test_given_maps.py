"""Maps of another method: found by name, read as numbers, refused with a reason."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snlad.data.given_maps import GivenMaps, read_map
from snlad.data.samples import Sample
from snlad.errors import DataError

ROOT = Path("/data")


def sample(path: str) -> Sample:
    return Sample(path=ROOT / path, class_name="a", split="test", is_anomalous=True)


@pytest.mark.parametrize("suffix", [".tiff", ".tif", ".npy"])
def test_a_map_has_its_pictures_path_and_another_suffix(tmp_path, suffix) -> None:
    (tmp_path / "a/test/hole").mkdir(parents=True)
    file = tmp_path / f"a/test/hole/img.001{suffix}"
    file.touch()
    given = GivenMaps(tmp_path, ROOT)
    assert given.find(sample("a/test/hole/img.001.png")) == file
    assert given.find(sample("a/test/hole/002.png")) is None
    assert "002.tiff" in given.expected(sample("a/test/hole/002.png"))


def test_scores_go_by_path_and_are_all_or_nothing(tmp_path) -> None:
    assert GivenMaps(tmp_path, ROOT).score(sample("x.png")) is None
    (tmp_path / "scores.csv").write_text("path,score\na/b.png,0.5\nc.png,-2e3\n")
    given = GivenMaps(tmp_path, ROOT)
    assert given.has_scores
    assert (given.score(sample("a/b.png")), given.score(sample("c.png"))) == (0.5, -2000)
    with pytest.raises(DataError, match=r"no row for 'd\.png'"):
        given.score(sample("d.png"))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("path,score\na,high\n", "'high' is no number"),
        ("path,score\na,1\na,2\n", "scores 'a' again"),
        ("path,value\na,1\n", "lacks 'score'"),
    ],
)
def test_a_broken_score_table_is_refused_with_its_line(tmp_path, table, reason) -> None:
    (tmp_path / "scores.csv").write_text(table)
    with pytest.raises(DataError, match=rf"scores\.csv' line \d.*{reason}"):
        GivenMaps(tmp_path, ROOT)


def test_a_folder_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match="no folder of maps"):
        GivenMaps(tmp_path / "maps", ROOT)


def test_a_picture_outside_the_data_set_has_no_map(tmp_path) -> None:
    outside = Sample(path=Path("/else/x.png"), class_name="a", split="test", is_anomalous=True)
    with pytest.raises(DataError, match="lies outside"):
        GivenMaps(tmp_path, ROOT).find(outside)


@pytest.mark.parametrize("suffix", [".tiff", ".npy"])
def test_a_map_of_the_size_keeps_its_numbers(tmp_path, suffix) -> None:
    values = np.random.default_rng(0).normal(0, 1e3, (6, 8)).astype(np.float32)
    path = tmp_path / f"m{suffix}"
    if suffix == ".npy":
        np.save(path, values[None].astype(np.float64))
    else:
        Image.fromarray(values).save(path)
    np.testing.assert_array_equal(read_map(path, (6, 8)), values)


def test_whole_numbers_are_numbers(tmp_path) -> None:
    values = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    Image.fromarray(values).save(tmp_path / "m.tiff")
    np.testing.assert_array_equal(read_map(tmp_path / "m.tiff", (6, 8)), values)


def test_another_size_is_stretched_bilinearly(tmp_path) -> None:
    np.save(tmp_path / "m.npy", np.array([[0.0, 4.0]]))
    assert read_map(tmp_path / "m.npy", (2, 4)).tolist() == [[0, 1, 3, 4]] * 2


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros((3, 4, 5)), r"float64 \(3, 4, 5\)"),
        (np.zeros((3, 4), complex), "complex128"),
        (np.array(["a"]), "<U1"),
        (np.array([[None]]), "cannot be read"),  # a pickle
    ],
)
def test_what_is_no_map_is_refused(tmp_path, values, reason) -> None:
    np.save(tmp_path / "m.npy", values)
    with pytest.raises(DataError, match=rf"m\.npy' .*{reason}"):
        read_map(tmp_path / "m.npy", (3, 4))


def test_a_damaged_file_is_named(tmp_path) -> None:
    for name in ("m.tiff", "m.npy"):
        (tmp_path / name).write_bytes(b"not a map")
        with pytest.raises(DataError, match=f"{name}' cannot be read as a map"):
            read_map(tmp_path / name, (3, 4))

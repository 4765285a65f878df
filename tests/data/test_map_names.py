"""Names of maps: MVTec's layout, one map a picture, and no way out of the folder."""

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.data.given_maps import GivenMaps
from snlad.data.loading import find_images
from snlad.data.map_names import MapNames
from snlad.data.samples import Sample
from snlad.errors import UsageError


@pytest.fixture
def data(tmp_path) -> Path:
    for name in ("bolt/test/good/0.png", "bolt/test/hole/0.JPG", "nut/test/good/0.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).touch()
    return tmp_path / "data"


def names(*given_paths: Path) -> list[str]:
    found = MapNames(given_paths)
    return [found.name(path).as_posix() for path in found.refuse_twins(find_images(given_paths))]


def test_a_data_set_keeps_its_layout(data):
    assert names(data) == ["bolt/test/good/0.tiff", "bolt/test/hole/0.tiff", "nut/test/good/0.tiff"]


def test_of_several_paths_the_folder_that_holds_all_counts(data):
    whole = names(data)
    assert names(data / "bolt", data / "nut") == whole
    assert names(data / "bolt" / "test", data / "nut" / "test") == whole
    assert names(data / "bolt" / "test" / "good" / "0.png", data / "nut") == [whole[0], whole[2]]


def test_one_class_folder_or_one_picture_starts_there(data):
    assert names(data / "bolt") == ["test/good/0.tiff", "test/hole/0.tiff"]
    assert names(data / "bolt" / "test" / "hole" / "0.JPG") == ["0.tiff"]


def test_how_a_path_is_written_makes_no_difference(data, monkeypatch):
    whole = names(data)
    monkeypatch.chdir(data / "bolt")
    for given_path in (Path(".."), Path("../../data"), data / "nut" / "..", Path("./..")):
        assert names(given_path) == whole
    assert MapNames([Path("test")]).name(data / "bolt" / "test" / "x.png") == Path("x.tiff")


def test_evaluation_finds_the_map_of_every_picture(data, tmp_path):
    made = MapNames([data])
    for path in find_images([data]):
        file = tmp_path / "maps" / made.name(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        sample = Sample(path=path, class_name="x", split="test", is_anomalous=False)
        assert GivenMaps(tmp_path / "maps", data).find(sample) == file


def test_a_missing_path_has_no_say(data):
    gone = data.parent.parent / "elsewhere" / "gone.png"
    assert MapNames([data, gone]).name(data / "bolt" / "a.png") == Path("bolt/a.tiff")
    found = MapNames([data, gone]).refuse_twins([gone, data / "nut" / "test" / "good" / "0.png"])
    assert len(list(found)) == 2


def test_a_link_has_the_place_where_it_lies(data, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.png").touch()
    (data / "link").symlink_to(tmp_path / "outside")
    (data / "x.png").symlink_to("/etc/passwd")
    assert names(data / "link") == ["x.tiff"]
    assert names(data / "link", data / "x.png") == ["link/x.tiff", "x.tiff"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.png", "bolt/../../x.png", "/"])
def test_what_lies_outside_has_no_name(data, path):
    with pytest.raises(UsageError, match="lies outside"):
        MapNames([data]).name(data / path)


def test_folders_on_two_drives_are_refused(data, monkeypatch):
    def fail(_paths):
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr(os.path, "commonpath", fail)
    with pytest.raises(UsageError, match="no folder holds all that was given"):
        MapNames([data])


@given(st.lists(st.text(st.characters(exclude_characters="/\0", codec=None), min_size=1)))
@settings(deadline=None, derandomize=True)
def test_no_name_leads_out_of_the_folder(tmp_path_factory, parts):
    root = tmp_path_factory.getbasetemp()
    picture = root.joinpath(*parts, "..", "a", "x.png")
    try:
        name = MapNames([root]).name(picture)
    except UsageError:
        assert not os.path.abspath(picture).startswith(f"{root}{os.sep}")  # noqa: PTH100
        return
    assert not name.is_absolute()
    assert ".." not in PurePosixPath(name).parts
    assert name.name == "x.tiff"


@pytest.mark.parametrize("twin", ["0.jpg", "0.tiff", "0"])
def test_two_pictures_of_one_stem_are_refused_by_name(data, twin):
    first, second = (data / "bolt" / "test" / "good" / name for name in ("0.png", twin))
    second.touch()
    with pytest.raises(UsageError) as caught:
        list(MapNames([data]).refuse_twins([first, second]))
    assert str(caught.value) == (
        f"--mvtec-maps: {str(first)!r} and {str(second)!r} would both have the map "
        "'bolt/test/good/0.tiff'; rename one"
    )


def test_the_same_picture_twice_has_one_map(data):
    assert names(data / "bolt", data / "nut", data)[:3] == names(data)

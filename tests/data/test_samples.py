from pathlib import Path

import pytest

from snlad.data.samples import Dataset, Sample
from snlad.errors import DataError


def sample(name: str, split: str = "train", is_anomalous: bool = False) -> Sample:
    return Sample(path=Path("a.png"), class_name=name, split=split, is_anomalous=is_anomalous)


def test_the_views_part_the_samples() -> None:
    samples = (
        sample("nut"),
        sample("bolt", "train", is_anomalous=True),
        sample("bolt", "test", is_anomalous=True),
        sample("bolt", "test"),
    )
    dataset = Dataset(Path("root"), "mvtec", samples)
    assert dataset.train_normal == samples[:1]
    assert dataset.test == samples[2:]
    assert dataset.class_names == ("bolt", "nut")


def test_a_data_set_without_pictures_is_refused() -> None:
    with pytest.raises(DataError, match="'root' holds no picture"):
        Dataset(Path("root"), "mvtec", ())


@pytest.mark.parametrize(
    ("one", "other"), [("Bolt", "bolt"), ("STRASSE", "straße"), ("caf\u00e9", "cafe\u0301")]
)
def test_classes_equal_but_for_case_or_unicode_form_are_refused(one: str, other: str) -> None:
    with pytest.raises(DataError, match="equal but for case or Unicode form"):
        Dataset(Path("root"), "manifest", (sample(one), sample(other)))


@pytest.mark.parametrize("name", [".", "..", "a/b", "..\\b", "a\0b"])
def test_a_class_name_that_reads_as_a_path_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="reads as a path"):
        Dataset(Path("root"), "manifest", (sample(name),))

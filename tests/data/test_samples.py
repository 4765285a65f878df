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


# One sentence each, in one line, that shows the name escaped and says what to do.
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("M\udcfctter", "is not valid UTF-8"),
        ("bolt\nnut", "holds control characters"),
        ("\x1b[2Jbolt", "holds control characters"),
        ("bolt\x7f", "holds control characters"),
        ("bolt\u2028nut", "holds control characters"),
        ("bolt\x85nut", "holds control characters"),
    ],
)
def test_a_class_name_that_cannot_be_written_or_printed_is_refused(name: str, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        Dataset(Path("root"), "manifest", (sample("nut"), sample(name)))
    assert str(caught.value) == f"'root' has the class {name!r}, which {reason}; rename it"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["螺丝 M3", "große Mutter", "بر\u200cغی", "a\u3000b", "🔩", "-", "%s"]
)
def test_a_class_name_in_any_script_is_taken(name: str) -> None:
    assert Dataset(Path("root"), "manifest", (sample(name),)).class_names == (name,)


@pytest.mark.parametrize("name", [".", "..", "a/b", "..\\b", "a\0b"])
def test_a_class_name_that_reads_as_a_path_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="reads as a path"):
        Dataset(Path("root"), "manifest", (sample(name),))

"""Text files of long jobs: on disk at once, never overwritten, and named when they fail."""

import errno
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.report.flushed import FlushedFile, named_errors


def test_what_is_written_is_on_disk_before_the_file_is_closed(tmp_path):
    file = FlushedFile(tmp_path / "rows")
    for text, whole in [("a\r\n", b"a\r\n"), ("é\n", "a\r\né\n".encode())]:
        file.write(text)
        assert (tmp_path / "rows").read_bytes() == whole
    file.close()


def test_a_file_that_is_there_is_not_touched(tmp_path):
    (tmp_path / "rows").write_text("old")
    with pytest.raises(FileExistsError) as caught:
        FlushedFile(tmp_path / "rows")
    assert caught.value.filename == str(tmp_path / "rows")
    assert (tmp_path / "rows").read_text() == "old"


@given(st.text(st.characters(codec=None)))
@settings(deadline=None, derandomize=True)
def test_any_text_is_written_as_valid_utf_8(tmp_path_factory, text):
    file = FlushedFile(tmp_path_factory.mktemp("rows") / "rows")
    file.write(text)
    file.close()
    read = file.path.read_bytes().decode("utf-8")
    assert read == "".join(
        f"\\u{ord(c):04x}" if unicodedata.category(c) == "Cs" else c for c in text
    )


def test_a_lone_surrogate_becomes_an_escape(tmp_path):
    file = FlushedFile(tmp_path / "rows")
    file.write("a\udcff.png")
    file.close()
    assert file.path.read_text() == "a\\udcff.png"


def test_a_full_disk_is_an_error_with_the_name_and_keeps_what_was_written(tmp_path, limited_files):
    file = FlushedFile(tmp_path / "rows")
    file.write("x" * 60 + "\n")
    with limited_files(64):
        with pytest.raises(OSError, match="File too large") as caught:
            file.write("y" * 60 + "\n")
        assert caught.value.filename == str(tmp_path / "rows")
        with pytest.raises(OSError, match="File too large") as caught:
            file.close()  # tries once more what is left
        assert caught.value.filename == str(tmp_path / "rows")
    assert file.path.read_bytes().startswith(b"x" * 60 + b"\n")


def test_an_error_that_names_its_file_stays_as_it_is(tmp_path):
    error = FileNotFoundError(errno.ENOENT, "gone", "other")
    with pytest.raises(FileNotFoundError) as caught, named_errors(tmp_path):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("encoder error -2"), "encoder error -2"),  # Pillow's errors have no number
    ],
)
def test_an_error_without_a_name_gets_one(tmp_path, error, sentence):
    with pytest.raises(OSError, match=sentence) as caught, named_errors(tmp_path / "f"):
        raise error
    assert (caught.value.strerror, caught.value.filename) == (sentence, str(tmp_path / "f"))
    assert caught.value.errno == error.errno


def test_other_errors_pass(tmp_path):
    with pytest.raises(ValueError, match="other"), named_errors(tmp_path):
        raise ValueError("other")

"""Shared set-up: shapes checked at run time, a tiny data set, and a model trained on it once."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import install_import_hook
from PIL import Image

CHECKED = ["snlad.affinity", "snlad.losses", "snlad.maps", "snlad.models", "snlad.metrics"]

install_import_hook(CHECKED, "beartype.beartype")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests out unless ``-m slow`` asks for them; in CI the date picks one to stay."""
    if "slow" in config.option.markexpr:
        return
    slow = sorted((item for item in items if item.get_closest_marker("slow")), key=str)
    if slow and os.environ.get("CI"):
        del slow[datetime.now(UTC).toordinal() % len(slow)]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


SIDE = 48
TINY = {
    "image_size": (64, 64),
    "teacher": {"name": "test_efficientnet", "weights": "random"},
    "cram": {"centers": 4},
    "train": {"steps": 4, "batch_size": 4, "checkpoint_every": 2, "log_every": 1},
    "calibration": {"share": 0.0},
    "probes": {"count": 0},
}


def _picture(rng: np.random.Generator, tone: int) -> np.ndarray:
    noise = rng.normal(0, 12, (SIDE, SIDE, 3))
    return np.clip(tone + noise, 0, 255).astype(np.uint8)


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_tiny_data(root: Path, seed: int = 0) -> Path:
    """Two classes, grey and dark: 5 normal training, 2 normal and 2 bad test pictures each."""
    rng = np.random.default_rng(seed)
    for name, tone in (("dark", 60), ("grey", 140)):
        for index in range(5):
            _save(root / name / "train" / "good" / f"{index}.png", _picture(rng, tone))
        for index in range(2):
            _save(root / name / "test" / "good" / f"{index}.png", _picture(rng, tone))
            bad = _picture(rng, tone)
            bad[8:24, 16:40] = 250
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[8:24, 16:40] = 255
            _save(root / name / "test" / "spot" / f"{index}.png", bad)
            _save(root / name / "ground_truth" / "spot" / f"{index}_mask.png", mask)
    return root


@pytest.fixture
def tiny_data(tmp_path: Path) -> Path:
    """A fresh tiny data set that a test may damage."""
    return write_tiny_data(tmp_path / "data")


@contextmanager
def _limited_files(size: int) -> Iterator[None]:
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def limited_files() -> Callable[[int], AbstractContextManager[None]]:
    """No file grows past some bytes: writing fails in the middle, as on a full disk."""
    return _limited_files


def _expand_rle(text: str) -> list[int]:
    lengths: list[int] = []
    value = shift = 0
    for code in text.encode("ascii"):
        digit = code - 48
        assert 0 <= digit < 64
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            value -= (digit & 16) << (shift - 4)
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    assert shift == 0, "the last number has no end"
    return lengths


@pytest.fixture(scope="session")
def expand_rle() -> Callable[[str], list[int]]:
    """Run lengths of COCO's text, one character after the other, as ``rleFrString`` reads it."""
    return _expand_rle


@pytest.fixture
def snlad(monkeypatch, capsys):
    """Run the command line in this process: (exit code, stdout, stderr)."""
    from snlad.cli import app

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["snlad", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


_BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

MISSING = sys.argv.pop(1).split()
sys.meta_path.insert(0, Block())
sys.argv[0] = "snlad"
from snlad.cli.app import main
main()
"""


@pytest.fixture(scope="session")
def snlad_without_torch() -> Callable[..., subprocess.CompletedProcess]:
    """Run the command line in a process that can import nothing of the extra ``train``.

    On an inspection line there is nothing of the extra ``evaluate`` either.
    """

    def run(*words: object, on_the_line: bool = False) -> subprocess.CompletedProcess:
        missing = "torch torchvision timm sklearn matplotlib" + " scipy" * on_the_line
        command = [sys.executable, "-c", _BLOCKED, missing, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def tiny_settings() -> dict:
    """Overrides that make a training of seconds: a tiny teacher with random weights."""
    return TINY


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set, read only."""
    return write_tiny_data(tmp_path_factory.mktemp("shared") / "data")


@pytest.fixture(scope="session")
def other_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other pictures of the same classes, as for calibration, read only."""
    return write_tiny_data(tmp_path_factory.mktemp("other") / "data", seed=1)


@pytest.fixture(scope="session")
def trained_run(shared_data: Path) -> Path:
    """A finished run of the default method on the tiny data set, read only."""
    from snlad.config import make_config
    from snlad.data.opening import open_dataset
    from snlad.engine.train import train

    return train(open_dataset(shared_data), shared_data.parent / "run", make_config(**TINY))


@pytest.fixture(scope="session")
def tiled_settings() -> dict:
    """The same with tiles: three by three in each picture of the tiny data set."""
    return {**TINY, "tiles": {"size": 24, "overlap": 8}}


@pytest.fixture(scope="session")
def tiled_run(shared_data: Path, tiled_settings: dict, tmp_path_factory) -> Path:
    """A finished run with tiles, read only."""
    from snlad.config import make_config
    from snlad.data.opening import open_dataset
    from snlad.engine.train import train

    out = tmp_path_factory.mktemp("tiled") / "run"
    return train(open_dataset(shared_data), out, make_config(**tiled_settings))


@pytest.fixture(scope="session")
def judged_runs(
    trained_run: Path,
    shared_data: Path,
    other_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path]:
    """Two seeds with thresholds, read only: A passes every picture, B only the dark ones."""
    from snlad.calibration.record import save_calibration
    from snlad.config import make_config
    from snlad.data.opening import open_dataset
    from snlad.engine.calibrate import calibrate
    from snlad.engine.train import train
    from snlad.predict import load

    folder, data = tmp_path_factory.mktemp("judged"), open_dataset(shared_data)
    a = shutil.copytree(trained_run, folder / "a")
    b = train(data, folder / "b", make_config(**TINY, seed=5))
    for run, grey in ((a, 1e9), (b, -1e9)):
        first = calibrate(run, load(run), open_dataset(other_data).train_normal)
        limits = {
            name: first.classes[name].model_copy(update={"threshold": threshold})
            for name, threshold in (("dark", 1e9), ("grey", grey))
        }
        second = first.model_copy(update={"version": 2, "classes": limits})
        save_calibration(run / "model", second)
    return a, b


class PageReader(HTMLParser):
    """What a browser would find in a page: elements, text, and tables by their captions."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.tables: dict[str, list[list[str]]] = {}
        self._caption: str | None = None
        self._rows: list[list[str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self._rows = []
        elif tag == "caption":
            self._caption = ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td"):
            self._rows[-1].append("")
        elif tag in ("small", "strong", "img"):
            self.handle_data(" <img>" if tag == "img" else " ")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            return
        self.text += data
        if self._caption is not None:
            self._caption += data
        elif self._rows and self._rows[-1]:
            self._rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption" and self._caption is not None:
            self.tables[self._caption] = self._rows
            self._caption = None
        elif tag == "table":
            self._rows = []

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of each element of this kind."""
        return [attributes for name, attributes in self.elements if name == tag]


_PAGE_ELEMENTS = """
html head meta title style body header h1 h2 h3 nav a main section p div span dl dt dd ul li strong
small code bdi table caption thead tbody tr th td details summary figure figcaption img
"""


@pytest.fixture(scope="session")
def read_page() -> Callable[[str], PageReader]:
    """Read a page that must not be able to run or load anything."""

    def read(page: str) -> PageReader:
        found = PageReader(page)
        for tag, attributes in found.elements:
            assert tag in _PAGE_ELEMENTS.split()
            assert not {one for one in attributes if one.startswith("on") or one == "style"}
            assert (attributes.get("src") or "data:image/").startswith("data:image/")
            assert (attributes.get("href") or "#").startswith("#")
            assert tag != "img" or attributes["alt"]
        return found

    return read

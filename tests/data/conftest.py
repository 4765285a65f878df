"""Pictures that the tests make for themselves."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def paint() -> Callable[..., Path]:
    """Write a small textured picture (its own for each path) and return its path."""

    def write(path: Path, size: tuple[int, int] = (24, 32), mode: str = "RGB") -> Path:
        rng = np.random.default_rng(zlib.crc32(str(path).encode(errors="replace")))
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(path)
        return path

    return write


@pytest.fixture
def paint_mask() -> Callable[..., Path]:
    """Write a mask of the given values at its middle, 0 elsewhere, and return its path."""

    def write(path: Path, size: tuple[int, int] = (24, 32), value: int = 255) -> Path:
        pixels = np.zeros(size, np.uint8)
        pixels[size[0] // 3 : size[0] // 2, size[1] // 3 : size[1] // 2] = value
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def mvtec_root(tmp_path: Path, paint: Callable[..., Path], paint_mask: Callable[..., Path]) -> Path:
    """Two classes in MVTec AD layout: bolt with masks, nut image-level only."""
    root = tmp_path / "products"
    for name in ("bolt", "nut"):
        for index in range(3):
            paint(root / name / "train" / "good" / f"{index}.png")
        for index in range(2):
            paint(root / name / "test" / "good" / f"{index}.png")
            paint(root / name / "test" / "scratch" / f"{index}.png")
    for index in range(2):
        paint_mask(root / "bolt" / "ground_truth" / "scratch" / f"{index}_mask.png")
    return root


@pytest.fixture
def no_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail when any picture is opened for reading."""
    opened = Path.open

    def refuse(self: Path, *args: object, **kwargs: object) -> object:
        if self.suffix.lower() in (".png", ".jpg", ".jpeg"):
            raise AssertionError(f"{self} was opened")
        return opened(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Image, "open", refuse)

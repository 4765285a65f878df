"""A comparison on disk.

DIR/compare.md      the tables; the same in the next two
DIR/compare.tex     plain tabular environments
DIR/compare.html    one page with every flipped picture in it
DIR/compare.csv     one line a row and metric, at full precision
DIR/flips.csv       one line a picture whose verdict flips
DIR/flips/0000.png  picture, mask and both maps of each, numbered as in the tables
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from snlad.errors import UsageError
from snlad.report.comparison import (
    flips_csv,
    format_latex,
    format_markdown,
    html_parts,
    numbers_csv,
)
from snlad.report.overlay import Picture

_FILES = ("compare.md", "compare.tex", "compare.html", "compare.csv", "flips.csv", "flips")


def require_no_comparison(out: Path) -> None:
    """Refuse a folder where something would be overwritten.

    Raises:
        UsageError: it holds a comparison, or is a file.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; give a folder")
    for name in _FILES:
        if (out / name).exists():
            raise UsageError(f"{out / name} exists; give another --out or move it away")


def write_comparison(
    out: Path, comparison: Mapping[str, Any], strips: Iterable[Picture] = ()
) -> None:
    """Write all files, the pictures first, one of them in memory at a time.

    Args:
        out: folder, made when missing.
        comparison: ``Comparison.to_dict()``.
        strips: a drawing (H, W, 3) for each flip, in their order; none where nothing was drawn.

    Raises:
        UsageError: the folder holds a comparison, or is a file.
    """
    require_no_comparison(out)
    out.mkdir(parents=True, exist_ok=True)
    drawn = [_write_strip(out, number, strip) for number, strip in enumerate(strips)]
    for name, text in (
        ("compare.csv", numbers_csv(comparison)),
        ("flips.csv", flips_csv(comparison)),
        ("compare.tex", format_latex(comparison)),
        ("compare.md", format_markdown(comparison)),
    ):
        (out / name).write_text(text, encoding="utf-8", newline="")
    with (out / "compare.html").open("x", encoding="utf-8", newline="") as page:
        page.writelines(html_parts(comparison, _read_each(drawn)))


def _write_strip(out: Path, number: int, strip: Picture) -> Path:
    path = out / "flips" / f"{number:04d}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(strip).save(path)
    return path


def _read_each(paths: Iterable[Path]) -> Iterator[bytes]:
    return (path.read_bytes() for path in paths)

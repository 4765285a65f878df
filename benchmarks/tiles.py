"""What tiles find, how their maps join, and what a huge picture costs.

    python benchmarks/tiles.py scratches    # thin scratches on textures, with and without tiles
    python benchmarks/tiles.py memory       # peak memory of a picture of 12,000 x 9,000 pixels

``scratches`` trains one model for three textures that ship with scikit-image, twice with equal
steps: on whole pictures of 208 x 480 pixels, which shrink to a 128 x 128 input, and on tiles of
128 x 128 pixels of them. Training crops and test crops share no pixel. It prints the image AUROC of
test pictures with one scratch each, and how the maps of the normal ones join: the mean absolute
step between neighbouring pixels where two tiles meet, and within all overlaps, in units of the mean
step outside of them.

``memory`` scores a picture of noise, stored without compression, with the default network and
tiles of 1024 pixels in a process of its own, joined maps and regions included, and prints its peak
(VmHWM).
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import pairwise, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from snlad.data.tiles import Box, TilePlan, Tiling

CROP = (208, 480)
TEXTURES = {
    "brick.png": ((0, 0, 304, 512), (304, 0, 512, 512)),
    "retina.jpg": ((160, 360, 560, 960), (840, 360, 1240, 1080)),
    "hubble_deep_field.jpg": ((0, 0, 576, 1000), (576, 0, 872, 1000)),
}
"""By file, the boxes that training and test crops are taken from."""

TILES = {"size": 128, "overlap": 32}
STRIDE_PX = 16
"""Of the teacher's deepest level; a tile has the size of the input."""

LENGTH_PX, WIDTH_PX, CONTRAST = 24, 2, 4.0
"""Of a scratch; its contrast in standard deviations of the crop's grey levels."""

HUGE = (9000, 12000)

_PREDICT = """
import re, sys
from pathlib import Path
import snlad
model = snlad.load(sys.argv[1])
model.timeout_s = None
(found,) = model.predict(sys.argv[2])
assert found.error is None and found.regions, found
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def main() -> None:
    """Run one part and print what it found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("part", choices=("scratches", "memory"))
    part = parser.parse_args().part
    with tempfile.TemporaryDirectory() as folder:
        if part == "memory":
            print(f"peak memory {measure_memory(Path(folder)) / 1e9:.2f} GB")
            return
        for name, value in measure_scratches(Path(folder)).items():
            print(f"{name:<40} {value:.3f}")


def measure_scratches(folder: Path, steps: int = 200) -> dict[str, float]:
    """Image AUROC with and without tiles, and how the maps join."""
    from snlad.config import make_config
    from snlad.data.opening import open_dataset
    from snlad.engine.evaluate import evaluate
    from snlad.engine.train import train
    from snlad.predict import load

    data = open_dataset(write_pictures(folder / "data"))
    found: dict[str, float] = {}
    for name, tiles in (("whole pictures", {}), ("tiles", TILES)):
        config = make_config(
            image_size=(TILES["size"], TILES["size"]),
            tiles=tiles,
            train={"steps": steps, "batch_size": 8},
            maps={"centers": 512},
            calibration={"share": 0.0},
            probes={"count": 0},
        )
        model = load(train(data, folder / name, config))
        scores = evaluate(model, data).table.to_dict()
        found[f"image AUROC, {name}"] = scores["mean"]["image_auroc"]
        for class_name, row in scores["classes"].items():
            found[f"  {class_name}, {name}"] = row["image_auroc"]
    plan = Tiling(**TILES).plan(CROP)
    normals = model.stream(one.path for one in data.test if not one.is_anomalous)
    meeting, shared = join_contrast((row.maps["overall"] for row in normals), plan, STRIDE_PX)
    return {
        **found,
        "contrast where tiles meet": meeting,
        "contrast within overlaps": shared,
    }


def join_contrast(
    maps: Iterable[NDArray[np.float32]], plan: TilePlan, period: int
) -> tuple[float, float]:
    """Contrast of joined maps where tiles meet and within overlaps, in units of the interior's.

    Contrast is the mean absolute step between neighbouring pixels, along rows and along columns. A
    map is bilinear between the network's locations, so its steps repeat with them: where tiles meet
    is compared with the lines of the interior that lie alike between locations.

    Args:
        maps: joined maps of pictures of one size.
        plan: of their tiles.
        period: pixels of the map between the network's coarsest locations.
    """
    found: dict[str, list[float]] = {"meeting": [], "alike": [], "shared": [], "inside": []}
    sides = ((0, plan.rows, plan.tile[0]), (1, plan.columns, plan.tile[1]))
    for overall, (axis, starts, side) in product(maps, sides):
        steps = np.abs(np.diff(overall, axis=axis)).mean(axis=1 - axis)  # i: from i to i + 1
        is_shared, lies_alike = np.zeros((2, len(steps)), bool)
        for before, start in pairwise(starts):
            end = before + side
            is_shared[start - 1 : end] = True
            found["meeting"].append(steps[(start + end) // 2 - 1])
        for start in starts:
            lies_alike[start + period - 1 : start + side - period : period] = True
        found["alike"] += steps[lies_alike & ~is_shared].tolist()
        found["shared"] += steps[is_shared].tolist()
        found["inside"] += steps[~is_shared].tolist()
    mean = {name: float(np.mean(values)) for name, values in found.items()}
    return mean["meeting"] / mean["alike"], mean["shared"] / mean["inside"]


def write_pictures(root: Path, each: int = 8) -> Path:
    """Normal training pictures, normal test pictures and scratched ones of every texture."""
    for index, (file, (train, test)) in enumerate(TEXTURES.items()):
        rng, texture = np.random.default_rng([7, index]), _texture(file)
        for kind, box in (("train/good", train), ("test/good", test), ("test/scratch", test)):
            folder = root / Path(file).stem / kind
            folder.mkdir(parents=True)
            for number, crop in zip(range(each), _crops(texture, box, rng), strict=False):
                picture = scratch(crop, rng) if kind == "test/scratch" else crop
                Image.fromarray(picture).save(folder / f"{number}.png")
    return root


def scratch(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture with one straight line of 2 x 24 pixels, lighter or darker than it was."""
    height, width, _ = picture.shape
    row, column = rng.uniform(LENGTH_PX, (height - LENGTH_PX, width - LENGTH_PX))
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)]) * LENGTH_PX / 2
    line = Image.new("L", (width, height))
    ends = (column - along[0], row - along[1], column + along[0], row + along[1])
    ImageDraw.Draw(line).line(ends, fill=1, width=WIDTH_PX)
    change = rng.choice([-CONTRAST, CONTRAST]) * picture.mean(axis=2).std()
    scratched = picture + np.asarray(line)[..., None] * change
    return np.clip(np.rint(scratched), 0, 255).astype(np.uint8)


def measure_memory(folder: Path, size: tuple[int, int] = HUGE) -> int:
    """Peak memory in bytes of scoring one picture of this size, maps and regions included."""
    from snlad.config import make_config
    from snlad.data.opening import open_dataset
    from snlad.engine.calibrate import calibrate
    from snlad.engine.train import train
    from snlad.predict import load

    config = make_config(
        tiles={"size": 1024},
        train={"steps": 2, "batch_size": 4},
        calibration={"share": 0.0},
        probes={"count": 0},
    )
    data = open_dataset(write_pictures(folder / "data", each=2))
    run = train(data, folder / "run", config)
    calibrate(run, load(run), [one for one in data.test if not one.is_anomalous])
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(folder / "huge.png", compress_level=0)
    del noise
    command = [sys.executable, "-c", _PREDICT, str(run), str(folder / "huge.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return int(done.stdout.split()[-1]) * 1024


def _texture(file: str) -> NDArray[np.uint8]:
    """One of scikit-image's pictures, (H, W, 3), without importing it."""
    package = find_spec("skimage")
    assert package is not None
    assert package.submodule_search_locations is not None
    with Image.open(Path(package.submodule_search_locations[0]) / "data" / file) as picture:
        return np.asarray(picture.convert("RGB"))


def _crops(
    texture: NDArray[np.uint8], box: Box, rng: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    """Crops from a box of a texture, without end."""
    while True:
        top = int(rng.integers(box[0], box[2] - CROP[0] + 1))
        left = int(rng.integers(box[1], box[3] - CROP[1] + 1))
        yield texture[top : top + CROP[0], left : left + CROP[1]]


if __name__ == "__main__":
    main()

"""A data set that anyone can install: the embedded textures and, if present, elpv-dataset.

    pip install 'snlad[train,demo]' elpv-dataset
    python benchmarks/public_data.py OUT
    python benchmarks/quality.py run OUT --rows results/public.jsonl \
        --config configs/public_data.toml

Solar cells of elpv-dataset (CC BY-NC-SA 4.0) become two classes, mono and poly: cells that experts
rated 0 are normal, those rated 1 are defects, the doubtful ones are left out. 250 normal cells a
class train, 100 normal and 100 defect cells test, drawn with seed 0; there are no masks.
"""

import csv
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from snlad.demo.textures import write_textures
from snlad.engine.demo import DEMO_STRENGTH

TRAIN_NORMAL, TEST = 250, 100


def main(out: Path) -> None:
    """Write the data set to ``out``, in MVTec AD layout."""
    write_textures(out, strength=DEMO_STRENGTH)
    spec = find_spec("elpv_dataset")
    if spec is None or spec.submodule_search_locations is None:
        print("elpv-dataset is not installed: textures only")
        return
    write_solar_cells(Path(spec.submodule_search_locations[0]), out)


def write_solar_cells(package: Path, out: Path) -> None:
    """Copy seeded draws of normal and defective cells of both kinds."""
    labels = next(package.rglob("labels.csv"))
    cells = [
        row
        for row in csv.reader(labels.read_text().splitlines(), delimiter=" ", skipinitialspace=True)
        if row
    ]
    rng = np.random.default_rng(0)
    for kind in ("mono", "poly"):
        normal, defect = (
            [
                labels.parent / name
                for name, rated, of in cells
                if of == kind and float(rated) == rating
            ]
            for rating in (0.0, 1.0)
        )
        rng.shuffle(normal)
        rng.shuffle(defect)
        parts = {
            "train/good": normal[:TRAIN_NORMAL],
            "test/good": normal[TRAIN_NORMAL : TRAIN_NORMAL + TEST],
            "test/defect": defect[:TEST],
        }
        for part, paths in parts.items():
            folder = out / kind / part
            folder.mkdir(parents=True)
            for path in paths:
                shutil.copy(path, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

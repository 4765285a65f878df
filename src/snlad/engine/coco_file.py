"""Anomalous regions in COCO's format, for the tools that label, look and count."""

import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snlad.calibration.regions import region_masks
from snlad.data.masks import fit_mask, nearest
from snlad.report.flushed import FlushedFile, named_errors
from snlad.report.rle import compress, run_lengths
from snlad.types import Prediction


class CocoFile:
    """One image a picture and one annotation a region, in pixels of the upright picture.

    While it is open, ``PATH.part`` takes one line a picture: the image, a tab, its annotations.
    ``close`` makes the file of these lines, one at a time, and removes them.

    Args:
        path: must not exist.
        classes: the model's classes; each is a category, and there is one for no class.
        min_area: of the model: the regions are those of the rows.
    """

    def __init__(self, path: Path, classes: Sequence[str], min_area: float = 0.0) -> None:
        self._path = path
        self._categories: dict[str | None, int] = {
            name: number for number, name in enumerate([*classes, None], start=1)
        }
        self._min_area = min_area
        self._numbers = count(1)
        self._part = FlushedFile(path.with_name(f"{path.name}.part"))

    def add(self, number: int, prediction: Prediction) -> None:
        """Append the picture of row ``number`` and its regions; one with an error has neither."""
        if prediction.error is not None:
            return
        assert prediction.image is not None
        size = prediction.image.shape[:2]
        image = {
            "id": number,
            "file_name": prediction.path,
            "width": size[1],
            "height": size[0],
        }
        annotations = [
            {
                "id": next(self._numbers),
                "image_id": number,
                "category_id": self._categories[prediction.class_name],
                **_outline(mask, size),
                "iscrowd": 0,
                "score": score,
            }
            for mask, score in self._regions(prediction, size)
        ]
        self._part.write(f"{json.dumps(image)}\t{json.dumps(annotations)[1:-1]}\n")

    def close(self) -> None:
        """Make the file of all pictures so far; it appears whole or not at all."""
        self._part.close()
        joined = self._path.with_name(f"{self._path.name}.new")
        with named_errors(joined), joined.open("w", encoding="ascii") as file:
            file.write(f'{{"categories": {json.dumps(self._listed_categories())}')
            for column, name in enumerate(("images", "annotations")):
                file.write(f',\n"{name}": [')
                separator = "\n"
                for entry in filter(None, self._column(column)):
                    file.write(separator + entry)
                    separator = ",\n"
                file.write("\n]")
            file.write("}\n")
        joined.replace(self._path)
        self._part.path.unlink()

    def _listed_categories(self) -> list[dict[str, Any]]:
        return [
            {
                "id": number,
                "name": "anomaly" if name is None else f"{name} anomaly",
                "supercategory": "anomaly",
            }
            for name, number in self._categories.items()
        ]

    def _regions(
        self, prediction: Prediction, size: tuple[int, int]
    ) -> Iterator[tuple[NDArray[np.bool_], float]]:
        """The mask at map size and the score of each region, in the row's order."""
        assert prediction.pred_mask is not None
        assert prediction.regions is not None
        masks = region_masks(prediction.maps["overall"], prediction.pred_mask, size, self._min_area)
        scores = [region["score"] for region in prediction.regions]
        return zip(masks, scores, strict=True)

    def _column(self, column: int) -> Iterator[str]:
        with self._part.path.open(encoding="ascii") as file:
            for line in file:
                yield line.rstrip("\n").split("\t")[column]


def _outline(mask: NDArray[np.bool_], size: tuple[int, int]) -> dict[str, Any]:
    """Mask, box and area of a region that is stretched to (H0, W0); at least one pixel."""
    lengths = run_lengths(mask, size)
    if len(lengths) == 1:  # all false: too small for the centre of any pixel
        mask, _ = fit_mask(mask, size)
        lengths = run_lengths(mask, size)
    rows, columns = (nearest(old, new) for old, new in zip(mask.shape, size, strict=True))
    down = np.flatnonzero(mask[:, columns].max(axis=1)[rows]).tolist()
    right = np.flatnonzero(mask[rows].max(axis=0)[columns]).tolist()
    return {
        "segmentation": {"size": list(size), "counts": compress(lengths)},
        "bbox": [right[0], down[0], right[-1] + 1 - right[0], down[-1] + 1 - down[0]],
        "area": int(lengths[1::2].sum()),
    }

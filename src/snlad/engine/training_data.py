"""Training pictures or tiles and teacher features by index, computed once where memory allows."""

import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snlad.data.images import to_input
from snlad.data.inputs import load_inputs, load_tiles
from snlad.data.roi import blank_outside
from snlad.data.tiles import Box
from snlad.engine.hardware import Hardware, to_device
from snlad.models.teacher import Teacher
from snlad.types import Progress

logger = logging.getLogger(__name__)

_FILL_BATCH = 16


class TrainingData:
    """Normal pictures with their teacher features; the transform is deterministic.

    Pictures are decoded once and features computed once as long as both fit into the budget, the
    features in bfloat16 if need be; beyond it they are made anew for every batch.

    Args:
        paths: picture files, the order is the index; with tiles that of each tile.
        size: network input (H, W).
        teacher: frozen, on the hardware's device.
        hardware: where and in which number format features are kept.
        budget_bytes: memory for pictures and features together.
        progress: told while the caches fill.
        rois: inspection mask (H, W) of each, or ``None``; it is blank outside.
        boxes: place of each tile in its picture, tiles of one picture together; ``None`` takes
            pictures whole.

    Raises:
        ImageError: a picture cannot be read; the message names it.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        size: tuple[int, int],
        teacher: Teacher,
        hardware: Hardware,
        budget_bytes: int,
        progress: Progress,
        rois: Sequence[NDArray[np.bool_] | None] | None = None,
        boxes: Sequence[Box] | None = None,
    ) -> None:
        self.paths, self._boxes = list(paths), boxes
        self._rois = rois or [None] * len(self.paths)
        self.size = size
        self.teacher = teacher
        self.hardware = hardware
        self._images: NDArray[np.uint8] | None = None
        self._features: list[Tensor] | None = None
        left = budget_bytes - len(paths) * size[0] * size[1] * 3
        if left < 0:
            logger.info("pictures exceed the cache budget: decoded anew for every batch")
            return
        self._images = self._decode_all(progress)
        shapes = [feature.shape[1:] for feature in self._teach(self.images([0]))]
        dtype = self._kept_dtype(left // (sum(s.numel() for s in shapes) * len(paths)))
        if dtype is None:
            logger.info("teacher features exceed the cache budget: computed anew for every batch")
            return
        self._features = self._teach_all(shapes, dtype, progress)

    def __len__(self) -> int:
        return len(self.paths)

    def images(self, indices: Sequence[int]) -> Tensor:
        """Images (B, 3, H, W) in [0, 1], float32."""
        pixels = self._load(indices) if self._images is None else self._images[list(indices)]
        return to_device(torch.from_numpy(to_input(pixels)), self.hardware)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Images (B, 3, H, W) in [0, 1] and the teacher's pyramid of them, both float32."""
        images = self.images(indices)
        if self._features is None:
            return images, self._teach(images)
        rows = torch.as_tensor(indices)
        kept = (feature[rows].to(self.hardware.device) for feature in self._features)
        return images, [feature.float().permute(0, 3, 1, 2) for feature in kept]

    def whole_features(self, indices: Sequence[int]) -> list[Tensor]:
        """The teacher's pyramid of whole pictures, parts that are not inspected included."""
        if self._boxes is None and all(self._rois[i] is None for i in indices):
            return self.batch(indices)[1]
        pixels = load_inputs([self.paths[i] for i in indices], self.size)
        return self._teach(to_device(torch.from_numpy(to_input(pixels)), self.hardware))

    def _load(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        paths = [self.paths[i] for i in indices]
        if self._boxes is None:
            pixels = load_inputs(paths, self.size)
        else:
            pixels = load_tiles(paths, [self._boxes[i] for i in indices], self.size)
        for row, index in enumerate(indices):
            roi = self._rois[index]
            if roi is not None:
                pixels[row] = blank_outside(pixels[row], roi)
        return pixels

    def _teach(self, images: Tensor) -> list[Tensor]:
        return list(self.teacher(images))

    def _kept_dtype(self, bytes_each: int) -> torch.dtype | None:
        """The hardware's number format for features, or bfloat16, or ``None`` where neither fits.

        What learns from them in float32, student, centers and classes, hardly notices: the digits
        that bfloat16 cuts off are a hundredth of what a student gets wrong. Computing the teacher
        anew takes a sixth of a step.
        """
        if bytes_each >= self.hardware.dtype.itemsize:
            return self.hardware.dtype
        if bytes_each < torch.bfloat16.itemsize:
            return None
        logger.info("teacher features exceed the cache budget in float32: kept in bfloat16")
        return torch.bfloat16

    def _decode_all(self, progress: Progress) -> NDArray[np.uint8]:
        images = np.empty((len(self), *self.size, 3), dtype=np.uint8)
        for rows in _slices(len(self)) if self._boxes is None else self._by_picture():
            images[rows] = self._load(range(rows.start, rows.stop))
            progress("reading pictures", rows.stop, len(self))
        return images

    def _by_picture(self) -> list[slice]:
        """The tiles of each picture, which is then read once."""
        paths = [*self.paths, None]
        ends = [i + 1 for i in range(len(self)) if paths[i] != paths[i + 1]]
        return [slice(start, end) for start, end in pairwise([0, *ends])]

    def _teach_all(
        self, shapes: Sequence[torch.Size], dtype: torch.dtype, progress: Progress
    ) -> list[Tensor]:
        """Features (N, H, W, C) a level: channels last, so that a batch is gathered in one copy."""
        kept = [torch.empty(len(self), h, w, c, dtype=dtype) for c, h, w in shapes]
        for rows in _slices(len(self)):
            features = self._teach(self.images(range(rows.start, rows.stop)))
            for level, feature in zip(kept, features, strict=True):
                level[rows] = feature.permute(0, 2, 3, 1).to("cpu", level.dtype)
            progress("teacher features", rows.stop, len(self))
        return kept


def _slices(n: int) -> list[slice]:
    return [slice(i, min(i + _FILL_BATCH, n)) for i in range(0, n, _FILL_BATCH)]

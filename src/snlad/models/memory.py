"""Teacher features of pictures that were seen before: a frozen teacher says the same every time."""

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from snlad.models.teacher import Teacher
from snlad.models.weights import weights_digest

RAM_GIB, DISK_GIB = 4.0, 64.0
"""What is kept unless another limit is given, in memory or in a folder."""

_SUFFIX = ".safetensors"


class FeatureMemory:
    """Features of any number of teachers, looked up by what a picture's pixels are.

    A picture is known by a hash over the float32 values that the teacher would see. What is full
    stays as it is: further pictures are computed every time and not kept.

    Args:
        folder: where features are kept for later processes; several may share it. Without one
            they live in this process.
        limit_gib: how much is kept, about; by default 4 GiB in memory, 64 GiB in a folder.

    Attributes:
        computed: pictures whose features a teacher had to compute, so far.
    """

    def __init__(self, folder: Path | None = None, limit_gib: float | None = None) -> None:
        self.folder = folder
        self.computed = 0
        default = RAM_GIB if folder is None else DISK_GIB
        self._left = int((default if limit_gib is None else limit_gib) * 2**30)
        self._kept: dict[tuple[str, str], list[Tensor]] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._left -= sum(file.stat().st_size for file in folder.glob(f"*/*{_SUFFIX}"))

    def recall(
        self,
        owner: str,
        images: Float[Tensor, "B 3 H W"],
        compute: Callable[[Tensor], list[Tensor]],
    ) -> list[Tensor]:
        """Levels (B, C, H, W) of images in [0, 1]; only those not known are computed, in one batch.

        Args:
            owner: names the teacher.
            images: what its features are asked of.
            compute: gives levels of images.
        """
        names = [_name(image) for image in images]
        known = {name: self._find(owner, name) for name in names}
        missing = [row for row, name in enumerate(names) if known[name] is None]
        if len(missing) == len(names):
            levels = compute(images)
            self._learn(owner, names, levels)
            return levels
        if missing:
            levels = compute(_like(images[missing], images))
            self._learn(owner, [names[row] for row in missing], levels)
            known |= {names[row]: [x[i] for x in levels] for i, row in enumerate(missing)}
        rows = [found for name in names if (found := known[name]) is not None]
        return [_stack(level, images) for level in zip(*rows, strict=True)]

    def _learn(self, owner: str, names: list[str], levels: list[Tensor]) -> None:
        self.computed += len(names)
        for row, name in enumerate(names):
            features = [level[row].float().cpu().clone(memory_format=_PLAIN) for level in levels]
            size = sum(x.numel() * 4 for x in features)
            if size <= self._left:
                self._left -= size
                self._keep(owner, name, features)

    def _keep(self, owner: str, name: str, features: list[Tensor]) -> None:
        if self.folder is None:
            self._kept[owner, name] = features
            return
        file = self._file(owner, name)
        file.parent.mkdir(exist_ok=True)
        partial_file = file.with_name(f".{file.name}.{os.getpid()}")
        partial_file.write_bytes(save({str(i): x for i, x in enumerate(features)}))
        partial_file.replace(file)

    def _find(self, owner: str, name: str) -> list[Tensor] | None:
        if self.folder is None:
            return self._kept.get((owner, name))
        try:
            stored = load(self._file(owner, name).read_bytes())
        except (FileNotFoundError, SafetensorError):  # a machine that broke down may leave a part
            return None
        return [stored[str(level)] for level in range(len(stored))]

    def _file(self, owner: str, name: str) -> Path:
        assert self.folder is not None
        return self.folder / owner / f"{name}{_SUFFIX}"


def remember(teacher: Teacher, memory: FeatureMemory | None) -> None:
    """Let a teacher look its features up; its weights must not change after this.

    Args:
        teacher: with its weights loaded.
        memory: shared by any number of teachers; ``None`` computes everything again.
    """
    teacher.memory = None if memory is None else partial(memory.recall, _owner(teacher))


_PLAIN = torch.contiguous_format


def _owner(teacher: Teacher) -> str:
    """Sixteen hex digits for everything that a teacher's features depend on."""
    whole = f"{teacher.name} {teacher.levels} {teacher.image_size} {weights_digest(teacher)}"
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _name(image: Tensor) -> str:
    values = image.float().cpu().contiguous().numpy()
    return hashlib.blake2b(values.data, digest_size=16).hexdigest()


def _stack(rows: tuple[Tensor, ...], images: Tensor) -> Tensor:
    """One level of all pictures, on the device and in the memory layout of the images."""
    return _like(torch.stack([row.to(images.device) for row in rows]), images)


def _like(batch: Tensor, images: Tensor) -> Tensor:
    is_last = images.is_contiguous(memory_format=torch.channels_last)
    return batch.contiguous(memory_format=torch.channels_last if is_last else _PLAIN)

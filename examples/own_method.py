"""A student, a loss and a map of your own, in the same training, resume, model folder and metrics.

python examples/own_method.py DATA OUT
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snlad.build import build_teacher
from snlad.config import Config, make_config
from snlad.data.opening import open_dataset
from snlad.engine.evaluate import evaluate
from snlad.engine.train import OwnParts, train
from snlad.predict import load
from snlad.pyramid import Pyramid


class Autoencoder(nn.Module):
    """Rebuilds each level from a few channels of its own."""

    def __init__(self, channels: tuple[int, ...], code: int = 8) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, code, 1), nn.GELU(), nn.Conv2d(code, c, 3, padding=1))
            for c in channels
        )

    def forward(self, images: Tensor, teacher: Pyramid) -> list[Tensor]:
        """Levels of the teacher's shapes."""
        return [rebuild(level) for rebuild, level in zip(self.levels, teacher, strict=True)]


def smooth_l1(teacher: Pyramid, student: Pyramid) -> dict[str, Tensor]:
    """Loss terms by name; training minimises their sum."""
    pairs = zip(student, teacher, strict=True)
    return {"smooth_l1": torch.stack([F.smooth_l1_loss(s, t) for s, t in pairs]).sum()}


def error_map(teacher: Pyramid, student: Pyramid, size: tuple[int, int]) -> Tensor:
    """Squared error of the finest level, (B, 1, H, W)."""
    error = (teacher[0] - student[0]).square().mean(dim=1, keepdim=True)
    return F.interpolate(error, size=size, mode="bilinear")


def run(data: Path, out: Path, config: Config, *, resume: bool = False) -> dict[str, Any]:
    """Train, load again and evaluate; with ``resume`` an interrupted training goes on."""
    dataset, student = open_dataset(data), Autoencoder(build_teacher(config).channels)
    own = OwnParts(student=student, loss=smooth_l1, maps={"error": error_map})
    train(dataset, out, config, own=own, resume=resume)
    table = evaluate(load(out, student=student, maps=own.maps), dataset).table
    return table.to_dict()


if __name__ == "__main__":
    print(run(Path(sys.argv[1]), Path(sys.argv[2]), make_config("rd"))["mean"])

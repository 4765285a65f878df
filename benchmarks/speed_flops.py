"""How many floating-point operations a picture takes: those of convolutions and matrix products.

A multiplication and an addition are two; what is element by element is not counted. A training is
counted on torch's device without memory, so that counting leaves no trace in a measurement.
"""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from snlad.build import build_detector, build_loss
from snlad.config import Config
from snlad.models.detector import Detector

_COUNTED = 2
"""Pictures that are counted together, as a single one is too few for some BatchNorms."""


def count(call: Callable[[int], object], pictures: int = 1) -> float:
    """Operations of each picture of a call, which is made once."""
    with FlopCounterMode(display=False) as counter:
        call(pictures)
    return float(counter.get_total_flops() / pictures)


def of_inference(detector: Detector, size: tuple[int, int]) -> dict[str, float]:
    """Operations of ``teacher``, ``student`` and ``whole``, from pixels to map, for a picture.

    Args:
        detector: trained, as what its maps take depends on what they have learned.
        size: (H, W) of the input.
    """
    images = torch.rand(_COUNTED, 3, *size)
    with torch.no_grad():
        levels = detector.teacher(images)
        return {
            "teacher": count(lambda n: detector.teacher(images[:n]), _COUNTED),
            "student": count(lambda n: detector.student(images[:n], levels), _COUNTED),
            "whole": count(lambda n: detector(images[:n]), _COUNTED),
        }


def of_training(config: Config) -> dict[str, float]:
    """Operations of ``teacher`` and of the ``student``'s step, for a picture."""
    with torch.device("meta"):
        detector, loss = build_detector(config), build_loss(config)
        images = torch.rand(_COUNTED, 3, *config.image_size)
        teacher = detector.teacher(images)

    def step(n: int) -> None:
        terms = loss(teacher, detector.student.train()(images[:n], teacher))
        torch.stack(list(terms.values())).sum().backward()

    return {
        "teacher": count(lambda n: detector.teacher(images[:n]), _COUNTED),
        "student": count(step, _COUNTED),
    }

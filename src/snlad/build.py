"""Configuration in, networks and functions out: below it nothing sees a ``Config``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from torch import Tensor, nn

from snlad.config import Config
from snlad.losses.structural import LossWeights, structural_loss
from snlad.maps.affinity_difference import affinity_difference_map, affinity_differences
from snlad.maps.feature_distance import feature_distance_map, feature_distances
from snlad.models.central import CentralMaps, Residual
from snlad.models.cram import Cram, LevelCrams
from snlad.models.detector import Detector, MapFunction
from snlad.models.forward import ForwardStudent
from snlad.models.reconstruction import ReconstructionStudent
from snlad.models.reverse import ReverseStudent, default_bottleneck
from snlad.models.teacher import Teacher
from snlad.pyramid import Pyramid

_Map = TypeVar("_Map")

LossFunction = Callable[[Pyramid, Pyramid], Mapping[str, Tensor]]
"""(teacher, student) -> weighted loss terms by name; training minimises their sum."""


def build_teacher(config: Config) -> Teacher:
    """The teacher's architecture with random weights; ``load_pretrained`` fills it."""
    return Teacher(config.teacher.name, levels=config.teacher.levels, image_size=config.image_size)


def build_student(config: Config, teacher: Teacher) -> nn.Module:
    """The student that ``student.distillation`` names, with CRAM where ``cram`` asks for it."""
    student = _plain_student(config, teacher)
    if "levels" not in config.cram_places:
        return student
    return LevelCrams(student, [_build_cram(config, c) for c in teacher.channels])


def _plain_student(config: Config, teacher: Teacher) -> nn.Module:
    kind, dropout = config.student.distillation, config.student.dropout
    if kind == "forward":
        return ForwardStudent(teacher)
    if kind == "reconstruction":
        cram = _bottleneck_cram(config, teacher.channels[-1])
        return ReconstructionStudent(teacher, cram=cram, dropout=dropout)
    width = config.student.bottleneck_channels or default_bottleneck(teacher)
    cram = _bottleneck_cram(config, width)
    return ReverseStudent.for_teacher(
        teacher, width, cram=cram, dropout=dropout, blocks=config.student.blocks
    )


def build_loss(config: Config) -> LossFunction:
    """Weighted distillation terms by name."""
    return partial(structural_loss, weights=LossWeights(**config.loss.model_dump()))


def build_maps(config: Config, channels: Sequence[int]) -> dict[str, MapFunction] | CentralMaps:
    """The maps in force by name, for a teacher whose levels have these channels."""
    corners = config.maps.align_corners
    if config.maps.centers:
        residuals: dict[str, Residual] = {
            "feature": feature_distances,
            "affinity": affinity_differences,
        }
        return CentralMaps(
            channels,
            config.maps.centers,
            _asked(config, residuals),
            distance=config.maps.center_distance,
            align_corners=corners,
        )
    maps: dict[str, MapFunction] = {
        "feature": partial(feature_distance_map, levels=config.maps.levels, align_corners=corners),
        "affinity": partial(affinity_difference_map, align_corners=corners),
    }
    return _asked(config, maps)


def _asked(config: Config, maps: Mapping[str, _Map]) -> dict[str, _Map]:
    """Those of the student's maps that the configuration switches on."""
    return {name: one for name, one in maps.items() if getattr(config.maps, name)}


def build_detector(
    config: Config,
    student: nn.Module | None = None,
    maps: Mapping[str, MapFunction] | None = None,
) -> Detector:
    """Teacher, student and maps joined; a student or maps of the user's own replace ours."""
    teacher = build_teacher(config)
    return Detector(
        teacher,
        build_student(config, teacher) if student is None else student,
        build_maps(config, teacher.channels) if maps is None else maps,
        how=config.maps.combine,
        score=config.maps.score,
        sigma_px=config.maps.sigma_px,
    )


def _bottleneck_cram(config: Config, channels: int) -> Cram | None:
    return _build_cram(config, channels) if "bottleneck" in config.cram_places else None


def _build_cram(config: Config, channels: int) -> Cram:
    return Cram(channels, config.cram.centers)

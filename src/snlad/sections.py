"""The sections of a configuration: every choice with its default and its limits."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEFAULT_STEPS = 1250
"""Optimiser steps when neither steps nor epochs are given: six epochs of 3,300 pictures."""


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TeacherConfig(Section):
    """The frozen network whose features are normality's yardstick."""

    name: str = "tf_efficientnet_lite0"
    weights: str = "auto"
    """``auto``, ``packaged``, ``timm``, ``random`` or the path of a safetensors file."""
    levels: tuple[int, ...] | None = None
    """timm ``out_indices``; by default the levels of strides 4, 8 and 16."""


class StudentConfig(Section):
    """The network that learns to reproduce the teacher."""

    distillation: Literal["forward", "reverse", "reconstruction"] = "reverse"
    """``reconstruction`` is for teachers whose levels have one stride, as a plain ViT's."""
    bottleneck_channels: int | None = Field(None, ge=1)
    """Channels of the embedding; by default twice the teacher's deepest; reverse only."""
    blocks: Annotated[int, Field(ge=1, le=16)] | Literal["auto"] | None = None
    """Residual blocks of the bottleneck and of each decoder stage; reverse only. By default those
    of RD4AD for its own teachers, and for others two, or with ``auto`` one."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the embedding's values dropped in training; a forward student has none."""


class CramConfig(Section):
    """The central residual aggregation module."""

    reading: Literal["none", "residual"] = "none"
    centers: int = Field(64, ge=2, le=4096)
    initialisation: Literal["k-means", "random"] = "k-means"
    placement: Literal["auto", "bottleneck", "levels", "both"] = "auto"
    """``auto``: behind the bottleneck, or on each level of a forward student, which has none."""


class LossConfig(Section):
    """Weights of the distillation terms; a term of weight 0 is not computed."""

    flattened: float = Field(0.0, ge=0.0)
    channel: float = Field(0.0, ge=0.0)
    spatial: float = Field(0.0, ge=0.0)
    intra: float = Field(0.0, ge=0.0)
    inter: float = Field(0.0, ge=0.0)
    easy_share: float = Field(0.0, ge=0.0, lt=1.0)
    """Of all locations, the easiest: a tenth of their gradient remains (loose loss)."""

    @model_validator(mode="after")
    def _some_term(self) -> Self:
        if not any((self.flattened, self.channel, self.spatial, self.intra, self.inter)):
            raise ValueError("every weight is 0; give at least one loss term a weight above 0")
        return self


class MapsConfig(Section):
    """How disagreement becomes an anomaly map and an image score."""

    feature: bool = True
    """Show where the student's features lie far from the teacher's."""
    affinity: bool = False
    """Show where their relations to all other locations differ."""
    levels: Literal["sum", "product"] = "sum"
    align_corners: bool = True
    combine: Literal["sum", "scaled-sum"] = "sum"
    centers: int = Field(0, ge=0, le=65536)
    """Normality centers that residuals are measured against, at most; 0 takes them as they are."""
    centers_for: Literal["all", "alike", "class"] = "all"
    """Which pictures share that many centers: all; those that look alike, in groups that are found
    without a label; or those of a class. A picture is measured against those of the group that it
    looks like."""
    center_distance: bool = False
    """Show how far the teacher's features lie from the nearest center."""
    score: Literal["top", "max"] = "top"
    """Image score: mean of the highest 1 % of pixels, or the highest pixel."""
    sigma_px: float = Field(4.0, ge=0.0, le=32.0)
    """Gaussian smoothing, in pixels of the 256 x 256 map."""

    @model_validator(mode="after")
    def _maps_add_up(self) -> Self:
        if not (self.feature or self.affinity or self.center_distance):
            raise ValueError("no map is left; switch feature, affinity or center_distance on")
        if self.center_distance and not self.centers:
            raise ValueError("center_distance needs centers; give maps.centers, 4096 for example")
        if self.centers and self.levels == "product":
            raise ValueError(
                "with centers a usual place is near 0, so products of levels mean nothing; use sums"
            )
        return self


class TilesConfig(Section):
    """How large pictures are cut into tiles, the same in training, calibration and inspection."""

    size: int | None = Field(None, ge=16, le=65536)
    """Side of a tile in pixels of the picture; without it pictures are taken whole."""
    overlap: int | None = Field(None, ge=0)
    """Pixels of the picture that neighbours share; by default a quarter of the side."""

    @model_validator(mode="after")
    def _neighbours_share_at_most_half(self) -> Self:
        if self.overlap is not None and self.size is None:
            raise ValueError(f"overlap is {self.overlap} without tiles; give their size too")
        if self.size is not None and self.overlap is not None and 2 * self.overlap > self.size:
            raise ValueError(
                f"overlap is {self.overlap} px of {self.size} px; neighbours share at most half"
            )
        return self


class TrainConfig(Section):
    """The optimiser, its schedule, and what the machine may spend."""

    steps: int | None = Field(None, ge=1)
    epochs: int | None = Field(None, ge=1)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(0.001, gt=0.0)
    warmup_share: float = Field(0.05, ge=0.0, lt=1.0)
    """Share of all steps in which the learning rate rises linearly from 0; then a cosine to 0."""
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = Field(1.0, gt=0.0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    memory_format: Literal["auto", "channels_last", "contiguous"] = "auto"
    compile: bool = False
    """Let torch write kernels for the student: minutes before the first step, fewer afterwards."""
    cache_gib: float = Field(4.0, ge=0.0)
    """Memory for decoded pictures and teacher features, in GiB."""
    checkpoint_every: int = Field(250, ge=1)
    log_every: int = Field(10, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _default_length(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("steps") is values.get("epochs") is None:
            return {**values, "steps": DEFAULT_STEPS}
        return values

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("steps and epochs are both given; keep one of them")
        return self

    def total_steps(self, n_images: int) -> int:
        """Optimiser steps on ``n_images`` training pictures."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return self.epochs * max(1, n_images // self.batch_size)


class CalibrationConfig(Section):
    """What training sets aside for thresholds, and what they promise."""

    share: float = Field(0.2, ge=0.0, le=0.25)
    """Of each class's normal pictures; 0 trains on all and leaves the model uncalibrated."""
    target_fpr: float = Field(0.05, gt=0.0, lt=1.0)
    """Share of good pictures that may be called NG."""


class ProbesConfig(Section):
    """What training does at its end to measure cross-class interference."""

    count: int = Field(200, ge=0, le=1000)
    """Probes of each kind, made of what was set aside; 0 probes nothing."""

"""The configuration: every choice of a run, checked, frozen and hashed; no class paths, no imports.

Configuration stops at ``build.py``: everything below takes plain typed arguments.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from snlad.errors import ConfigError
from snlad.methods import Method, method_defaults

DEFAULT_STEPS = 1250
"""Optimiser steps when neither steps nor epochs are given: six epochs of 3,300 pictures."""


class _Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TeacherConfig(_Section):
    """The frozen network whose features are normality's yardstick."""

    name: str = "tf_efficientnet_lite0"
    weights: str = "auto"
    """``auto``, ``packaged``, ``timm``, ``random`` or the path of a safetensors file."""
    levels: tuple[int, ...] | None = None
    """timm ``out_indices``; by default the levels of strides 4, 8 and 16."""


class StudentConfig(_Section):
    """The network that learns to reproduce the teacher."""

    distillation: Literal["forward", "reverse"] = "reverse"
    bottleneck_channels: int | None = Field(None, ge=1)
    """Channels of the embedding; by default twice the teacher's deepest; reverse only."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the embedding's values dropped in training; reverse distillation only."""


class CramConfig(_Section):
    """The central residual aggregation module."""

    reading: Literal["none", "residual", "projection", "locations"] = "none"
    centers: int = Field(64, ge=2, le=4096)
    initialisation: Literal["k-means", "random"] = "k-means"


class LossConfig(_Section):
    """Weights and readings of the distillation terms; a term of weight 0 is not computed."""

    flattened: float = Field(0.0, ge=0.0)
    channel: float = Field(0.0, ge=0.0)
    spatial: float = Field(0.0, ge=0.0)
    intra: float = Field(0.0, ge=0.0)
    inter: float = Field(0.0, ge=0.0)
    spatial_reading: Literal["kl", "cosine"] = "cosine"
    temperature: float = Field(1.0, gt=0.0)
    inter_reading: Literal["images", "networks"] = "images"

    @model_validator(mode="after")
    def _some_term(self) -> Self:
        if not any((self.flattened, self.channel, self.spatial, self.intra, self.inter)):
            raise ValueError("every weight is 0; give at least one loss term a weight above 0")
        return self


class MapsConfig(_Section):
    """How disagreement becomes an anomaly map and an image score."""

    affinity: bool = False
    """Add the affinity difference map to the feature distance map."""
    levels: Literal["sum", "product"] = "sum"
    align_corners: bool = True
    combine: Literal["sum", "scaled-sum", "product"] = "sum"
    score: Literal["top", "max"] = "top"
    """Image score: mean of the highest 1 % of pixels, or the highest pixel."""
    sigma_px: float = Field(4.0, ge=0.0, le=32.0)
    """Gaussian smoothing, in pixels of the 256 x 256 map."""


class TrainConfig(_Section):
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


class Config(_Section):
    """All of a run's choices; equal configurations on equal data give equal numbers."""

    method: Method = "rd-snl"
    seed: int = Field(0, ge=0, lt=2**31)
    image_size: tuple[int, int] = (256, 256)
    """Network input, (height, width) in pixels; pictures are stretched to it."""
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig
    cram: CramConfig = CramConfig()
    loss: LossConfig
    maps: MapsConfig = MapsConfig()
    train: TrainConfig = TrainConfig(steps=DEFAULT_STEPS)

    @model_validator(mode="after")
    def _usable_size(self) -> Self:
        if min(self.image_size) < 64 or max(self.image_size) > 4096:
            raise ValueError(f"image_size is {self.image_size}; each side must be 64 to 4096 px")
        return self

    @model_validator(mode="after")
    def _bottleneck_has_a_place(self) -> Self:
        if self.student.distillation == "forward":
            for key in ("bottleneck_channels", "dropout"):
                if getattr(self.student, key):
                    raise ValueError(
                        f"student.{key} acts in a reverse student; leave it out for a forward one"
                    )
        return self

    @property
    def readings_digest(self) -> str:
        """Twelve hex digits that name the readings of the paper in force."""
        parts = self.model_dump(mode="json", include={"student", "cram", "loss", "maps"})
        return digest(parts)[:12]

    @property
    def method_label(self) -> str:
        """What the method may call itself: a baseline, or SNL in our reading, never the paper's."""
        loss = self.loss
        uses_snl = loss.spatial or loss.intra or loss.inter or self.maps.affinity
        if uses_snl or self.cram.reading != "none":
            return f"SNL, snlad's reading {self.readings_digest} ({self.method})"
        return f"plain {self.student.distillation} distillation ({self.method})"


def make_config(method: str = "rd-snl", **overrides: Any) -> Config:
    """Build a checked configuration from a method's defaults and nested overrides.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range.
    """
    return parse_config(_merge(method_defaults(method), overrides))


def parse_config(settings: Mapping[str, Any]) -> Config:
    """Check complete settings, for example those stored with a run.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range.
    """
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the settings together"
        value = "" if isinstance(first.get("input"), dict) else f" (value {first.get('input')!r})"
        raise ConfigError(
            f"configuration, {where}{value}: {first['msg']}; configs/rd_snl.toml shows every key"
        ) from None


def read_config(path: Path | None, method: str | None = None, seed: int | None = None) -> Config:
    """Read a TOML file, or a run's ``config.json``, over the defaults of its method.

    Args:
        path: the file, if any.
        method: by name, where the file names none.
        seed: wins over the file's.

    Raises:
        ConfigError: the file is missing, is not TOML, holds a wrong key or value, or names
            another method.
    """
    settings = {} if path is None else _read_settings(path)
    named = settings.pop("method", None)
    if method and named and named != method:
        raise ConfigError(f"--method {method} contradicts method {named!r} of {path}; keep one")
    name = method or named or "rd-snl"
    if seed is not None:
        settings["seed"] = seed
    return parse_config(_merge(method_defaults(str(name)), settings))


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_settings(path: Path) -> dict[str, Any]:
    parse, form = (json.loads, "JSON") if path.suffix == ".json" else (tomllib.loads, "TOML")
    try:
        settings = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # both parsers' errors are ValueErrors
        reason = " ".join(str(error).split())
        raise ConfigError(f"--config {path} cannot be read as {form}: {reason}") from None
    if not isinstance(settings, dict):
        raise ConfigError(f"--config {path} is not a table of settings; see configs/ for examples")
    return settings


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mapping in which ``over`` wins; giving steps drops epochs and the reverse."""
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged

"""The configuration: every choice of a run, checked, frozen and hashed; no class paths, no imports.

Configuration stops at ``build.py``: everything below takes plain typed arguments.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from snlad.data.tiles import Tiling
from snlad.errors import ConfigError
from snlad.methods import Method, method_defaults
from snlad.sections import (
    CalibrationConfig,
    CramConfig,
    LossConfig,
    MapsConfig,
    ProbesConfig,
    Section,
    StudentConfig,
    TeacherConfig,
    TilesConfig,
    TrainConfig,
)
from snlad.types import INPUT_SIZE


class Config(Section):
    """All of a run's choices; equal configurations on equal data give equal numbers."""

    method: Method = "rd-snl"
    seed: int = Field(0, ge=0, lt=2**31)
    image_size: tuple[int, int] = INPUT_SIZE
    """Network input, (height, width) in pixels; pictures, or their tiles, are stretched to it."""
    tiles: TilesConfig = TilesConfig()
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig
    cram: CramConfig = CramConfig()
    loss: LossConfig
    maps: MapsConfig = MapsConfig()
    train: TrainConfig = TrainConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    probes: ProbesConfig = ProbesConfig()

    @model_validator(mode="after")
    def _usable_size(self) -> Self:
        if min(self.image_size) < 64 or max(self.image_size) > 4096:
            raise ValueError(f"image_size is {self.image_size}; each side must be 64 to 4096 px")
        return self

    @model_validator(mode="after")
    def _bottleneck_has_a_place(self) -> Self:
        kind = self.student.distillation
        absent = {
            "forward": ("bottleneck_channels", "blocks", "dropout"),
            "reconstruction": ("bottleneck_channels", "blocks"),
        }
        for key in absent.get(kind, ()):
            if getattr(self.student, key) not in (None, 0, "auto"):
                raise ValueError(
                    f"student.{key} acts in a reverse student; leave it out for a {kind} one"
                )
        if kind == "forward" and self.cram.placement in ("bottleneck", "both"):
            raise ValueError(
                f"cram.placement is {self.cram.placement!r}, but a forward student has no "
                "bottleneck; choose 'levels'"
            )
        return self

    @property
    def tiling(self) -> Tiling | None:
        """How pictures are cut; ``None`` where they are taken whole."""
        size, overlap = self.tiles.size, self.tiles.overlap
        if size is None:
            return None
        return Tiling(size, size // 4 if overlap is None else overlap)

    @property
    def cram_places(self) -> frozenset[str]:
        """Where the student has CRAM: ``bottleneck``, ``levels``, both or nowhere."""
        if self.cram.reading == "none":
            return frozenset()
        if self.cram.placement == "both":
            return frozenset(("bottleneck", "levels"))
        if self.cram.placement != "auto":
            return frozenset((self.cram.placement,))
        is_forward = self.student.distillation == "forward"
        return frozenset(("levels" if is_forward else "bottleneck",))

    @property
    def readings_digest(self) -> str:
        """Twelve hex digits that name the readings of the paper in force."""
        parts = self.model_dump(mode="json", include={"student", "cram", "loss", "maps"})
        return digest(parts)[:12]

    @property
    def student_digest(self) -> str:
        """Names every choice that a trained student depends on: not its maps nor what follows."""
        return digest(self.choices(without={"method", "maps", "calibration", "probes"}))

    def choices(self, without: Set[str] = frozenset()) -> dict[str, Any]:
        """Settings that differ from their section's defaults.

        They stay the same when a later version adds a key.

        Args:
            without: sections to leave out.
        """
        return self.model_dump(mode="json", exclude=set(without), exclude_defaults=True)

    @property
    def method_label(self) -> str:
        """What the method may call itself: a baseline, or SNL in our reading, never the paper's."""
        loss = self.loss
        uses_snl = (
            loss.spatial or loss.intra or loss.inter or self.maps.affinity or self.maps.centers
        )
        if uses_snl or self.cram_places:
            return f"SNL, snlad's reading {self.readings_digest} ({self.method})"
        return f"plain {self.student.distillation} distillation ({self.method})"


def make_config(method: str = "rd-snl", **overrides: Any) -> Config:
    """Build a checked configuration from a method's defaults and nested overrides.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range.
    """
    return parse_config(merge_settings(method_defaults(method), overrides))


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


def read_config(
    path: Path | None,
    method: str | None = None,
    seed: int | None = None,
    *,
    tile: int | None = None,
    overlap: int | None = None,
) -> Config:
    """Read a TOML file, or a run's ``config.json``, over the defaults of its method.

    Args:
        path: the file, if any.
        method: by name, where the file names none.
        seed: wins over the file's.
        tile: side of a tile in pixels of the picture, likewise.
        overlap: pixels that neighbouring tiles share, likewise.

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
    given = {"size": tile, "overlap": overlap}
    tiles = {"tiles": {name: value for name, value in given.items() if value is not None}}
    if tiles["tiles"]:
        settings = merge_settings({"tiles": {}, **settings}, tiles)
    return parse_config(merge_settings(method_defaults(str(name)), settings))


def merge_settings(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings in which ``over`` wins; giving steps drops epochs and the reverse."""
    merged = dict(base)
    for given, dropped in (("steps", "epochs"), ("epochs", "steps")):
        if given in over and dropped not in over:
            merged.pop(dropped, None)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge_settings(merged[key], value) if nested else value
    return merged


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

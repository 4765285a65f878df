"""One training and evaluation of a study, and what names it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from snlad.config import Config, digest, merge_settings, parse_config
from snlad.errors import ConfigError, UsageError
from snlad.methods import method_defaults

Models = Literal["one", "per-class"]
"""One model for all classes together, or one for each class alone."""

_ALL_TRAIN = {"calibration": {"share": 0.0}, "probes": {"count": 0}}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training and evaluation of a study.

    Attributes:
        trial: name of the trial, with the grid's values.
        base: the same without them.
        variant: the grid's values in words; empty without a grid.
        config: every choice, the seed included.
        data: data set; ``None`` where the study names none.
        classes: of it; ``None`` for all.
        pictures: normal training pictures of each class, at most; ``None`` for all.
        models: one, or one for each class.
        own: which parts are the user's own.
        probes: of each kind after training.
    """

    trial: str
    base: str
    variant: str
    config: Config
    data: Path | None
    classes: tuple[str, ...] | None
    pictures: int | None
    models: Models
    own: tuple[str, ...]
    probes: int

    @property
    def recipe(self) -> str:
        """Sixteen hex digits for everything that the run depends on beside data and code."""
        leaves_none_aside = self.config.calibration.share == 0
        unused = {"calibration", "probes"} if leaves_none_aside else set()
        parts = {
            "config": self.config.choices(without=unused),
            "own": [self.base, *sorted(self.own)] if self.own else [],
            "probes": self.probes,
        }
        return digest({**parts, **self._pictures})[:16]

    @property
    def training(self) -> str:
        """Sixteen hex digits for everything that its students depend on beside data and code."""
        own = sorted({*self.own} - {"maps"})
        parts = {
            "config": self.config.student_digest,
            "share": self.config.calibration.share,
            "own": [self.base, *own] if own else [],
        }
        return digest({**parts, **self._pictures})[:16]

    @property
    def _pictures(self) -> dict[str, Any]:
        return {
            "classes": self.classes and sorted(self.classes),
            "pictures": self.pictures,
            "models": self.models,
        }


def choose_runs(
    runs: Sequence[Run], only: Sequence[str] = (), seeds: Sequence[int] = ()
) -> tuple[Run, ...]:
    """Some of a study's runs.

    Args:
        runs: all of them.
        only: names of trials, with or without the grid's values; empty for all.
        seeds: empty for all.

    Raises:
        UsageError: the study has no such trial or seed.
    """
    names = {name for run in runs for name in (run.trial, run.base)}
    for name in only:
        if name not in names:
            listed = ", ".join(dict.fromkeys(run.trial for run in runs))
            raise UsageError(f"--only {name!r} is no trial of the study; it has {listed}")
    known = sorted({run.config.seed for run in runs})
    for seed in seeds:
        if seed not in known:
            raise UsageError(f"--seeds {seed} is no seed of the study; it has {known}")
    return tuple(
        run
        for run in runs
        if (not only or {run.trial, run.base} & set(only))
        and (not seeds or run.config.seed in seeds)
    )


def configure(name: str, method: str, layers: Sequence[Mapping[str, Any]], seed: int) -> Config:
    """The configuration of one run; all pictures train unless its settings say otherwise.

    Args:
        name: of the trial, for errors.
        method: by name.
        layers: nested settings, the later ones win.
        seed: of all randomness.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range.
    """
    try:
        settings = merge_settings(method_defaults(method), _ALL_TRAIN)
        for layer in layers:
            settings = merge_settings(settings, _without_names(layer))
        return parse_config({**settings, "seed": seed})
    except ConfigError as error:
        raise ConfigError(f"trial {name!r}: {error}") from None


def _without_names(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let settings through that leave method and seed to the trial."""
    for key in ("method", "seed"):
        if key in settings:
            raise ConfigError(f"settings hold {key!r}; it stands outside of them")
    return settings

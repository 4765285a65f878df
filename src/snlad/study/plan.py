"""What a study asks for: trials, a grid on top of each, seeds; checked before anything runs."""

import tomllib
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from snlad.config import merge_settings
from snlad.errors import ConfigError
from snlad.sections import Section
from snlad.study.planned import Models, Run, configure

Name = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1)]
Classes = Annotated[tuple[str, ...], Field(min_length=1)]

_OF_THE_TRIAL = ("method", "data", "classes", "pictures", "models")
"""Keys of a grid that are no configuration keys."""


class Trial(Section):
    """One way to train; what it leaves open is the study's."""

    name: Name
    method: str = "rd-snl"
    settings: dict[str, Any] = Field(default_factory=dict)
    own: tuple[Literal["student", "loss", "maps"], ...] = ()
    """Parts of the user's own, given from Python by the trial's name."""
    data: Path | None = None
    classes: Classes | None = None
    pictures: int | None = Field(None, ge=1)
    models: Models | None = None
    seeds: Seeds | None = None


class Study(Section):
    """A plan of trials and seeds; equal plans on equal data name equal runs."""

    title: str
    folder: Path = Path()
    """Where relative paths of data start; ``read_study`` sets the folder of the file."""
    data: Path | None = None
    classes: Classes | None = None
    """Of the data set; by default all."""
    pictures: int | None = Field(None, ge=1)
    """Normal training pictures of each class, at most, drawn by the run's seed."""
    models: Models = "one"
    seeds: Seeds = (0,)
    baseline: str | None = None
    """Trial that differences are taken against, before or after the grid."""
    probes: int = Field(0, ge=0, le=1000)
    """Of each kind, made of the normal test pictures after each training."""
    settings: dict[str, Any] = Field(default_factory=dict)
    trials: tuple[Trial, ...] = Field(min_length=1)
    grid: dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(default_factory=dict)
    traits: dict[str, tuple[Name, ...]] = Field(default_factory=dict)
    """Words for classes, by class name."""
    groups: dict[Name, Classes] = Field(default_factory=dict)
    """Classes whose means and differences are also shown by themselves, by a name for them."""

    @field_validator("grid", mode="before")
    @classmethod
    def _flat_grid(cls, grid: Any) -> Any:
        return dict(_flatten(grid)) if isinstance(grid, Mapping) else grid

    @model_validator(mode="after")
    def _sound(self) -> Self:
        runs = [(run.trial, run.config.seed) for run in self.runs()]
        if len(set(runs)) < len(runs):
            raise ValueError(
                "a name, value or seed comes twice; each trial needs a name of its own"
            )
        names = list(dict.fromkeys(name for name, _ in runs))
        if self.baseline is not None and self.baseline not in {
            *names,
            *(trial.name for trial in self.trials),
        }:
            raise ValueError(f"baseline is {self.baseline!r}; it must be one of {', '.join(names)}")
        return self

    def on(self, data: Path | None) -> "Study":
        """The same study on another data set, except for trials that name their own."""
        return self if data is None else self.model_copy(update={"data": data.absolute()})

    def runs(self) -> tuple[Run, ...]:
        """Every run, the first seed of all trials before the second.

        Raises:
            ConfigError: a trial's configuration is wrong.
        """
        by_trial = [list(self._runs_of(*one)) for one in self._expanded()]
        longest = max(map(len, by_trial))
        return tuple(some[i] for i in range(longest) for some in by_trial if i < len(some))

    def _expanded(self) -> Iterator[tuple[Trial, str]]:
        """Each trial with each combination of the grid, and the combination in words."""
        for trial in self.trials:
            for values in product(*self.grid.values()):
                chosen = dict(zip(self.grid, values, strict=True))
                words = " ".join(f"{key}={_shown(value)}" for key, value in chosen.items())
                yield _with_values(trial, chosen), words

    def _runs_of(self, trial: Trial, variant: str) -> Iterator[Run]:
        name = f"{trial.name} {variant}".rstrip()
        data = trial.data or self.data
        for seed in trial.seeds or self.seeds:
            yield Run(
                trial=name,
                base=trial.name,
                variant=variant,
                config=configure(name, trial.method, (self.settings, trial.settings), seed),
                data=None if data is None else self.folder / data,
                classes=trial.classes or self.classes,
                pictures=trial.pictures or self.pictures,
                models=trial.models or self.models,
                own=trial.own,
                probes=self.probes,
            )


def read_study(path: Path) -> Study:
    """Read a study's TOML file.

    Raises:
        ConfigError: it is missing, is not TOML, or holds a wrong key or value.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"study {path} cannot be read as TOML: {reason}; check it") from None
    return make_study({"title": path.stem, **content, "folder": path.parent})


def make_study(content: Mapping[str, Any]) -> Study:
    """Check a study's keys and values, and the configuration of each of its trials.

    Raises:
        ConfigError: an unknown key, a wrong type, a value out of range, or two trials of one name.
    """
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the trials together"
        value = "" if isinstance(first.get("input"), dict) else f" (value {first.get('input')!r})"
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"study, {where}{value}: {reason}; docs/study.md lists every key"
        ) from None


def _with_values(trial: Trial, values: Mapping[str, Any]) -> Trial:
    content = trial.model_dump()
    for key, value in values.items():
        if key in _OF_THE_TRIAL:
            content[key] = value
        else:
            *path, last = key.split(".")
            nested: dict[str, Any] = {last: value}
            for part in reversed(path):
                nested = {part: nested}
            content["settings"] = merge_settings(content["settings"], nested)
    return Trial.model_validate(content)


def _flatten(grid: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys, whether they were written so or as nested tables."""
    for key, value in grid.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _shown(value: Any) -> str:
    return ",".join(map(_shown, value)) if isinstance(value, list | tuple) else str(value)

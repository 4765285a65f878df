"""The errors that snlad raises on purpose: each one sentence with value, rule and next step.

SnladError
├── UsageError            a wrong command or argument
│   └── MissingExtraError a verb needs an optional dependency
├── ConfigError           a wrong configuration
├── DataError             a wrong data folder, manifest or mask
│   └── ImageError        one picture that cannot be read
├── WeightsError          teacher weights that are missing or wrong
├── ArtifactError         a model folder or checkpoint that is damaged or foreign
├── MetricError           scores that cannot be ranked
├── StoppedError          a signal ended the work; what is written is kept
└── TrainingError         training that cannot go on
"""


class SnladError(Exception):
    """Anything that snlad refuses to do; the message says what, why and what to do next."""


class UsageError(SnladError):
    """A wrong command or argument."""


class MissingExtraError(UsageError):
    """A verb needs an optional dependency; the message prints the install line."""

    def __init__(self, verb: str, extra: str) -> None:
        super().__init__(f"{verb} needs the extra '{extra}': run  pip install 'snlad[{extra}]'")


class ConfigError(SnladError):
    """A wrong configuration."""


class DataError(SnladError):
    """A wrong data folder, manifest or mask."""


class ImageError(DataError):
    """One picture that cannot be read."""


class WeightsError(SnladError):
    """Teacher weights that are missing or wrong."""


class ArtifactError(SnladError):
    """A model folder or checkpoint that is damaged or foreign."""


class MetricError(SnladError):
    """Scores that cannot be ranked."""


class StoppedError(SnladError):
    """A signal ended the work; the message says what is kept and where."""


class TrainingError(SnladError):
    """Training that cannot go on.

    Attributes:
        interrupted: a signal asked for the end and the state is saved.
    """

    def __init__(self, message: str, *, interrupted: bool = False) -> None:
        super().__init__(message)
        self.interrupted = interrupted

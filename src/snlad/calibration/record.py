"""What a calibration says, and its versions on disk: each is written once and never changed.

MODEL/calibrations/0001/calibration.json   manifest with the record below; the highest number counts
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from snlad.artifacts import load_artifact, save_artifact
from snlad.calibration.class_answer import AnswerLimits
from snlad.calibration.conformal import conformal_threshold, p_value
from snlad.calibration.confusion import strayed_share
from snlad.calibration.repeatability import Repeatability, measure_repeatability
from snlad.errors import ArtifactError, UsageError

_FOLDER, _MANIFEST = "calibrations", "calibration.json"
_VERSION = re.compile(r"\d{4,}")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Limits(_Record):
    """The thresholds of one class, or of all pictures pooled.

    Attributes:
        n: calibration pictures behind them, or parts where a part has several pictures.
        threshold: NG when score > threshold.
        pixel_threshold: a pixel of the smoothed map above it is coloured; a good picture has one
            as seldom as it is NG, unless the threshold is another class's.
        attainable_fpr: the promised share of false alarms; 1 where nothing is promised, because a
            shared threshold lies below all scores of the class.
        is_short: the target asks for more pictures than ``n``.
    """

    n: int = Field(ge=1)
    threshold: float
    pixel_threshold: float
    attainable_fpr: float = Field(gt=0.0, le=1.0)
    is_short: bool


class Calibration(_Record):
    """One version of a model's calibration.

    Attributes:
        version: 1, 2, ...
        previous: identity of the version before; ``None`` for the first.
        created: ISO 8601, UTC.
        by: who calibrated.
        target_fpr: the asked share of false alarms.
        source: where the pictures came from.
        data: digest of their paths, classes and contents.
        model: identity of the model that it belongs to.
        classes: thresholds by class name.
        pooled: thresholds for pictures of unknown class, all classes taken together.
        scores: image scores of the calibration pictures by class, ascending; of a part with
            several pictures the highest.
        peaks: largest pixel of their smoothed maps, likewise.
        pictures: how many there are of each class.
        repeats: image scores of each part and view that was pictured more than once, by class.
        class_scales: median distance of each class's pictures to their own class.
        unknown_above: beyond it, in these scales, a picture belongs to no class; ``None`` where
            the model does not tell classes.
        unknown_rate: the promised share of normal pictures beyond it.
        answers: how many calibration pictures of each class were answered as which class; the
            others as none.
        inseparable: groups of classes that the model cannot tell apart; they share the lowest
            thresholds among them.
    """

    version: int = Field(ge=1)
    previous: str | None
    created: str
    by: str
    target_fpr: float = Field(gt=0.0, lt=1.0)
    source: str
    data: str
    model: str
    classes: dict[str, Limits]
    pooled: Limits
    scores: dict[str, list[float]]
    peaks: dict[str, list[float]]
    pictures: dict[str, int] = {}
    repeats: dict[str, list[list[float]]] = {}
    class_scales: dict[str, float] = {}
    unknown_above: float | None = None
    unknown_rate: float | None = None
    answers: dict[str, dict[str, int]] = {}
    inseparable: list[list[str]] = []

    @property
    def answer_limits(self) -> AnswerLimits | None:
        """How far from a class is too far, where the model tells classes."""
        if self.unknown_above is None:
            return None
        return AnswerLimits(self.class_scales, self.unknown_above)

    @property
    def guessed_rates(self) -> tuple[float, float, float] | None:
        """Shares of good pictures that are not passed where the model answers the class.

        By cause, for pictures mixed as in the calibration: promised false alarms, promised false
        unknowns, and pictures that were answered as a class of other thresholds. ``None`` where
        the model does not tell classes.
        """
        if self.unknown_rate is None or not self.answers:
            return None
        totals = self.pictures or {name: limits.n for name, limits in self.classes.items()}
        alarms = sum(totals[name] * one.attainable_fpr for name, one in self.classes.items())
        strayed = strayed_share(self.answers, totals, self.inseparable)
        return alarms / sum(totals.values()), self.unknown_rate, strayed

    def p_value(self, class_name: str | None, score: float) -> float:
        """Chance of a score this high or higher for a good picture, among its class or pooled."""
        own = self.scores.get(class_name or "")
        among = [x for scores in self.scores.values() for x in scores] if own is None else own
        return p_value(score, np.array(among))

    @property
    def repeatability(self) -> dict[str, Repeatability]:
        """Of the classes that have parts which were pictured more than once."""
        thresholds = {name: self.limits(name).threshold for name in self.repeats}
        return measure_repeatability(self.repeats, thresholds)

    def group(self, class_name: str) -> list[str]:
        """The class and those that the model cannot tell from it."""
        groups = (group for group in self.inseparable if class_name in group)
        return next(groups, [class_name])

    def limits(self, class_name: str | None) -> Limits:
        """The thresholds for a picture of this class; the pooled ones where it is not known.

        A class without calibration pictures has those of a class that it cannot be told from.
        """
        names = () if class_name is None else (class_name, *self.group(class_name))
        return next((self.classes[name] for name in names if name in self.classes), self.pooled)


def find_limits(
    scores: Mapping[str, list[float]],
    peaks: Mapping[str, list[float]],
    target_fpr: float,
    inseparable: Sequence[Sequence[str]] = (),
) -> tuple[dict[str, Limits], Limits]:
    """Thresholds by class and pooled, from scores and peaks of normal pictures by class.

    Classes of a group have the lowest thresholds among them, whether a picture's class is stated
    or answered, and each promises what holds for its own pictures there. Let m of a class's n
    scores reach the shared threshold. A new score above it lies above the class's own threshold,
    among the highest k of n + 1 (k that threshold's rank), or above the lowest of the others',
    which know nothing of these scores, among the highest 1 + m. Its rank is one of n + 1 equally
    likely ones, so the chance is at most max(k, 1 + m) / (n + 1), on average over calibrations.

    Raises:
        UsageError: there is no picture, or the target is not in (0, 1).
    """
    if not scores:
        raise UsageError("there is no picture to calibrate on; give normal pictures")
    classes = {name: _limits(scores[name], peaks[name], target_fpr) for name in sorted(scores)}
    for group in inseparable:
        members = [name for name in group if name in classes]
        image = min(classes[name].threshold for name in members)
        pixel = min(classes[name].pixel_threshold for name in members)
        for name in members:
            classes[name] = _shared(classes[name], image, pixel, scores[name])
    together = [[x for name in scores for x in part[name]] for part in (scores, peaks)]
    return classes, _limits(together[0], together[1], target_fpr)


def save_calibration(model_folder: Path, calibration: Calibration) -> str:
    """Write a version that does not exist yet.

    Returns:
        Its identity.

    Raises:
        ArtifactError: the version exists: somebody else calibrated in the meantime.
    """
    folder = model_folder / _FOLDER / f"{calibration.version:04d}"
    if (folder / _MANIFEST).exists():
        raise ArtifactError(f"{folder} exists and is never changed; calibrate again")
    return save_artifact(folder, "calibration", calibration.model_dump(mode="json"), {})


def load_calibration(model_folder: Path, model: str) -> tuple[Calibration, str] | None:
    """The newest version and its identity; ``None`` where the model is not calibrated.

    Raises:
        ArtifactError: it was changed, or belongs to another model.
    """
    written = (path.parent for path in model_folder.glob(f"{_FOLDER}/*/{_MANIFEST}"))
    folders = sorted(
        (path for path in written if _VERSION.fullmatch(path.name)), key=lambda path: int(path.name)
    )
    if not folders:
        return None
    artifact = load_artifact(folders[-1], "calibration")
    try:
        calibration = Calibration.model_validate(artifact.payload)
    except ValidationError:
        raise ArtifactError(f"{folders[-1]} lacks or garbles a field; calibrate again") from None
    if calibration.model != model:
        raise ArtifactError(
            f"{folders[-1]} was made for model {calibration.model[:12]}, this is {model[:12]}; "
            "thresholds hold for one model and one tiling alone: calibrate this one"
        )
    return calibration, artifact.identity


def discard_calibrations(model_folder: Path) -> None:
    """Remove all versions, before another model takes the folder."""
    shutil.rmtree(model_folder / _FOLDER, ignore_errors=True)


def _limits(scores: list[float], peaks: list[float], target_fpr: float) -> Limits:
    image = conformal_threshold(np.array(scores), target_fpr)
    pixel = conformal_threshold(np.array(peaks), target_fpr)
    return Limits(
        n=image.n,
        threshold=image.value,
        pixel_threshold=pixel.value,
        attainable_fpr=image.attainable_fpr,
        is_short=image.is_short,
    )


def _shared(own: Limits, threshold: float, pixel_threshold: float, scores: list[float]) -> Limits:
    """A class's limits at the thresholds of its group, with the promise that holds there."""
    reached = p_value(threshold, np.array(scores))
    return own.model_copy(
        update={
            "threshold": threshold,
            "pixel_threshold": pixel_threshold,
            "attainable_fpr": max(own.attainable_fpr, reached),
        }
    )

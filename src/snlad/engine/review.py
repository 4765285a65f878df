"""Review of the good pictures themselves: which of them look least normal to who never saw them.

Each picture is scored by a model that was trained without it (cross-fitted): the pictures are split
into folds, and for each fold a model of the run's configuration is trained on the others. Scores of
two models are not on one scale, nor are those of two classes, so a picture ranks by how far its
score lies above the median of its class in its fold, in robust standard deviations.

OUT/ranking.csv           all pictures, the least normal first
OUT/exclude.csv           the first of them, for a person to look through and ``train --exclude``
OUT/pictures/0001.png     their heat maps, by rank
"""

import csv
import io
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from snlad.artifacts import write_atomically
from snlad.config import parse_config
from snlad.data.holdout import split_folds
from snlad.data.loading import load_batches
from snlad.data.samples import Dataset, Sample
from snlad.engine.picture_files import write_overlay
from snlad.engine.pictures import UsedPictures, load_pictures
from snlad.engine.train import train
from snlad.errors import ImageError, UsageError
from snlad.predict import Model, load
from snlad.report.cells import csv_cell
from snlad.types import Progress, silent

EXCLUDED_SHARE = 0.05
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One picture, scored by a model that never saw it.

    Attributes:
        rank: 1 is the least normal.
        deviation: score above the median of its class and fold, in robust standard deviations.
        score: image score.
        fold: which model scored it, from 1.
        class_name: of the picture.
        role: ``train`` or ``calibration`` in the run that is reviewed.
        sha256: of the file; this is what ``train --exclude`` goes by.
        path: of the file.
    """

    rank: int
    deviation: float
    score: float
    fold: int
    class_name: str
    role: str
    sha256: str
    path: str


def review(
    run: Path,
    out: Path | None = None,
    *,
    folds: int = 2,
    share: float = EXCLUDED_SHARE,
    device: str = "auto",
    progress: Progress = silent,
) -> list[Reviewed]:
    """Rank the training and calibration pictures of a run; no file of theirs is touched.

    An interrupted review goes on where it stopped when it is called again.

    Args:
        run: a finished run; its pictures must still be where they were.
        out: folder to write, ``RUN/review`` by default.
        folds: models to train, each for as long as the run was.
        share: of all pictures to put on the list of exclusions, in (0, 1).
        device: as for training.
        progress: told how far the work is.

    Returns:
        All pictures, the least normal first.

    Raises:
        UsageError: the run has no list of pictures or parts of the user's own, a value is out of
            range, or the folder holds a review.
        ImageError: a picture is gone or was changed since the run.
    """
    out = out or run / "review"
    used = _require(run, out, folds, share)
    model = load(run)
    if model.card.own:
        raise UsageError(f"{run} has parts of the user's own; it cannot be trained again from here")
    samples = (*used.train, *used.calibration)
    digests = (*used.train_digests, *used.calibration_digests)
    parts = split_folds(samples, folds, model.card.config.seed, progress)
    scores = np.zeros(len(samples))
    for number, part in enumerate(parts, start=1):
        others = np.setdiff1d(np.arange(len(samples)), part).tolist()
        fold = _train_fold(
            [samples[i] for i in others], _fold_folder(out, number), run, model, device, progress
        )
        told = partial(progress, f"scoring fold {number} of {folds}")
        scores[part] = _scores(fold, [samples[i] for i in part], [digests[i] for i in part], told)
    rows = _rank(used, samples, digests, scores, parts)
    listed = rows[: max(1, round(share * len(rows)))]
    _draw(listed, out)
    _write(out / "exclude.csv", listed)
    _write(out / "ranking.csv", rows)
    for number in range(1, folds + 1):
        shutil.rmtree(_fold_folder(out, number))
    return rows


def _require(run: Path, out: Path, folds: int, share: float) -> UsedPictures:
    if folds < 2:
        raise UsageError(f"--folds {folds} leaves no picture out; give 2 or more")
    if not 0.0 < share < 1.0:
        raise UsageError(f"--share {share} is not in (0, 1); 0.05 lists one picture in twenty")
    if (out / "ranking.csv").exists():
        raise UsageError(f"{out} already holds a review; give another --out or remove it")
    used = load_pictures(run)
    if used is None:
        raise UsageError(f"{run} has no list of its pictures, pictures.jsonl; give a run folder")
    return used


def _fold_folder(out: Path, number: int) -> Path:
    return out / f"fold-{number}"


def _train_fold(
    samples: Sequence[Sample],
    folder: Path,
    run: Path,
    model: Model,
    device: str,
    progress: Progress,
) -> Model:
    """A model of the same configuration on these pictures, all of them."""
    data = Dataset(root=run, layout="manifest", samples=tuple(samples))
    settings = model.card.config.model_dump(mode="json")
    settings["calibration"]["share"], settings["probes"]["count"] = 0.0, 0
    config = parse_config(settings)
    started = (folder / "config.json").exists()
    train(data, folder, config, device=device, resume=started, rois=model.rois, progress=progress)
    return load(folder, device=model.device)


def _scores(
    model: Model,
    samples: Sequence[Sample],
    digests: Sequence[str],
    told: Callable[[int, int], None],
) -> list[float]:
    """Image score of each picture, which must be the file that the run used."""
    scores: list[float] = []
    rest = iter(zip(samples, digests, strict=True))
    paths = (sample.path for sample in samples)
    size, for_tiles = model.card.config.image_size, model.cuts_tiles
    for pictures in load_batches(paths, size, _BATCH, keep_original=False, for_tiles=for_tiles):
        batch = list(islice(rest, len(pictures)))
        for picture, (sample, sha256) in zip(pictures, batch, strict=True):
            if picture.error is None and picture.sha256 != sha256:
                raise ImageError(f"{sample.path} is not the file that the run used; train again")
        for row in model.judge(pictures, [sample.class_name for sample, _ in batch]):
            if row.pred_score is None:
                raise ImageError(str(row.error))
            scores.append(row.pred_score)
        told(len(scores), len(samples))
    return scores


def _rank(
    used: UsedPictures,
    samples: Sequence[Sample],
    digests: Sequence[str],
    scores: NDArray[np.float64],
    parts: Sequence[Sequence[int]],
) -> list[Reviewed]:
    """Rows, the least normal first; equal deviations in the order of the pictures."""
    deviations, folds = np.zeros(len(samples)), np.zeros(len(samples), int)
    for number, part in enumerate(parts, start=1):
        by_class: dict[str, list[int]] = defaultdict(list)
        for index in part:
            by_class[samples[index].class_name].append(index)
        for members in by_class.values():
            deviations[members], folds[members] = deviate(scores[members]), number
    return [
        Reviewed(
            rank,
            float(deviations[i]),
            float(scores[i]),
            int(folds[i]),
            samples[i].class_name,
            "train" if i < len(used.train) else "calibration",
            digests[i],
            str(samples[i].path),
        )
        for rank, i in enumerate(np.argsort(-deviations, kind="stable").tolist(), start=1)
    ]


def deviate(scores: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """How far scores lie above their median, in robust standard deviations.

    The deviation is 1.4826 times the median absolute one; where that is 0, half or more of the
    scores being equal, the mean absolute one takes its place, and with all equal nobody deviates.

    Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993).
    """
    apart = scores - np.median(scores)
    spread = 1.4826 * float(np.median(np.abs(apart))) or float(np.abs(apart).mean())
    found: np.ndarray = apart / spread if spread else apart
    return found


def _draw(rows: Sequence[Reviewed], out: Path) -> None:
    """Heat maps of these pictures, each by the model that never saw it."""
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    for fold in sorted({row.fold for row in rows}):
        model = load(_fold_folder(out, fold))
        for row in (row for row in rows if row.fold == fold):
            (prediction,) = model.predict(Path(row.path), class_name=row.class_name)
            write_overlay(model, prediction, out / "pictures" / f"{row.rank:04d}.png")


def _write(path: Path, rows: Sequence[Reviewed]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Reviewed)])
    writer.writeheader()
    writer.writerows({k: csv_cell(v) for k, v in asdict(row).items()} for row in rows)
    write_atomically(path, text.getvalue().encode(errors="replace"))

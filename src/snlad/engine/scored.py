"""Test pictures that were scored, as an evaluation keeps them on disk for comparison and report.

RUN/test_pictures.jsonl   one row a test picture, in the data set's order
RUN/scores.json           the numbers; ``data`` names the pictures, labels and masks behind them
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from snlad.artifacts import write_atomically
from snlad.data.images import read_file
from snlad.data.samples import Sample
from snlad.errors import ArtifactError, UsageError

PICTURES_FILE, SCORES_FILE = "test_pictures.jsonl", "scores.json"


class ScoredPicture(BaseModel):
    """One labelled test picture and what the model made of it.

    Attributes:
        path: below the data set's folder, with forward slashes; absolute where it lies elsewhere.
        sha256: of the file.
        mask_sha256: of its mask's file, where it has one.
        class_name: by the data set, like the three below.
        defect_type: ``good`` for a normal picture.
        is_anomalous: the label.
        part_id: which part it shows, where that is known.
        view: which view of the part.
        score: image score.
        answer: class that the model answers; ``None`` where it belongs to none or cannot tell.
        is_ng: by policy, as in ``Evaluation.decisions``; empty without thresholds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    path: str
    sha256: str
    mask_sha256: str | None = None
    class_name: str
    defect_type: str
    is_anomalous: bool
    part_id: str | None = None
    view: str | None = None
    score: float
    answer: str | None = None
    is_ng: dict[str, bool] = {}


def scored_picture(
    sample: Sample, root: Path, score: float, sha256: str, answer: str | None
) -> ScoredPicture:
    """The row of a scored sample of the data set at ``root``."""
    return ScoredPicture(
        path=path_in_data(sample, root),
        sha256=sha256,
        mask_sha256=None if sample.mask is None else read_file(sample.mask)[1],
        class_name=sample.class_name,
        defect_type=sample.defect_type,
        is_anomalous=sample.is_anomalous,
        part_id=sample.part_id,
        view=sample.view,
        score=score,
        answer=answer,
    )


def path_in_data(sample: Sample, root: Path) -> str:
    """What ``ScoredPicture.path`` holds for a sample of the data set at ``root``."""
    inside = sample.path.is_relative_to(root)
    return (sample.path.relative_to(root) if inside else sample.path.absolute()).as_posix()


def pictures_digest(pictures: Iterable[ScoredPicture]) -> str:
    """SHA-256 over what two evaluations must share to be compared: files, labels and masks."""
    total = hashlib.sha256()
    for one in sorted(pictures, key=lambda one: (one.class_name, one.path)):
        row = [one.class_name, one.path, one.sha256, one.mask_sha256, one.defect_type]
        total.update(json.dumps([*row, one.is_anomalous]).encode())
    return total.hexdigest()


def save_scored(run: Path, scores: dict[str, Any], pictures: Sequence[ScoredPicture]) -> None:
    """Keep an evaluation with the run; the last one counts.

    The rows are written first: a kill in between leaves scores whose digest does not fit them.
    """
    text = "".join(json.dumps(one.model_dump()) + "\n" for one in pictures)
    write_atomically(run / PICTURES_FILE, text.encode())
    content = json.dumps(scores, indent=1, allow_nan=False) + "\n"
    write_atomically(run / SCORES_FILE, content.encode())


def load_scored(run: Path) -> tuple[dict[str, Any], tuple[ScoredPicture, ...]]:
    """The scores and the pictures of the run's last evaluation.

    Raises:
        UsageError: the run was not evaluated.
        ArtifactError: a file is damaged, or the two are not of one evaluation.
    """
    if not (run / SCORES_FILE).exists() or not (run / PICTURES_FILE).exists():
        raise UsageError(f"{run} holds no evaluation; make one with  snlad evaluate {run} DATA")
    try:
        scores: dict[str, Any] = json.loads((run / SCORES_FILE).read_text(encoding="utf-8"))
        lines = (run / PICTURES_FILE).read_text(encoding="utf-8").splitlines()
        pictures = tuple(ScoredPicture.model_validate(json.loads(line)) for line in lines)
        is_whole = scores["data"] == pictures_digest(pictures)
    except (ValueError, LookupError, TypeError, ValidationError) as error:
        raise ArtifactError(
            f"the evaluation of {run} is damaged ({' '.join(str(error).split())}); "
            "write it again with  snlad evaluate RUN DATA"
        ) from None
    if not is_whole:
        raise ArtifactError(
            f"{run}: {SCORES_FILE} and {PICTURES_FILE} are not of one evaluation; "
            "write them again with  snlad evaluate RUN DATA"
        )
    return scores, pictures

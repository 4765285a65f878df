"""Which normal pictures make a model: those it trains on and those set aside for its thresholds."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snlad.artifacts import write_atomically
from snlad.data.holdout import hold_out
from snlad.data.loading import data_digest, file_digests
from snlad.data.rows import csv_rows
from snlad.data.samples import Dataset, Sample
from snlad.errors import ArtifactError, DataError, UsageError
from snlad.sections import CalibrationConfig
from snlad.types import Progress

PICTURES_FILE = "pictures.jsonl"
_KEPT = ("class_name", "group", "part_id", "view", "time")


@dataclass(frozen=True)
class UsedPictures:
    """The normal pictures of a run, with the SHA-256 of their files in the same order.

    Attributes:
        train: what the student, the scale of the maps and the class answer learn from.
        calibration: what the thresholds are set on, and nothing else.
    """

    train: tuple[Sample, ...]
    train_digests: tuple[str, ...]
    calibration: tuple[Sample, ...]
    calibration_digests: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over classes, names and contents of the pictures that are trained on."""
        return data_digest(self.train, self.train_digests)

    def save(self, run: Path) -> None:
        """Write ``RUN/pictures.jsonl``: one row a picture, with ``role`` and hash."""
        rows = [
            {"role": role, "path": str(sample.path.absolute()), "sha256": sha256}
            | {name: getattr(sample, name) for name in _KEPT}
            for role in ("train", "calibration")
            for sample, sha256 in zip(
                getattr(self, role), getattr(self, f"{role}_digests"), strict=True
            )
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_atomically(run / PICTURES_FILE, text.encode())


def choose_pictures(
    samples: Sequence[Sample],
    given: Sequence[Sample] | None,
    settings: CalibrationConfig,
    seed: int,
    progress: Progress,
    excluded: Collection[str] = (),
) -> UsedPictures:
    """Set a seeded share of the normal pictures aside, or take the calibration pictures given.

    Args:
        samples: normal training pictures.
        given: normal pictures to calibrate on; ``None`` sets a share of ``samples`` aside.
        settings: which share.
        seed: of the draw.
        progress: told while pictures are compared.
        excluded: SHA-256 of files to use for nothing.

    Raises:
        DataError: a class has only excluded pictures.
        ImageError: a picture cannot be read; the message names it.
        UsageError: a given picture is a training picture too.
    """
    digests = dict(zip(samples, file_digests(samples), strict=True))
    kept = [sample for sample in samples if digests[sample] not in excluded]
    if gone := sorted({s.class_name for s in samples} - {s.class_name for s in kept}):
        raise DataError(f"every picture of class {gone[0]!r} is excluded; leave one, or the class")
    if given is None:
        train, aside = hold_out(kept, settings.share, seed, progress)
    else:
        digests |= zip(given, file_digests(given), strict=True)
        train, aside = tuple(kept), tuple(s for s in given if digests[s] not in excluded)
        refuse_trained(aside, [digests[s] for s in aside], [digests[s] for s in train])
    return UsedPictures(
        train, tuple(digests[s] for s in train), aside, tuple(digests[s] for s in aside)
    )


def read_excluded(path: Path) -> frozenset[str]:
    """SHA-256 of the files that a list excludes, as ``snlad data review`` writes it.

    Raises:
        DataError: it cannot be read or has no column ``sha256``.
    """
    known = ("path", "rank", "deviation", "score", "fold", "class_name", "role")
    return frozenset(row["sha256"] for _, row in csv_rows(path, ("sha256",), known))


def load_pictures(run: Path) -> UsedPictures | None:
    """What ``save`` wrote; ``None`` where there is none, as beside a copied model folder.

    Raises:
        ArtifactError: it is damaged.
    """
    path = run / PICTURES_FILE
    if not path.exists():
        return None
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        parts = {role: [row for row in rows if row["role"] == role] for role in _ROLES}
        samples = {role: tuple(_sample(row) for row in part) for role, part in parts.items()}
        digests = {role: tuple(str(r["sha256"]) for r in part) for role, part in parts.items()}
    except (ValueError, LookupError, TypeError) as error:
        raise ArtifactError(
            f"{path} is damaged ({error!r}); it lists the run's pictures: restore it or train again"
        ) from None
    return UsedPictures(
        samples["train"], digests["train"], samples["calibration"], digests["calibration"]
    )


def unseen_normals(run: Path, dataset: Dataset, classes: Collection[str]) -> tuple[Sample, ...]:
    """The normal pictures of a data set that training did not see, of both splits.

    Args:
        run: run folder; beside a copied model folder nothing says what was trained on, and only
            the test split counts.
        dataset: any, also the one that was trained on.
        classes: of the model; pictures of others are left out.

    Raises:
        ArtifactError: the run's list of pictures is damaged.
        ImageError: a picture cannot be read.
        UsageError: there is none.
    """
    used = load_pictures(run)
    samples = dataset.test if used is None else dataset.samples
    normals = [one for one in samples if not one.is_anomalous and one.class_name in classes]
    if used is not None:
        seen, digests = set(used.train_digests), file_digests(normals)
        normals = [one for one, sha in zip(normals, digests, strict=True) if sha not in seen]
    if not normals:
        raise UsageError(
            f"{dataset.root} has no normal picture that {run} did not train on, of its classes "
            f"{', '.join(sorted(classes))}; give other good pictures"
        )
    return tuple(normals)


def refuse_trained(
    samples: Sequence[Sample], digests: Sequence[str], trained: Sequence[str]
) -> None:
    """Let pictures through that training did not see.

    Raises:
        UsageError: the same file was trained on, so its score promises nothing.
    """
    seen = set(trained)
    for sample, sha256 in zip(samples, digests, strict=True):
        if sha256 in seen:
            raise UsageError(
                f"{sample.path} is also a training picture; calibrate on pictures that "
                "training does not use"
            )


_ROLES = ("train", "calibration")


def _sample(row: dict[str, Any]) -> Sample:
    return Sample(
        path=Path(row["path"]),
        split="train",
        is_anomalous=False,
        **{name: row[name] for name in _KEPT},
    )

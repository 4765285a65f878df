"""What the probes found: whether a model notices where its classes are mixed; without torch.

RUN/probes.json   numbers, as ``Probes.to_dict()``
RUN/probes.png    AUROC of each pair of classes as a picture
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from snlad.engine.evaluation import Evaluation
from snlad.engine.rundir import write_json
from snlad.report.matrices import draw_matrices

PROBES_FILE, MATRICES_FILE = "probes.json", "probes.png"

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Matrix = tuple[tuple[Share | None, ...], ...]
"""A row each host class, a column each donor, in the order of ``Probes.normals``."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ProbeScores(_Record):
    """The probes of one kind against normal pictures; a value of no probes is ``None``.

    Attributes:
        n: probes.
        counts: of them by host and donor.
        image_auroc: all probes against all normal pictures.
        pixel_auroc: pasted pixels against all others of the probes and of the normal pictures;
            ``None`` for Mixup, where no pixel is normal.
        image_pairs: by host and donor, against the normal pictures of the host; of a Mixup, which
            has no host, of both classes.
        pixel_pairs: likewise; empty for Mixup.
    """

    n: int
    counts: tuple[tuple[int, ...], ...]
    image_auroc: Share | None
    pixel_auroc: Share | None = None
    image_pairs: Matrix
    pixel_pairs: Matrix = ()


class Probes(_Record):
    """Cross-class interference of a model, measured without a label.

    Attributes:
        model: identity of the model.
        source: where the pictures came from.
        normals: normal pictures by class name, sorted.
        asked: probes of each kind that were asked for.
        seed: of their choices.
        mixup: means of two pictures.
        cutpaste: pictures with a patch of another class.
        eta_squared: share of the variance of normal image scores that the class explains;
            ``None`` for a single class.
        notes: one sentence for each thing that a reader should know.
    """

    model: str
    source: str
    normals: dict[str, int]
    asked: int
    seed: int
    mixup: ProbeScores
    cutpaste: ProbeScores
    eta_squared: Share | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What ``probes.json`` holds: plain dicts, lists, floats and None."""
        return self.model_dump(mode="json")

    def summary(self) -> dict[str, Any]:
        """The numbers of an evaluation's table."""
        return {
            "mixup_image_auroc": self.mixup.image_auroc,
            "cutpaste_image_auroc": self.cutpaste.image_auroc,
            "cutpaste_pixel_auroc": self.cutpaste.pixel_auroc,
            "eta_squared": self.eta_squared,
            "mixups": self.mixup.n,
            "cutpastes": self.cutpaste.n,
            "seed": self.seed,
            "normals": sum(self.normals.values()),
        }

    def save(self, run: Path) -> None:
        """Keep numbers and picture with the run; the last ones count."""
        panels = {
            "Mixup, image AUROC": self.mixup.image_pairs,
            "CutPaste, image AUROC": self.cutpaste.image_pairs,
            "CutPaste, pixel AUROC": self.cutpaste.pixel_pairs,
        }
        draw_matrices(panels, list(self.normals), run / MATRICES_FILE)
        write_json(run / PROBES_FILE, self.to_dict())


def load_probes(run: Path, identity: str) -> tuple[Mapping[str, Any], list[str]]:
    """The summary of a run's probes, and one note where there are some that do not count.

    Args:
        run: run or model folder.
        identity: of its model.

    Returns:
        ``Probes.summary()``, empty where this very model was not probed.
    """
    path = run / PROBES_FILE
    if not path.exists():
        return {}, []
    try:
        found = Probes.model_validate_json(path.read_bytes())
    except ValidationError as error:
        return {}, [f"{path} is damaged and ignored ({error.error_count()} faults); probe again"]
    if found.model != identity:
        return {}, [f"{path} is of another model and ignored; probe again"]
    return found.summary(), []


def with_probes(found: Evaluation, run: Path, identity: str) -> Evaluation:
    """An evaluation together with what the run knows of its model's interference."""
    summary, notes = load_probes(run, identity)
    return replace(found, probes=summary, notes=[*found.notes, *notes])

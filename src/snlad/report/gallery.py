"""Pictures in a report: small copies with ground truth and heat maps, and the tables they stand in.

Every heat map is coloured on a scale in whose middle its model's pixel threshold lies, so one
colour means "at the threshold" in every picture of every model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snlad.data.masks import resize_nearest
from snlad.report.html import Content, Html, element, image, name, paragraph, table
from snlad.report.overlay import Map, Mask, Picture, overlay

SIDE_PX = 256
_QUALITY = 85
_SCALE_PX = (12, 480)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One test picture in a table of the report.

    Attributes:
        path: below the data set's folder.
        class_name: of the data set.
        defect_type: ``good`` for a normal picture.
        score: image score.
        threshold: of its class; ``None`` without calibration.
        rank: share of its class's normal test pictures that score lower, ties as halves; ``None``
            where the class has none.
        baseline_rank: the same by the model it is compared with.
        views: what is shown of it, by heading; empty where no picture was asked for.
        problem: why nothing can be shown of it.
    """

    path: str
    class_name: str
    defect_type: str
    score: float
    threshold: float | None = None
    rank: float | None = None
    baseline_rank: float | None = None
    views: Mapping[str, Html] = field(default_factory=dict)
    problem: str | None = None


def entries_table(caption: str, entries: Sequence[Entry], heads: Sequence[str]) -> Html:
    """Entries as rows: what is known of each, then its views under their headings.

    A heading under which no entry has anything is left out.
    """
    used = [head for head in heads if any(head in one.views for one in entries)] or heads[:1]
    rows = [_row(one, used) for one in entries]
    return table(caption, ("class and file", "score", "normals below", *used), rows, "gallery")


def threshold_scale(
    color_scale: tuple[float, float], pixel_threshold: float | None
) -> tuple[float, float]:
    """The ends of a map's colours: the threshold lies in the middle between them.

    The lower end is the model's own, the mean of normal maps, where the threshold exceeds it.

    Args:
        color_scale: the model's, for all classes; taken as it is without a threshold.
        pixel_threshold: of the picture's class.
    """
    low, high = color_scale
    if pixel_threshold is None:
        return low, high
    span = pixel_threshold - low if pixel_threshold > low else (high - low) / 2
    return pixel_threshold - span, pixel_threshold + span


def shrink(picture: Picture) -> Picture:
    """A copy (H, W, 3) of at most SIDE_PX a side."""
    height, width = picture.shape[:2]
    scale = min(1.0, SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def show_picture(small: Picture, alt: str) -> Html:
    """A small picture as it is."""
    return image(_encode(small, "JPEG"), alt)


def show_truth(mask: Mask, size: tuple[int, int], alt: str) -> Html:
    """A mask (H0, W0) at (H, W): what is defect is white."""
    return image(_encode(resize_nearest(mask, size).astype(np.uint8) * 255, "PNG"), alt)


def show_map(
    small: Picture, anomaly_map: Map, scale: tuple[float, float], roi: Mask | None, alt: str
) -> Html:
    """A heat map over its small picture, coloured from one end of the scale to the other."""
    inside = None if roi is None else resize_nearest(roi, small.shape[:2])
    drawn = overlay(small, anomaly_map, *scale, roi=inside)
    return image(_encode(np.asarray(drawn), "JPEG"), alt)


def color_legend() -> Html:
    """The colours from end to end, with the threshold's marked by a line in the middle."""
    height, width = _SCALE_PX
    ramp = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), _SCALE_PX).copy()
    strip = np.array(overlay(np.full((height, width, 3), 160, np.uint8), ramp, 0.0, 1.0))
    strip[:, width // 2 - 1 : width // 2 + 1] = 0
    alt = "colours from pale yellow through orange-red at the threshold to dark purple"
    return element(
        "div",
        image(_encode(strip, "PNG"), alt),
        element("span", "mean of normal pictures"),
        element("span", "pixel threshold"),
        element("span", "twice as far, and above"),
        class_="scale",
    )


def explain_colours(uncalibrated: Sequence[str]) -> list[Content]:
    """The legend and what it means.

    Args:
        uncalibrated: headings of the maps whose model has no threshold.
    """
    told: list[Content] = [
        paragraph(
            "Every heat map is on one scale that is tied to the threshold: the colour in the "
            "middle marks the pixel threshold of the picture's class in the model that drew the "
            "map. Redder and darker is above it, yellow is below."
        ),
        color_legend(),
    ]
    told += [
        paragraph(
            f"The model of “{head}” is not calibrated: its maps are on its own scale, from the "
            "mean of normal training pictures to one and a half times their range, and the middle "
            "marks no threshold."
        )
        for head in uncalibrated
    ]
    return told


def _row(entry: Entry, heads: Sequence[str]) -> list[Content]:
    file = element(
        "span",
        name(entry.class_name),
        element("small", name(entry.defect_type)),
        element("small", name(entry.path)),
    )
    views: list[Content] = [entry.views.get(head, "-") for head in heads]
    if entry.problem is not None:
        views[:1] = [name(entry.problem)]
    return [file, _score(entry), _rank(entry), *views]


def _score(entry: Entry) -> Html:
    parts: list[Content] = [f"{entry.score:.4g}"]
    if entry.threshold is not None:
        verdict = "called NG" if entry.score > entry.threshold else "called OK"
        parts += [element("small", f"threshold {entry.threshold:.4g}"), element("small", verdict)]
    return element("span", *parts)


def _rank(entry: Entry) -> Html:
    parts: list[Content] = ["-" if entry.rank is None else f"{100 * entry.rank:.1f} %"]
    if entry.baseline_rank is not None:
        parts.append(element("small", f"baseline {100 * entry.baseline_rank:.1f} %"))
    return element("span", *parts)


def _encode(pixels: NDArray[np.uint8], form: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, form, quality=_QUALITY, optimize=True)
    return buffer.getvalue()

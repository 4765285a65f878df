"""The model card: what a model is, for the person who finds its folder."""

from collections.abc import Mapping
from typing import Any

from snlad.config import Config
from snlad.report.cells import markdown_cell
from snlad.report.tables import format_limits, format_scores


def format_card(
    label: str,
    config: Config,
    classes: Mapping[str, int],
    record: Mapping[str, Any],
    license_: str,
    identity: str,
    scores: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> str:
    """Markdown for ``MODEL/README.md``.

    Args:
        label: what the model may call itself.
        config: the run's configuration.
        classes: normal training pictures by class name.
        record: digests and seconds of the training.
        license_: of the teacher's weights.
        identity: SHA-256 of the model.
        scores: ``Evaluation.to_dict()``, if there was one.
        calibration: the calibration in force, as JSON values, if there is one.
    """
    rows = "\n".join(f"| {markdown_cell(name)} | {count} |" for name, count in classes.items())
    height, width = config.image_size
    return f"""# A snlad model: {label}

Finds what differs from the normal pictures of {len(classes)} product classes. It has seen no
defect.

| | |
| --- | --- |
| model | `{identity}` |
| teacher | {config.teacher.name}; weights {license_} |
| input | {height} x {width} px, RGB, stretched |
| training data | SHA-256 `{record["data"]}` |
| configuration | SHA-256 `{record["config"]}` |
| training time | {record["seconds"]} s |

| class | normal training pictures |
| --- | --- |
{rows}

## Metrics

{_metrics(scores)}

## Thresholds

{_thresholds(calibration)}

## Limits

The scores hold for pictures like the training pictures: same cameras, light, poses and classes.
Without thresholds, a picture of a product that was never trained is not recognised as such.
Defects smaller than a few pixels at the input size above can be lost in the resize.
"""


def _thresholds(calibration: Mapping[str, Any] | None) -> str:
    if calibration is None:
        return "None yet: the model is not calibrated, so it gives scores and maps but no OK or NG."
    inseparable = calibration["inseparable"]
    table = format_limits(calibration["classes"], calibration["pooled"], inseparable)
    limit = " Classes that cannot be told apart promise what their rows say." if inseparable else ""
    return (
        f"Version {calibration['version']} of {calibration['created']}: at most "
        f"{calibration['target_fpr']:g} of good pictures are called NG, as long as they are like "
        f"those of the calibration.{limit}\n\n{_indented(table)}"
    )


def _metrics(scores: Mapping[str, Any] | None) -> str:
    if scores is None:
        return "None yet: training opens no test picture. `snlad evaluate RUN DATA` measures them."
    return (
        "Of the last `snlad evaluate`; they hold for that data set alone.\n\n"
        f"{_indented(format_scores(scores))}"
    )


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())

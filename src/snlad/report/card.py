"""The model card: what a model is, for the person who finds its folder."""

from collections.abc import Mapping
from typing import Any

from snlad.config import Config


def format_card(
    config: Config,
    classes: Mapping[str, int],
    record: Mapping[str, Any],
    license_: str,
    identity: str,
) -> str:
    """Markdown for ``MODEL/README.md``.

    Args:
        config: the run's configuration.
        classes: normal training pictures by class name.
        record: digests and seconds of the training.
        license_: of the teacher's weights.
        identity: SHA-256 of the model.
    """
    rows = "\n".join(f"| {_cell(name)} | {count} |" for name, count in classes.items())
    height, width = config.image_size
    return f"""# A snlad model: {config.method_label}

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

None are stored here: training opens no test picture. `snlad evaluate RUN DATA` measures them.

## Thresholds

None yet: the model is not calibrated, so it gives scores and maps but no OK or NG.

## Limits

The scores hold for pictures like the training pictures: same cameras, light, poses and classes.
A picture of a product that was never trained is not recognised as such. Defects smaller than a
few pixels at the input size above can be lost in the resize.
"""


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")

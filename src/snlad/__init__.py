"""One model that inspects every product: multi-class visual anomaly detection and localization.

SNL, snlad's reading: a student learns to reproduce a frozen teacher's features on normal images
of all classes; where teacher and student disagree, the picture is not normal.
"""

import os
from typing import TYPE_CHECKING, Any

# Pillow keeps a picture in blocks of at most this size. Its own 16 MiB are small enough for the C
# library to keep them when a huge picture is dropped; these go back to the system. It acts where
# snlad is imported before Pillow, as the commands do.
os.environ.setdefault("PILLOW_BLOCK_SIZE", "64M")

__version__ = "0.0.1"
__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from snlad.predict import load as load


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that ``import snlad`` stays free of torch."""
    if name == "load":
        from snlad.predict import load

        return load
    raise AttributeError(f"module 'snlad' has no attribute {name!r}")

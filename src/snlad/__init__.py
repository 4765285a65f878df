"""One model that inspects every product: multi-class visual anomaly detection and localization.

SNL, snlad's reading: a student learns to reproduce a frozen teacher's features on normal images
of all classes; where teacher and student disagree, the picture is not normal.
"""

from typing import TYPE_CHECKING, Any

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

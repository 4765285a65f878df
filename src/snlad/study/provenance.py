"""What a row says of the code and the machine behind its numbers."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch

import snlad
from snlad.config import digest
from snlad.engine.hardware import choose_device, choose_hardware, describe_hardware
from snlad.sections import TrainConfig

_CHECKOUT = Path(snlad.__file__).parents[2]


def describe_origin(device: str, settings: TrainConfig) -> dict[str, Any]:
    """Version, commit, torch and hardware, as a row keeps them."""
    return {
        "snlad": snlad.__version__,
        "commit": find_commit(_CHECKOUT),
        "torch": torch.__version__,
        "hardware": describe_hardware(choose_hardware(choose_device(device), settings)),
    }


@cache
def find_commit(checkout: Path) -> str | None:
    """A checkout's short commit, with a plus where ``src`` differs; ``None`` outside of one.

    Asked once: what is committed while a study runs is not the code that it runs.
    """
    if not (checkout / ".git").exists():
        return None
    name, changed = (
        _git(checkout, *words)
        for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "src"))
    )
    return name and name + "+" * bool(changed)


@cache
def training_code() -> str:
    """Twelve hex digits for the code that a trained student depends on."""
    root = Path(snlad.__file__).parent
    folders = ("data", "engine", "losses", "models")
    files = (file for name in (".", *folders) for file in (root / name).glob("*.py"))
    return digest({str(file.relative_to(root)): file.read_text("utf-8") for file in files})[:12]


def peak_mib() -> int | None:
    """Highest memory of this process so far, in MiB; ``None`` on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


def _git(checkout: Path, *words: str) -> str | None:
    command = ["git", "-C", str(checkout), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

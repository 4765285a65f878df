"""Training state on disk: safetensors and JSON, atomic, enough to go on to the same numbers."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snlad.artifacts import format_arrays, load_artifact, save_artifact
from snlad.errors import ArtifactError
from snlad.models.arrays import Arrays, load_module, module_arrays, to_array

_FILE = "state.safetensors"


def save_checkpoint(
    folder: Path,
    step: int,
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: dict[str, Any],
) -> None:
    """Save the state after ``step`` optimiser steps; ``identity`` says of which training."""
    arrays = module_arrays(student, "student.")
    for index, state in optimizer.state_dict()["state"].items():
        arrays |= {f"optimizer.{index}.{key}": to_array(value) for key, value in state.items()}
    payload = {"step": step, "identity": identity}
    save_artifact(folder, "checkpoint", payload, {_FILE: format_arrays(arrays)})


def load_checkpoint(
    folder: Path,
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: dict[str, Any],
) -> int:
    """Restore student and optimiser.

    Returns:
        The number of steps already done.

    Raises:
        ArtifactError: the checkpoint is damaged or belongs to another training.
    """
    artifact = load_artifact(folder, "checkpoint")
    stored = artifact.payload["identity"]
    if stored != identity:
        changed = sorted(key for key in identity if stored.get(key) != identity[key])
        raise ArtifactError(
            f"{folder} belongs to another {', '.join(changed)}; "
            "resume with the data and weights that the run was started with"
        )
    arrays = artifact.arrays(_FILE)
    load_module(student, arrays, "student.", folder)
    _load_optimizer(optimizer, arrays)
    return int(artifact.payload["step"])


def _load_optimizer(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, array in arrays.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = torch.from_numpy(array)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})

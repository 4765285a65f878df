"""Training state on disk: safetensors and JSON, atomic, enough to go on to the same numbers."""

from collections.abc import Mapping
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
    done: Mapping[str, float],
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: Mapping[str, Any],
) -> None:
    """Save the state of a training.

    Args:
        folder: replaced atomically.
        done: how far it is, for example ``step`` and ``seconds``.
        student: its parameters and buffers.
        optimizer: its state.
        identity: says of which training this is.
    """
    arrays = module_arrays(student, "student.")
    for index, state in optimizer.state_dict()["state"].items():
        arrays |= {f"optimizer.{index}.{key}": to_array(value) for key, value in state.items()}
    payload = {"done": dict(done), "identity": dict(identity)}
    save_artifact(folder, "checkpoint", payload, {_FILE: format_arrays(arrays)})


def load_checkpoint(
    folder: Path,
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: Mapping[str, Any],
) -> dict[str, float]:
    """Restore student and optimiser.

    Returns:
        How far the training was.

    Raises:
        ArtifactError: the checkpoint is damaged or belongs to another training.
    """
    artifact = load_artifact(folder, "checkpoint")
    stored = artifact.payload["identity"]
    if stored != identity:
        changed = sorted(key for key in identity if stored.get(key) != identity[key])
        raise ArtifactError(
            f"{folder} belongs to another {', '.join(changed)}; "
            "resume with what the run was started with"
        )
    arrays = artifact.arrays(_FILE)
    load_module(student, arrays, "student.", folder)
    _load_optimizer(optimizer, arrays)
    return dict(artifact.payload["done"])


def _load_optimizer(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, array in arrays.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = torch.from_numpy(array)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})

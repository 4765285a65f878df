"""Module state as NumPy arrays and back: what is saved never depends on torch's own format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from snlad.errors import ArtifactError

Arrays = dict[str, NDArray[Any]]


def to_array(value: Tensor) -> NDArray[Any]:
    """A detached NumPy copy in row-major order."""
    return np.ascontiguousarray(value.detach().cpu().numpy())


def module_arrays(module: nn.Module, prefix: str = "") -> Arrays:
    """A module's parameters and buffers by prefixed name."""
    return {prefix + name: to_array(value) for name, value in module.state_dict().items()}


def load_module(module: nn.Module, arrays: Arrays, prefix: str, folder: Path) -> None:
    """Fill a module from the arrays whose names start with ``prefix``.

    Raises:
        ArtifactError: names or shapes do not fit the module.
    """
    state = {
        name.removeprefix(prefix): torch.from_numpy(array)
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        lines = str(error).splitlines()  # of torch's own the first says only that there are errors
        detail = lines[min(1, len(lines) - 1)].strip()
        raise ArtifactError(f"{folder} does not fit its own configuration: {detail}") from None


def let_grow(module: nn.Module, **axes: int) -> None:
    """Let buffers take the length that a loaded state has along one axis, by their name."""

    def fit_shapes(module: nn.Module, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
        for name, axis in axes.items():
            here, there = getattr(module, name), state.get(prefix + name)
            if there is None or there.ndim != here.ndim:
                continue
            if _without(here.shape, axis) == _without(there.shape, axis):
                setattr(module, name, here.new_empty(there.shape))

    module.register_load_state_dict_pre_hook(fit_shapes)  # type: ignore[no-untyped-call] # torch's gap


def _without(shape: Sequence[int], axis: int) -> list[int]:
    return [*shape[:axis], *shape[axis + 1 :]]

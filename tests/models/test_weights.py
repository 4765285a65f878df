"""Teacher weights: every source fills the teacher exactly, or refuses in one sentence."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from snlad.errors import WeightsError
from snlad.models import weights as module
from snlad.models.packaged import PACKAGES, packaged_state
from snlad.models.teacher import Teacher
from snlad.models.weights import (
    import_weights,
    load_pretrained,
    weights_digest,
    weights_license,
)

Build = Callable[..., Teacher]
NAME = "test_resnet"
SIZE = (64, 64)


def fresh(name: str = NAME) -> Teacher:
    return Teacher(name, image_size=SIZE)


def whole(name: str = NAME, classes: int = 1000) -> dict[str, Tensor]:
    """The state of a whole timm network with a classifier, as a training script would save it."""
    return dict(timm.create_model(name, num_classes=classes).state_dict())


def saved(state: dict[str, Tensor], folder: Path) -> str:
    path = folder / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return str(path)


class Trap:
    """A pickle that leaves a mark when it is run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.mark, "it ran")


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Path:
        raise WeightsError(f"hub was asked for {name}")

    monkeypatch.setattr(module, "fetch", refuse)


# --- packages ---


# The default: the installed package, tensor by tensor in the teacher's own names.
@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("weights", ["auto", "packaged"])
def test_packaged_weights_fill_the_teacher(weights: str) -> None:
    teacher = fresh("tf_efficientnet_lite0")
    load_pretrained(teacher, weights)
    expected = packaged_state(PACKAGES["tf_efficientnet_lite0"])
    assert all(torch.equal(expected[k], v) for k, v in teacher.body.state_dict().items())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher.body.training


# A known answer: mean absolute feature of each level for a fixed gradient picture.
def test_packaged_weights_give_the_known_features() -> None:
    teacher = fresh("tf_efficientnet_lite0")
    load_pretrained(teacher, "packaged")
    ramp = torch.linspace(0, 1, 64)
    picture = torch.stack(
        [ramp.expand(64, 64), ramp[:, None].expand(64, 64), ramp.flip(0).expand(64, 64)]
    )
    pooled = [level.abs().mean().item() for level in teacher(picture[None])]
    assert pooled == pytest.approx([7.0297, 6.6830, 5.3160], rel=1e-3)


# Two runs that share a digest share every number of the teacher.
def test_the_digest_names_the_exact_weights(build_teacher: Build) -> None:
    one, two = fresh(), fresh()
    two.load_state_dict(one.state_dict())
    assert weights_digest(one) == weights_digest(two)
    two.body.conv1[0].weight.data[0, 0, 0, 0] += 1e-6
    assert weights_digest(one) != weights_digest(two)
    two.load_state_dict(one.state_dict())
    two.mean[0, 0] += 0.1
    assert weights_digest(one) != weights_digest(two)
    assert weights_digest(build_teacher("resnet18")) != weights_digest(one)


# "packaged" never turns into a download.
@pytest.mark.usefixtures("no_hub")
def test_packaged_for_another_network_names_those_that_have_packages() -> None:
    with pytest.raises(WeightsError, match=r"no package has weights of test_resnet, .*lite2"):
        load_pretrained(fresh(), "packaged")


# "auto" asks the hub for what no installed package has.
@pytest.mark.usefixtures("no_hub")
def test_auto_falls_back_to_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="hub was asked for test_resnet"):
        load_pretrained(fresh(), "auto")
    monkeypatch.setattr(module, "packaged_file", lambda _: None)
    with pytest.raises(WeightsError, match="hub was asked for tf_efficientnet_lite0"):
        load_pretrained(fresh("tf_efficientnet_lite0"), "auto")


# "timm" reads the file that the hub gives, as strictly as a user's own.
def test_timm_weights_fill_the_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = whole()
    monkeypatch.setattr(module, "fetch", lambda _: Path(saved(state, tmp_path)))
    teacher = fresh()
    load_pretrained(teacher, "timm")
    assert all(torch.equal(state[k], v) for k, v in teacher.body.state_dict().items())


# A test's teacher: as built, nothing read.
@pytest.mark.usefixtures("no_hub")
def test_random_leaves_the_teacher_as_built() -> None:
    teacher = fresh()
    before = weights_digest(teacher)
    load_pretrained(teacher, "random")
    assert weights_digest(teacher) == before


# --- the user's own file ---


# A classifier of any size, or none, belongs to no level and does not matter.
@pytest.mark.parametrize("classes", [1000, 7, 0])
def test_a_file_fills_the_teacher_whatever_its_classifier(tmp_path: Path, classes: int) -> None:
    state, teacher = whole(classes=classes), fresh()
    load_pretrained(teacher, saved(state, tmp_path))
    assert all(torch.equal(state[k], v) for k, v in teacher.body.state_dict().items())


# Timm's wrappers rename layers (stages.0 -> stages_0, blocks -> model.blocks): all families load.
@pytest.mark.parametrize("name", ["test_convnext", "mobilenetv3_small_050", "test_efficientnet"])
def test_a_file_of_every_family_fills_its_teacher(tmp_path: Path, name: str) -> None:
    state, teacher = whole(name), fresh(name)
    load_pretrained(teacher, saved(state, tmp_path))
    reference = timm.create_model(name).eval()
    reference.load_state_dict(state)
    images = torch.rand(1, 3, *SIZE)
    normal = (images - teacher.mean) / teacher.std
    expected = reference.forward_intermediates(normal, intermediates_only=True)
    for level in teacher(images):
        assert any(level.shape == e.shape and torch.allclose(level, e) for e in expected)


# A ViT trained at 160 pixels serves at 64: timm interpolates its table of positions.
def test_a_vits_positions_are_adapted_to_the_image_size(tmp_path: Path) -> None:
    state, teacher = whole("test_vit"), fresh("test_vit")
    load_pretrained(teacher, saved(state, tmp_path))
    filled = teacher.body.model
    assert torch.equal(filled.blocks[0].attn.qkv.weight, state["blocks.0.attn.qkv.weight"])
    assert filled.pos_embed.shape[1] < state["pos_embed"].shape[1]
    assert all(x.isfinite().all() for x in teacher(torch.rand(1, 3, *SIZE)))


def _without(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k != "layer4.0.conv1.weight"}


def _with_more(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "layer9.weight": torch.ones(1)}


def _misshapen(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "layer1.0.conv1.weight": torch.ones(3, 3)}


def _with_nan(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "bn1.weight": state["bn1.weight"] * torch.nan}


# Nothing is loaded in part: each fault is named, and the teacher stays as it was.
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_without, "does not fit test_resnet .*Missing key.*layer4.0.conv1.weight"),
        (_with_more, "does not fit test_resnet .*Unexpected key.*layer9.weight"),
        (_misshapen, "does not fit test_resnet .*size mismatch for layer1.0.conv1.weight"),
        (_with_nan, "tensor 'bn1.weight' holds NaN"),
        (lambda _: whole("test_efficientnet"), "does not fit test_resnet"),
        (lambda _: {"a": torch.ones(1)}, "does not fit test_resnet"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_whole(
    tmp_path: Path, spoil: Callable[[dict[str, Tensor]], dict[str, Tensor]], sentence: str
) -> None:
    teacher = fresh()
    before = weights_digest(teacher)
    with pytest.raises(WeightsError, match=sentence):
        load_pretrained(teacher, saved(spoil(whole()), tmp_path))
    assert weights_digest(teacher) == before


# A pickle under another name is not run.
def test_a_pickle_in_disguise_is_refused_unrun(tmp_path: Path) -> None:
    disguised, mark = tmp_path / "weights.safetensors", tmp_path / "mark"
    disguised.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        load_pretrained(fresh(), str(disguised))
    assert not mark.exists()


# The commonest slips lead to the next step.
@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ("net.pth", "snlad weights import FILE"),
        ("pretrained", "'pretrained' are neither auto, packaged, timm, random nor"),
        ("missing.safetensors", "missing.safetensors does not exist"),
    ],
)
def test_a_wrong_source_names_the_next_step(weights: str, sentence: str) -> None:
    with pytest.raises(WeightsError, match=sentence):
        load_pretrained(fresh(), weights)


# --- licences ---


# The model card states the licence of what was loaded, and never invents one.
@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("tf_efficientnet_lite0", "auto", "Apache-2.0"),
        ("tf_efficientnet_lite2", "packaged", "Apache-2.0"),
        ("wide_resnet50_2.tv_in1k", "auto", "bsd-3-clause"),
        ("cpubone_b0_bfrobust", "timm", "not stated by timm"),
        ("resnet18", "random", "none: random weights"),
        ("resnet18", "/home/me/own.safetensors", "not stated: ask the source of own.safetensors"),
    ],
)
def test_licences(name: str, weights: str, expected: str) -> None:
    assert weights_license(name, weights) == expected


# --- importing a checkpoint ---


# What training scripts really save: nested, wrapped by DDP and torch.compile, with counters.
@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda s: {"model": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {"teacher": {f"_orig_mod.module.{k}": v for k, v in s.items()}, "step": 7},
    ],
)
def test_an_imported_checkpoint_fills_the_teacher(
    tmp_path: Path, wrap: Callable[[dict[str, Tensor]], object]
) -> None:
    state = whole()
    source, destination = tmp_path / "net.pth", tmp_path / "net.safetensors"
    torch.save(wrap(state), source)
    info = import_weights(source, destination)
    assert info["tensors"] == len(state)
    assert info["parameters"] == sum(v.numel() for v in state.values())
    assert info["path"] == str(destination)
    teacher = fresh()
    load_pretrained(teacher, str(destination))
    assert all(torch.equal(state[k], v) for k, v in teacher.body.state_dict().items())


# A safetensors file passes through the same door, with the same result each time.
def test_a_safetensors_file_can_be_imported_again(tmp_path: Path) -> None:
    state = {f"model.{k}": v for k, v in whole().items()}
    first = import_weights(Path(saved(state, tmp_path)), tmp_path / "once.safetensors")
    second = import_weights(tmp_path / "once.safetensors", tmp_path / "twice.safetensors")
    assert first["sha256"] == second["sha256"]
    assert "conv1.0.weight" in load_file(tmp_path / "twice.safetensors")


# The command's own default for x.safetensors is x.safetensors: its source would be lost.
def test_the_source_is_never_its_own_destination(tmp_path: Path) -> None:
    source = Path(saved({f"model.{k}": v for k, v in whole().items()}, tmp_path))
    before = source.read_bytes()
    with pytest.raises(WeightsError) as caught:
        import_weights(source, source)
    assert str(caught.value) == f"{source} exists and is not overwritten: give another name"
    assert source.read_bytes() == before
    assert list(tmp_path.iterdir()) == [source]


# Weights imported earlier may be in use; a link, even one to nothing, is a name that is taken.
@pytest.mark.parametrize("taken", ["file", "folder", "link", "link to nothing", "other spelling"])
def test_a_destination_that_exists_is_left_alone(tmp_path: Path, taken: str) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "net.pth")
    destination, other = tmp_path / "out.safetensors", tmp_path / "other.safetensors"
    match taken:
        case "folder":
            destination.mkdir()
        case "link":
            other.write_bytes(b"precious")
            destination.symlink_to(other)
        case "link to nothing":
            destination.symlink_to(other)
        case _:
            destination.write_bytes(b"precious")
    before = sorted(tmp_path.iterdir())
    named = tmp_path / "." / ".." / tmp_path.name / destination.name
    with pytest.raises(WeightsError, match="is not overwritten: give another name"):
        import_weights(tmp_path / "net.pth", named if taken == "other spelling" else destination)
    assert sorted(tmp_path.iterdir()) == before
    if taken in ("file", "link"):
        assert destination.read_bytes() == b"precious"


# The disk fills up while half of the file is written, or at the very last step.
@pytest.mark.parametrize("moment", ["writing", "renaming"])
def test_a_save_that_fails_is_one_error_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def write_half(state: dict[str, Tensor], path: Path) -> None:
        path.write_bytes(b"half")
        fail()

    torch.save({"w": torch.ones(2)}, tmp_path / "net.pth")
    if moment == "writing":
        monkeypatch.setattr(module, "save_file", write_half)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(WeightsError, match=r"out\.safetensors cannot be written .*No space left"):
        import_weights(tmp_path / "net.pth", tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


@pytest.mark.parametrize("folder", ["absent", "net.pth"])
def test_a_destination_in_no_folder_is_one_error(tmp_path: Path, folder: str) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "net.pth")
    with pytest.raises(WeightsError) as caught:
        import_weights(tmp_path / "net.pth", tmp_path / folder / "out.safetensors")
    assert "cannot be written" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


# After a failure the same command works as soon as there is room again.
def test_an_import_can_be_repeated_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "net.pth")
    (tmp_path / "out.safetensors.partial").write_bytes(b"left by a killed run")
    with monkeypatch.context() as broken:
        broken.setattr(module, "save_file", lambda *_: (tmp_path / "absent" / "x").read_bytes())
        with pytest.raises(WeightsError):
            import_weights(tmp_path / "net.pth", tmp_path / "out.safetensors")
    import_weights(tmp_path / "net.pth", tmp_path / "out.safetensors")
    assert load_file(tmp_path / "out.safetensors")["w"].tolist() == [1, 1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.pth", "out.safetensors"]


# Tied weights share memory in a checkpoint; in safetensors each has its own.
def test_tied_tensors_are_written_apart(tmp_path: Path) -> None:
    tied = torch.arange(3.0)
    torch.save({"a.weight": tied, "b.weight": tied}, tmp_path / "tied.pt")
    import_weights(tmp_path / "tied.pt", tmp_path / "tied.safetensors")
    read = load_file(tmp_path / "tied.safetensors")
    assert read["a.weight"].tolist() == read["b.weight"].tolist() == [0, 1, 2]


# A checkpoint that runs code is the oldest attack on model files.
def test_a_checkpoint_that_would_run_code_is_refused_unrun(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    torch.save({"state_dict": Trap(mark)}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match=r"cannot be read as plain tensors .* state_dict\(\)"):
        import_weights(tmp_path / "evil.pth", tmp_path / "out.safetensors")
    assert not mark.exists()
    assert not (tmp_path / "out.safetensors").exists()


# Each unusable content has its sentence, and leaves no file behind.
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "no dictionary of tensors alone"),
        ({"epoch": 3}, "no dictionary of tensors alone"),
        ([torch.ones(1)], "no dictionary of tensors alone"),
        ({"state_dict": {"w": torch.ones(1), "name": "x"}}, "no dictionary of tensors alone"),
        ({"w": torch.tensor([1.0, torch.inf])}, "'w' holds NaN or infinity"),
    ],
)
def test_a_checkpoint_without_usable_tensors_is_refused(
    tmp_path: Path, content: object, sentence: str
) -> None:
    torch.save(content, tmp_path / "net.bin")
    with pytest.raises(WeightsError, match=sentence):
        import_weights(tmp_path / "net.bin", tmp_path / "out.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["net.bin"]


# A missing file, a damaged file and a wrong output name.
@pytest.mark.parametrize(
    ("source", "destination", "sentence"),
    [
        ("absent.pth", "out.safetensors", "absent.pth cannot be read"),
        ("broken.pth", "out.safetensors", "broken.pth cannot be read"),
        ("broken.pth", "out.pth", "must end in .safetensors"),
    ],
)
def test_wrong_files_are_named(
    tmp_path: Path, source: str, destination: str, sentence: str
) -> None:
    (tmp_path / "broken.pth").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(WeightsError, match=sentence):
        import_weights(tmp_path / source, tmp_path / destination)

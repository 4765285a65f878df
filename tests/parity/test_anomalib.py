"""Our plain baselines are anomalib's: same weights in, same features, losses and maps out."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snlad.build import build_loss, build_maps
from snlad.config import make_config
from snlad.maps.smoothing import gaussian_smooth
from snlad.models.forward import ForwardStudent
from snlad.models.reverse import ReverseStudent
from snlad.models.teacher import Teacher

pytestmark = [
    pytest.mark.parity,
    # anomalib and what it imports warn about their own future
    pytest.mark.filterwarnings("ignore"),
]

LAYERS = ["layer1", "layer2", "layer3"]
SIZE = (96, 64)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, *SIZE)


def anomalib_model(monkeypatch: pytest.MonkeyPatch, module: str, name: str, **kwargs: Any) -> Any:
    """One of anomalib's networks; its teacher draws random weights instead of downloading."""
    pytest.importorskip("anomalib", reason="anomalib 2.7 is not installed", exc_type=ImportError)
    import timm
    from anomalib.models.components.feature_extractors import timm as extractors

    def random_weights(*args: Any, **arguments: Any) -> nn.Module:
        return timm.create_model(*args, **{**arguments, "pretrained": False})

    monkeypatch.setattr(extractors, "timm", _Stub(random_weights))
    torch_model = pytest.importorskip(f"anomalib.models.image.{module}.torch_model")
    model = getattr(torch_model, name)(backbone=kwargs.pop("backbone"), layers=LAYERS, **kwargs)
    _stir(model)
    return model


class _Stub:
    """Stands for the module timm inside anomalib's extractor."""

    def __init__(self, create_model: Any) -> None:
        self.create_model = create_model


def _stir(model: nn.Module) -> None:
    """Give BatchNorm statistics and scales that differ from their start, so that none is idle."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)


def fill_in_order(ours: nn.Module, theirs: list[nn.Module]) -> None:
    """Copy every tensor; both sides build their layers in the same order."""
    tensors = [t for module in theirs for t in module.state_dict().values()]
    names = list(ours.state_dict())
    assert len(names) == len(tensors), "one architecture has a layer that the other lacks"
    ours.load_state_dict(dict(zip(names, tensors, strict=True)))


def normalised(teacher: Teacher, images: Tensor) -> Tensor:
    """Anomalib's networks take images that its pre-processor has normalised."""
    return (images - teacher.mean) / teacher.std


def total_loss(method: str, teacher: list[Tensor], student: list[Tensor]) -> Tensor:
    """What the loop minimises for a method with its default configuration."""
    return torch.stack(list(build_loss(make_config(method))(teacher, student).values())).sum()


def same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


def reverse_pair(
    monkeypatch: pytest.MonkeyPatch, backbone: str, mode: str
) -> tuple[Any, Teacher, ReverseStudent]:
    theirs = anomalib_model(
        monkeypatch,
        "reverse_distillation",
        "ReverseDistillationModel",
        backbone=backbone,
        input_size=SIZE,
        anomaly_map_mode=mode,
        pre_trained=False,
    )
    teacher = Teacher(backbone, image_size=SIZE)
    fill_in_order(teacher.body, [theirs.encoder.feature_extractor])
    student = ReverseStudent.for_teacher(teacher)
    neck = theirs.bottleneck
    fill_in_order(
        student,
        [
            *(neck.conv1, neck.bn1, neck.conv2, neck.bn2, neck.conv3, neck.bn3, neck.bn_layer),
            *(theirs.decoder.layer1, theirs.decoder.layer2, theirs.decoder.layer3),
        ],
    )
    return theirs, teacher, student


# RD4AD's architecture holds for each block kind and for the wide decoder, in both modes of
# BatchNorm; its loss is our flattened cosine.
@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50", "wide_resnet50_2"])
@pytest.mark.parametrize("training", [True, False])
def test_reverse_distillation_rebuilds_the_same_levels_and_has_the_same_loss(
    monkeypatch: pytest.MonkeyPatch, images: Tensor, backbone: str, training: bool
) -> None:
    loss = pytest.importorskip("anomalib.models.image.reverse_distillation.loss")
    theirs, teacher, student = reverse_pair(monkeypatch, backbone, "add")
    theirs.train()
    theirs.bottleneck.train(training)
    theirs.decoder.train(training)
    student.train(training)
    with torch.no_grad():
        their_teacher, their_student = theirs(normalised(teacher, images))
        our_teacher = teacher(images)
        our_student = student(images, our_teacher)
    same(our_teacher, their_teacher)
    same(our_student, their_student)
    ours = total_loss("rd", our_teacher, our_student)
    expected = loss.ReverseDistillationLoss()(their_teacher, their_student)
    torch.testing.assert_close(ours, expected, **CLOSE)


# Anomalib multiplies the levels by default, RD4AD and we add them: both combinations agree.
@pytest.mark.parametrize(("mode", "levels"), [("add", "sum"), ("multiply", "product")])
def test_reverse_distillation_has_the_same_smoothed_map(
    monkeypatch: pytest.MonkeyPatch, images: Tensor, mode: str, levels: Any
) -> None:
    theirs, teacher, student = reverse_pair(monkeypatch, "resnet18", mode)
    theirs.eval()
    student.eval()
    with torch.no_grad():
        expected = theirs(normalised(teacher, images)).anomaly_map
        t = teacher(images)
        maps = build_maps(make_config("rd", maps={"levels": levels}), (1,))
        ours = maps["feature"](t, student(images, t), SIZE)
        torch.testing.assert_close(gaussian_smooth(ours, 4.0), expected, **CLOSE)


# One optimiser step moves both the same way, so gradients agree through every layer.
def test_reverse_distillation_has_the_same_gradients(
    monkeypatch: pytest.MonkeyPatch, images: Tensor
) -> None:
    loss = pytest.importorskip("anomalib.models.image.reverse_distillation.loss")
    theirs, teacher, student = reverse_pair(monkeypatch, "resnet18", "add")
    theirs.train()
    loss.ReverseDistillationLoss()(*theirs(normalised(teacher, images))).backward()
    t = teacher(images)
    total_loss("rd", t, student.train()(images, t)).backward()
    ours = [p.grad for p in student.decoder.parameters()]
    expected = [p.grad for p in theirs.decoder.parameters()]
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


# STFPM's teacher and student are timm networks; its loss sums over images, ours is the mean, and
# its map multiplies the levels without aligned corners and without smoothing.
def test_stfpm_has_the_same_levels_loss_and_map(
    monkeypatch: pytest.MonkeyPatch, images: Tensor
) -> None:
    loss = pytest.importorskip("anomalib.models.image.stfpm.loss")
    theirs = anomalib_model(monkeypatch, "stfpm", "STFPMModel", backbone="resnet18")
    teacher = Teacher("resnet18", image_size=SIZE)
    student = ForwardStudent(teacher)
    fill_in_order(teacher.body, [theirs.teacher_model.feature_extractor])
    fill_in_order(student.network.body, [theirs.student_model.feature_extractor])
    theirs.eval()
    student.eval()
    with torch.no_grad():
        x = normalised(teacher, images)
        their_teacher, their_student = theirs.teacher_model(x), theirs.student_model(x)
        t = teacher(images)
        s = student(images, t)
        same(t, list(their_teacher.values()))
        same(s, list(their_student.values()))
        expected = loss.STFPMLoss()(their_teacher, their_student) / len(images)
        torch.testing.assert_close(total_loss("fd", t, s), expected, **CLOSE)
        ours = build_maps(make_config("fd"), (1,))["feature"](t, s, SIZE)
        torch.testing.assert_close(ours, theirs(x).anomaly_map, **CLOSE)

"""Remembered features: what was computed once comes back, whatever it is asked with."""

import pytest
import torch

from snlad.models.memory import FeatureMemory, remember
from snlad.models.teacher import Teacher

SIZE = (64, 64)


@pytest.fixture(scope="module")
def bare():
    torch.manual_seed(0)
    return Teacher("test_efficientnet", image_size=SIZE)


@pytest.fixture
def teacher(bare):
    yield bare
    remember(bare, None)


@pytest.fixture(params=["in memory", "on disk"])
def memory(request, tmp_path):
    return FeatureMemory(tmp_path / "features" if request.param == "on disk" else None)


@pytest.fixture(scope="module")
def images():
    return torch.rand(6, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def assert_same(levels, others):
    for level, other in zip(levels, others, strict=True):
        assert level.dtype == torch.float32
        torch.testing.assert_close(level, other, rtol=1e-4, atol=1e-5)


def test_what_is_known_is_not_computed_again(teacher, memory, images, monkeypatch):
    plain = teacher(images)
    remember(teacher, memory)
    assert_same(teacher(images), plain)
    assert memory.computed == 6
    monkeypatch.setattr(teacher.body, "forward", pytest.fail)
    again = teacher(images.flip(0))
    assert memory.computed == 6
    assert_same(again, [level.flip(0) for level in plain])
    assert_same(teacher(images[[2, 2, 4]]), [level[[2, 2, 4]] for level in plain])


def test_only_the_unknown_of_a_batch_are_computed_in_one_go(teacher, memory, images):
    plain = teacher(images)
    remember(teacher, memory)
    teacher(images[[1, 4]])
    sizes = []
    handle = teacher.body.register_forward_pre_hook(lambda _m, args: sizes.append(len(args[0])))
    assert_same(teacher(images), plain)
    handle.remove()
    assert sizes == [4]
    assert memory.computed == 6


def test_another_teacher_size_or_level_has_features_of_its_own(memory, images):
    torch.manual_seed(5)
    first = Teacher("test_efficientnet", image_size=SIZE)
    second = Teacher("test_efficientnet", image_size=SIZE)
    fewer = Teacher("test_efficientnet", image_size=SIZE, levels=[1, 3])
    larger = Teacher("test_efficientnet", image_size=(64, 96))
    larger.load_state_dict(first.state_dict())
    fewer.load_state_dict(first.state_dict())
    for teacher in (first, second, fewer, larger):
        own = torch.rand(1, 3, 64, 96) if teacher is larger else images[:1]
        plain, before = teacher(own), memory.computed
        remember(teacher, memory)
        assert_same(teacher(own), plain)
        assert memory.computed == before + 1
    twin = Teacher("test_efficientnet", image_size=SIZE)
    twin.load_state_dict(first.state_dict())
    remember(twin, memory)
    twin(images[:1])
    assert memory.computed == 4


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_features_have_the_layout_of_the_images(teacher, memory, images, layout):
    remember(teacher, memory)
    teacher(images)
    for level in teacher(images.contiguous(memory_format=layout)):
        assert level.is_contiguous(memory_format=layout)
    assert memory.computed == 6  # a layout is no other picture


def test_features_of_an_evaluation_can_be_trained_on(teacher, memory, images):
    remember(teacher, memory)
    with torch.inference_mode():
        teacher(images)
    levels = teacher(images)
    weight = torch.ones(1, requires_grad=True)
    sum((level * weight).square().sum() for level in levels).backward()
    assert weight.grad is not None
    assert memory.computed == 6


def test_what_is_full_keeps_what_it_has(teacher, tmp_path, images):
    one = sum(level[:1].numel() * 4 for level in teacher(images))
    for folder in (None, tmp_path / "small"):
        memory = FeatureMemory(folder, limit_gib=2.5 * one / 2**30)
        remember(teacher, memory)
        teacher(images)
        teacher(images)
        assert memory.computed == 6 + 4
    room = FeatureMemory(tmp_path / "small", limit_gib=2.5 * one / 2**30)
    remember(teacher, room)
    teacher(images)
    teacher(images[2:])
    assert room.computed == 4 + 4  # what lies in the folder counts


def test_a_folder_serves_later_processes_and_several_at_once(teacher, tmp_path, images):
    memories = [FeatureMemory(tmp_path / "f") for _ in range(2)]
    for memory, some in zip(memories, (images[:4], images[2:]), strict=True):
        remember(teacher, memory)
        teacher(some)
    assert [memory.computed for memory in memories] == [4, 2]
    later = FeatureMemory(tmp_path / "f")
    remember(teacher, later)
    teacher(images)
    assert later.computed == 0
    assert not list((tmp_path / "f").glob("*/.*"))


def test_a_part_of_a_file_is_computed_and_written_again(teacher, tmp_path, images):
    remember(teacher, FeatureMemory(tmp_path / "f"))
    plain = teacher(images)
    files = sorted((tmp_path / "f").glob("*/*.safetensors"))
    assert len(files) == 6
    files[0].write_bytes(files[0].read_bytes()[:-9])
    files[1].write_bytes(b"")
    memory = FeatureMemory(tmp_path / "f")
    remember(teacher, memory)
    assert_same(teacher(images), plain)
    assert_same(teacher(images), plain)
    assert memory.computed == 2

"""Checkpoints: student and optimiser come back exactly, and only to the training they left."""

import pytest
import torch
from torch import nn

from snlad.engine.checkpoint import load_checkpoint, save_checkpoint
from snlad.errors import ArtifactError

IDENTITY = {"config": "c", "data": "d", "teacher": "t"}


def make(width: int = 3) -> tuple[nn.Module, torch.optim.Optimizer]:
    student = nn.Sequential(nn.Conv2d(2, width, 3), nn.BatchNorm2d(width))
    return student, torch.optim.Adam(student.parameters(), lr=0.1)


def step(student: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    images = torch.rand(2, 2, 5, 5, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    student(images).square().sum().backward()
    optimizer.step()


def state(student: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in student.state_dict().values()]


def test_training_goes_on_exactly_where_it_stopped(tmp_path):
    student, optimizer = make()
    for seed in range(3):
        step(student, optimizer, seed)
    save_checkpoint(tmp_path, {"step": 3, "seconds": 1.5}, student, optimizer, IDENTITY)
    step(student, optimizer, 3)

    other, fresh = make()
    assert load_checkpoint(tmp_path, other, fresh, IDENTITY) == {"step": 3, "seconds": 1.5}
    step(other, fresh, 3)
    assert all(torch.equal(a, b) for a, b in zip(state(student), state(other), strict=True))


def test_a_parameter_that_was_never_used_may_lack_optimiser_state(tmp_path):
    student, optimizer = make()
    save_checkpoint(tmp_path, {"step": 0}, student, optimizer, IDENTITY)
    other, fresh = make()
    assert load_checkpoint(tmp_path, other, fresh, IDENTITY) == {"step": 0}
    assert all(torch.equal(a, b) for a, b in zip(state(student), state(other), strict=True))


@pytest.mark.parametrize("part", ["config", "data", "teacher"])
def test_a_checkpoint_of_another_training_is_refused(tmp_path, part):
    student, optimizer = make()
    save_checkpoint(tmp_path, {"step": 1}, student, optimizer, IDENTITY)
    with pytest.raises(ArtifactError, match=f"another {part}"):
        load_checkpoint(tmp_path, student, optimizer, {**IDENTITY, part: "x"})


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    save_checkpoint(tmp_path, {"step": 1}, *make(), IDENTITY)
    with pytest.raises(ArtifactError, match="does not fit"):
        load_checkpoint(tmp_path, *make(width=5), IDENTITY)


def test_a_flipped_byte_is_refused(tmp_path):
    student, optimizer = make()
    save_checkpoint(tmp_path, {"step": 1}, student, optimizer, IDENTITY)
    path = next(tmp_path.glob("state-*"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="SHA-256"):
        load_checkpoint(tmp_path, student, optimizer, IDENTITY)


def test_only_the_newest_checkpoint_is_kept(tmp_path):
    student, optimizer = make()
    for number in (1, 2):
        step(student, optimizer, number)
        save_checkpoint(tmp_path, {"step": number}, student, optimizer, IDENTITY)
    assert len(list(tmp_path.glob("state-*"))) == 1
    assert load_checkpoint(tmp_path, student, optimizer, IDENTITY) == {"step": 2}

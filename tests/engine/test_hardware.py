"""Hardware: lower precision only where it is fast, float32 everywhere else."""

import os
import subprocess
import sys

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from snlad.engine import hardware
from snlad.engine.hardware import choose_device, choose_hardware, describe_hardware, fast_bfloat16
from snlad.errors import UsageError
from snlad.sections import TrainConfig

CPU = torch.device("cpu")


def pretend(monkeypatch, *, capability: str, amx: bool = False, bf16: bool = False) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)


@pytest.mark.parametrize(
    ("capability", "amx", "bf16", "fast"),
    [
        ("AVX512", True, True, True),
        ("AVX512", False, True, True),
        ("AVX512", False, False, False),
        ("AVX2", True, True, False),
        ("DEFAULT", False, False, False),
    ],
)
def test_bfloat16_needs_instructions_that_compute_it(monkeypatch, capability, amx, bf16, fast):
    pretend(monkeypatch, capability=capability, amx=amx, bf16=bf16)
    assert fast_bfloat16(CPU) is fast
    chosen = choose_hardware(CPU, TrainConfig())
    assert chosen.dtype == (torch.bfloat16 if fast else torch.float32)


@pytest.mark.parametrize(
    ("isa", "fast"), [("AVX2", False), ("avx512_core", False), ("DEFAULT", True)]
)
def test_a_limit_set_for_onednn_is_respected(monkeypatch, isa, fast):
    pretend(monkeypatch, capability="AVX512", amx=True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    assert fast_bfloat16(CPU) is fast


def test_an_emulated_avx2_machine_chooses_float32_by_itself():
    code = (
        "import torch; from snlad.sections import TrainConfig;"
        "from snlad.engine.hardware import choose_hardware;"
        "print(choose_hardware(torch.device('cpu'), TrainConfig()).dtype)"
    )
    narrow = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **narrow},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "torch.float32"


@pytest.mark.parametrize(
    ("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_the_user_may_override_the_choice(monkeypatch, name, dtype):
    pretend(monkeypatch, capability="AVX512" if name == "float32" else "AVX2", amx=True)
    assert choose_hardware(CPU, TrainConfig(precision=name)).dtype == dtype


def test_the_contiguous_layout_keeps_float32_where_bfloat16_would_crawl(monkeypatch):
    pretend(monkeypatch, capability="AVX512", amx=True)
    chosen = choose_hardware(CPU, TrainConfig(memory_format="contiguous"))
    assert (chosen.dtype, chosen.channels_last) == (torch.float32, False)


@pytest.mark.parametrize(
    ("device", "channels_last"), [("cpu", True), ("cuda", True), ("mps", False)]
)
def test_the_memory_format_follows_the_device(monkeypatch, device, channels_last):
    monkeypatch.setattr(hardware, "fast_bfloat16", lambda _device: False)
    assert choose_hardware(torch.device(device), TrainConfig()).channels_last is channels_last


def test_compiling_for_a_cpu_needs_a_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match=r"C\+\+ compiler"):
        choose_hardware(CPU, TrainConfig(compile=True))
    choose_hardware(torch.device("cuda"), TrainConfig(compile=True, precision="float32"))


def test_float32_means_float32_on_nvidia_cards():
    choose_device("cpu")
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.deterministic


def test_on_cuda_the_driver_is_asked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert fast_bfloat16(torch.device("cuda"))
    assert not fast_bfloat16(torch.device("mps"))


def test_autocast_lowers_a_product_only_when_chosen():
    a = torch.ones(2, 2)
    with hardware.Hardware(CPU, torch.bfloat16, channels_last=True).autocast():
        assert (a @ a).dtype == torch.bfloat16
    with hardware.Hardware(CPU, torch.float32, channels_last=True).autocast():
        assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize("channels_last", [True, False])
def test_modules_and_batches_get_the_memory_layout(channels_last):
    place = hardware.Hardware(CPU, torch.float32, channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    weight = next(place.place(torch.nn.Conv2d(3, 4, 3)).parameters())
    assert weight.is_contiguous(memory_format=layout)
    batch = hardware.to_device(torch.zeros(2, 3, 5, 5), place)
    assert batch.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("name", ["tpu9", "cuda:99", "meta:x", ""])
def test_a_device_that_is_not_there_says_what_to_try(name):
    with pytest.raises(UsageError, match="--device cpu"):
        choose_device(name)


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    assert choose_device("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU


def test_the_record_of_a_run_says_where_it_ran():
    record = describe_hardware(hardware.Hardware(CPU, torch.bfloat16, channels_last=False))
    assert record["device"] == "cpu"
    assert record["precision"] == "bfloat16"
    assert record["memory_format"] == "contiguous"
    assert record["threads"] == torch.get_num_threads()
    assert record["cpu_capability"] == torch.backends.cpu.get_cpu_capability()


def _dtypes(module: nn.Module, placed: hardware.Hardware) -> list[torch.dtype]:
    module = placed.place(module)
    x, found = torch.rand(2, 4, 8, 8), []
    with placed.autocast():
        for layer in module:
            x = layer(x)
            found.append(x.dtype)
    return found


# A layer of each kind: pointwise, depthwise, grouped, and a depthwise one of timm's.
def _layers() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 4, 1, groups=2),
        Conv2dSame(4, 8, 3, stride=2, groups=4),
    )


def test_bfloat16_on_a_cpu_leaves_depthwise_convolutions_in_float32():
    low, full = torch.bfloat16, torch.float32
    layers = _layers()
    names = list(layers.state_dict())
    assert _dtypes(layers, hardware.Hardware(CPU, low, True)) == [low, full, low, full]
    assert list(layers.state_dict()) == names
    assert _dtypes(_layers(), hardware.Hardware(CPU, full, True)) == [full] * 4


def test_a_depthwise_convolution_in_float32_computes_and_learns_the_same():
    torch.manual_seed(0)
    layers, x = _layers().eval(), torch.rand(2, 4, 8, 8)
    layers(x).sum().backward()
    expected = layers[1].weight.grad.clone()
    placed = hardware.Hardware(CPU, torch.bfloat16, True).place(layers)
    layers.zero_grad()
    placed(x).sum().backward()  # without autocast: everything is float32, and nothing changed
    assert torch.allclose(layers[1].weight.grad, expected)


def test_a_device_that_computes_nothing_is_refused():
    with pytest.raises(UsageError, match="--device meta is none"):
        choose_device("meta")

"""What this machine does well: device, number format and memory layout."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from shutil import which

import torch
from torch import Tensor, nn

from snlad.errors import UsageError
from snlad.sections import TrainConfig

_NARROW_ISA = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
"""Values of ONEDNN_MAX_CPU_ISA that switch oneDNN's bfloat16 kernels off."""


@dataclass(frozen=True)
class Hardware:
    """Where training runs, in which number format, in which memory layout."""

    device: torch.device
    dtype: torch.dtype
    channels_last: bool

    def place(self, module: nn.Module) -> nn.Module:
        """The module on the device, in the memory layout."""
        if self.device.type == "cpu" and self.dtype == torch.bfloat16:
            _keep_depthwise_in_float32(module)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return module.to(device=self.device, memory_format=layout)  # type: ignore[call-overload,no-any-return] # torch's stub lacks this form

    def autocast(self) -> torch.autocast:
        """Lower precision for the student's forward pass; a no-op in float32."""
        lower = self.dtype != torch.float32
        return torch.autocast(self.device.type, self.dtype if lower else None, enabled=lower)


def _keep_depthwise_in_float32(module: nn.Module) -> None:
    """Spare depthwise convolutions the autocast: oneDNN's bfloat16 backward pass of them is slow.

    It costs several times float32's and fills most of a forward student's training step.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
            layer.forward = partial(_in_float32, layer.forward)  # type: ignore[method-assign] # keeps names and weights as they are


def _in_float32(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return forward(x.float())


def choose_device(name: str) -> torch.device:
    """The device of ``--device auto|cpu|cuda[:i]|mps``.

    Raises:
        UsageError: the name is unknown or the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.partition(":")[0] not in ("cpu", "cuda", "mps"):
        raise UsageError(f"--device {name} is none that snlad computes on; try --device cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UsageError(
            f"--device {name} cannot be used here ({reason}); try --device cpu"
        ) from None
    _require_full_precision()
    return device


def _require_full_precision() -> None:
    """Make float32 mean float32 and repeat itself on NVIDIA cards, which round it by default."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def choose_hardware(device: torch.device, settings: TrainConfig) -> Hardware:
    """Number format and layout for training: the fast ones of this machine, unless overridden.

    Raises:
        UsageError: kernels are to be compiled for a CPU without a C++ compiler.
    """
    if settings.compile and device.type == "cpu" and which(os.environ.get("CXX", "g++")) is None:
        raise UsageError(
            "train.compile needs a C++ compiler, and there is no g++ here; "
            "install one, name another in CXX, or leave train.compile out"
        )
    if settings.memory_format == "auto":
        channels_last = device.type in ("cpu", "cuda")
    else:
        channels_last = settings.memory_format == "channels_last"
    if settings.precision == "auto":
        # In the contiguous layout a CPU computes bfloat16 many times slower than float32.
        lower = fast_bfloat16(device) and (channels_last or device.type != "cpu")
    else:
        lower = settings.precision == "bfloat16"
    return Hardware(device, torch.bfloat16 if lower else torch.float32, channels_last)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is computed in hardware, and not emulated many times slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _NARROW_ISA:
        return False
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def describe_hardware(hardware: Hardware) -> dict[str, str | int]:
    """Device, number format, layout, instruction set and threads, for the record of a run."""
    return {
        "device": str(hardware.device),
        "precision": str(hardware.dtype).removeprefix("torch."),
        "memory_format": "channels_last" if hardware.channels_last else "contiguous",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def to_device(images: Tensor, hardware: Hardware) -> Tensor:
    """A batch (B, 3, H, W) on the device in the memory layout."""
    layout = torch.channels_last if hardware.channels_last else torch.contiguous_format
    on_cuda = hardware.device.type == "cuda"
    if on_cuda:  # from pinned memory the copy runs beside the computation
        images = images.pin_memory()
    return images.to(hardware.device, non_blocking=on_cuda).contiguous(memory_format=layout)

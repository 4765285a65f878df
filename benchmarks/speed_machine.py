"""What a speed was measured on: processor, instructions, threads, memory and versions, as JSON.

python benchmarks/speed_machine.py
"""

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

INSTRUCTIONS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""What makes a difference here, by the names that Linux gives it."""

_PACKAGES = ("torch", "onnxruntime", "openvino", "timm", "anomalib", "numpy")


def describe() -> dict[str, Any]:
    """All of it; ``instructions`` are the processor's, whatever the environment switches off."""
    import torch

    from snlad.engine.hardware import fast_bfloat16

    info = _read("/proc/cpuinfo").split("\n")
    flags = next((line.split() for line in info if line.startswith("flags")), [])
    names = (line.partition(":")[2].strip() for line in info if line.startswith("model name"))
    return {
        "processor": next(names, platform.processor()),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "torch_instructions": torch.backends.cpu.get_cpu_capability(),
        "fast_bfloat16": fast_bfloat16(torch.device("cpu")),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": _memory_gib(),
        "system": platform.platform(),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _memory_gib() -> float | None:
    lines = [line.split() for line in _read("/proc/meminfo").split("\n")]
    total = next((int(words[1]) for words in lines if words[:1] == ["MemTotal:"]), None)
    return None if total is None else round(total / 2**20, 1)


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


if __name__ == "__main__":
    print(json.dumps(describe()))

"""What ``speed.py`` measures: groups of subjects that take turns, and the two columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

T = TypeVar("T")

TORCH, ONNX, OPENVINO = "torch", "ONNX Runtime", "OpenVINO"
FLOAT32, BFLOAT16, INT8 = "float32", "bfloat16", "int8"
PRECISIONS = (FLOAT32, BFLOAT16, INT8)

DEFAULT, RESNET18, WIDE = "default", "resnet18", "wide_resnet50_2"
ARCHITECTURES = (DEFAULT, RESNET18, WIDE)

PEAK = "matrix product"
TEACHER = "teacher alone"
OURS, WHOLE, LOADER = "snlad", "snlad, whole prediction", "decode and resize alone"
RD, STFPM, PATCHCORE = "anomalib RD", "anomalib STFPM", "anomalib PatchCore"
PEERS = (RD, STFPM, PATCHCORE)

TRAIN, INFER, START = "training", "inference", "start"

NATIVE, LIMITED = "native", "AVX2"
SWITCHES: dict[str, dict[str, str]] = {
    NATIVE: {},
    LIMITED: {
        "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
        "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions of torch and OpenVINO
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",  # matrix products of torch
        "OV_CPU_MAX_ISA": "AVX2",  # OpenVINO's own kernels, from 2026.4 on
    },
}
"""Environment of each column. ONNX Runtime has no such switch: it asks the processor."""

BATCHES = {DEFAULT: 16, RESNET18: 16, WIDE: 8}
"""The larger batch of inference, and that of training, on each architecture."""

TRAINED, INFERRED = 64, 16
"""Pictures that a training has which is timed, and that inference takes over and over again."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One thing whose speed is measured.

    Attributes:
        name: what it is.
        task: ``training``, ``inference`` or ``start``.
        architecture: ``default``, or the teacher of a plain reverse distillation.
        runtime: what computes it.
        precision: number format asked for.
        batches: pictures a call; for each of them it takes turns of its own.
    """

    name: str
    task: str
    architecture: str
    runtime: str = TORCH
    precision: str = FLOAT32
    batches: tuple[int, ...] = (1,)


def groups(architectures: Sequence[str] = ARCHITECTURES) -> dict[str, list[Subject]]:
    """The groups by name; the subjects of one take turns, and their rows stand together."""
    found: dict[str, list[Subject]] = {}
    for architecture in architectures:
        found[f"{architecture} {TRAIN}"] = [*peaks(architecture, TRAIN), *trained(architecture)]
        found[f"{architecture} {INFER}"] = [*peaks(architecture, INFER), *inferred(architecture)]
    return found


def peaks(architecture: str, task: str) -> list[Subject]:
    """Large matrix products, the measured peak of the machine, beside each group."""
    return [
        Subject(name=PEAK, task=task, architecture=architecture, precision=one)
        for one in PRECISIONS
    ]


def trained(architecture: str) -> list[Subject]:
    """Whose training steps are compared."""
    one = Subject(
        name=OURS, task=TRAIN, architecture=architecture, batches=(BATCHES[architecture],)
    )
    ours = [one, replace(one, precision=BFLOAT16)]
    return ours + ([] if architecture == DEFAULT else [replace(one, name=n) for n in PEERS])


def inferred(architecture: str) -> list[Subject]:
    """Whose inference is compared.

    An export takes one picture after the other, so only as a whole prediction, which also decodes,
    does it take turns with more.
    """
    both = (1, BATCHES[architecture])
    one = Subject(name=TEACHER, task=INFER, architecture=architecture, batches=both)
    found = [one, replace(one, precision=BFLOAT16)]
    found += exported(replace(one, name=OURS), (1,))
    if architecture == DEFAULT:
        found += [s for s in exported(replace(one, name=WHOLE), both) if s.precision != INT8]
        loader = replace(one, name=LOADER, runtime="Pillow", precision="uint8")
        return [*found, replace(one, name=PATCHCORE), loader]
    return found + [replace(one, name=name) for name in PEERS]


def exported(one: Subject, batches: tuple[int, ...]) -> list[Subject]:
    """A subject in torch, in float32 and bfloat16, and in both runtimes in all precisions."""
    inside = [one, replace(one, precision=BFLOAT16)]
    return inside + [
        replace(one, runtime=runtime, precision=precision, batches=batches)
        for runtime in (ONNX, OPENVINO)
        for precision in PRECISIONS
    ]


def reason_without(subject: Subject, column: str, fast_bfloat16: bool) -> str:
    """Why a subject needs no try in a column, or "".

    Args:
        subject: to be measured.
        column: ``native`` or ``AVX2``.
        fast_bfloat16: whether the machine, limited as in the column, has bfloat16 in hardware.
    """
    if subject.runtime == ONNX and column == LIMITED:
        return "ONNX Runtime has no switch that limits its instructions"
    if subject.precision == BFLOAT16 and not fast_bfloat16:
        return "no bfloat16 in hardware: it would be emulated, or float32 in disguise"
    return ""


def spread(all_of_them: Sequence[T], count: int) -> list[T]:
    """At most so many, evenly spread over all, first and last among them."""
    if len(all_of_them) <= count:
        return list(all_of_them)
    return [all_of_them[i * (len(all_of_them) - 1) // (count - 1)] for i in range(count)]

"""What the subjects of ``speed.py`` compute that need torch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import snlad
import speed_flops
from snlad.config import Config, merge_settings, parse_config
from snlad.data.images import to_input
from snlad.data.inputs import load_inputs
from snlad.data.opening import open_dataset
from snlad.engine.train import train
from snlad.model_folder import load_model
from snlad.torch_network import TorchNetwork
from speed_list import BFLOAT16, INT8, TEACHER, TRAIN, TRAINED, WHOLE, Subject, spread
from speed_models import RUN
from speed_worker import PausedSteps, Turns, UnavailableError

Call = Callable[[int], object]
"""Works on a batch of so many pictures."""

_SIDE = 3072
"""Of the matrices whose product is the machine's measured peak."""
_FOR_EVER = 10**7


def matrix_product(precision: str) -> tuple[Call, float]:
    """A large product, and its operations."""
    flops = 2.0 * _SIDE**3
    if precision == INT8:
        a, b = (torch.randint(-100, 100, (_SIDE, _SIDE), dtype=torch.int8) for _ in range(2))
        return lambda _: torch._int_mm(a, b), flops
    dtype = torch.bfloat16 if precision == BFLOAT16 else torch.float32
    x, y = (torch.rand(_SIDE, _SIDE).to(dtype) for _ in range(2))
    return lambda _: x @ y, flops


def peer(
    subject: Subject, size: tuple[int, int], pictures: NDArray[np.uint8]
) -> tuple[Call, Callable[[], float]]:
    """One of anomalib's, and what counts its operations.

    Raises:
        UnavailableError: anomalib is not installed.
    """
    try:
        import speed_anomalib

        network = speed_anomalib.network(subject.name, subject.architecture, size)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"anomalib is not installed ({error}): requirements/bench.txt"
        ) from None
    if subject.task == TRAIN:
        call = speed_anomalib.training(subject.name, network, pictures)
    else:
        call = speed_anomalib.inference(network, pictures)
    batch = subject.batches[0]
    return call, lambda: speed_flops.count(call, batch)


def build(subject: Subject, models: Path, paths: Sequence[Path], size: tuple[int, int]) -> Call:
    """Inference of ours: the teacher alone, the networks, or whole predictions of files."""
    lower = subject.precision == BFLOAT16
    if subject.name == WHOLE:
        model = snlad.load(models / RUN, in_bfloat16=lower)
        return lambda n: model.predict(paths[:n])
    network = TorchNetwork(load_model(models / RUN), "cpu", in_bfloat16=lower)
    pictures = load_inputs(paths, size)
    if subject.name == TEACHER:
        return _teacher(network, subject.precision, pictures)
    return lambda n: network.run(pictures[:n])


def _teacher(network: TorchNetwork, precision: str, pictures: NDArray[np.uint8]) -> Call:
    """The floor: the frozen teacher on images that lie ready in its layout."""
    images = torch.from_numpy(to_input(pictures))

    @torch.inference_mode()
    def call(batch: int) -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == BFLOAT16):
            return network.detector.teacher(
                images[:batch].contiguous(memory_format=torch.channels_last)
            )

    return call


def train_for_ever(subject: Subject, config: Config, job: dict[str, Any], turns: Turns) -> None:
    """Train for ever with snlad's own loop, which stands still between turns.

    Features are kept in memory as they would be with all pictures of the data: a part of the
    pictures has the same part of the budget.
    """
    dataset = open_dataset(Path(job["data"]))
    samples = tuple(spread(dataset.train_normal, TRAINED))
    share = len(samples) / len(dataset.train_normal)
    changes = {
        "train": {
            "steps": _FOR_EVER,
            "checkpoint_every": _FOR_EVER,
            "batch_size": subject.batches[0],
            "precision": subject.precision,
            "cache_gib": config.train.cache_gib * share,
        },
        "calibration": {"share": 0.0},
        "probes": {"count": 0},
    }
    config = parse_config(merge_settings(config.model_dump(mode="json"), changes))
    flops = speed_flops.of_training(config)

    def ready(steps: PausedSteps) -> None:
        cached = "teacher features" in steps.rates
        turns.say(
            ready=True,
            flops=flops["student"] + (0.0 if cached else flops["teacher"]),
            note=f"teacher features {'kept in memory' if cached else 'computed at every step'}",
            before=steps.rates,
        )

    with TemporaryDirectory() as folder:
        progress = PausedSteps(turns, ready)
        train(replace(dataset, samples=samples), Path(folder) / "run", config, progress=progress)

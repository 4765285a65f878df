"""What runs on a GPU alone, or compiled; tests are skipped where there is none."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.engine.hardware import choose_device, choose_hardware, to_device
from snlad.engine.train import train
from snlad.predict import load

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")


@pytest.fixture
def device() -> torch.device:
    return choose_device("cuda")


@needs_gpu
def test_a_model_trained_on_the_gpu_says_the_same_on_the_cpu(
    tiny_data, tmp_path, tiny_settings
) -> None:
    config = make_config(**{**tiny_settings, "train": {**tiny_settings["train"], "steps": 4}})
    run = train(open_dataset(tiny_data), tmp_path / "run", config, device="cuda")
    pictures = sorted(tiny_data.glob("*/test/*/*.png"))
    scores = [
        [one.pred_score for one in load(run, device=name).predict(pictures)]
        for name in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-3, atol=1e-3 * np.ptp(scores[0]))


@needs_gpu
def test_pictures_arrive_whole_in_the_layout(device) -> None:
    hardware = choose_hardware(device, make_config("rd").train)
    images = torch.rand(3, 3, 8, 8)
    there = to_device(images, hardware)
    assert there.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(there.cpu(), images, rtol=0, atol=0)


@needs_gpu
def test_in_bfloat16_the_student_alone_is_rounded_there_too(trained_run, tiny_data) -> None:
    pictures = sorted(tiny_data.glob("*/test/*/*.png"))
    whole, lower = (
        load(trained_run, device="cuda", in_bfloat16=lower).predict(pictures)
        for lower in (False, True)
    )
    scores = [[one.pred_score for one in rows] for rows in (whole, lower)]
    np.testing.assert_allclose(scores[1], scores[0], rtol=0.05, atol=0.05 * np.ptp(scores[0]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "device",
    [pytest.param("cpu", marks=needs_compiler), pytest.param("cuda", marks=needs_gpu)],
)
def test_compiled_steps_learn_the_same(tiny_data, tmp_path, tiny_settings, device) -> None:
    losses = []
    for compiled in (False, True):  # in a process of its own, where no hook checks types
        settings = {**tiny_settings["train"], "steps": 4, "log_every": 1, "compile": compiled}
        config, out = tmp_path / f"{compiled}.json", tmp_path / str(compiled)
        config.write_text(json.dumps({**tiny_settings, "train": settings}))
        words = ["train", tiny_data, "--out", out, "--config", config, "--device", device]
        subprocess.run([sys.executable, "-m", "snlad", *map(str, words)], check=True)
        rows = map(json.loads, (out / "log.jsonl").read_text().splitlines())
        losses.append([row["loss"] for row in rows])
    assert len(losses[0]) == 4
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)

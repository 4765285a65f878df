"""A real process, killed for real in the middle of training, then resumed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from snlad.artifacts import load_artifact
from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.engine.train import train

SECONDS = 120


def start_training(data: Path, run: Path, config: Path) -> subprocess.Popen:
    words = ["train", data, "--out", run, "--config", config, "--method", "rd"]
    return subprocess.Popen(
        [sys.executable, "-m", "snlad", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(path: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + SECONDS
    while not path.exists():
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.02)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_kill_9_loses_at_most_one_checkpoint_interval(shared_data, tmp_path, tiny_settings):
    settings = {**tiny_settings, "train": {"steps": 200, "batch_size": 4, "checkpoint_every": 3}}
    config = make_config("rd", **settings)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    process = start_training(shared_data, tmp_path / "cut", tmp_path / "config.json")
    wait_for(tmp_path / "cut" / "checkpoint" / "checkpoint.json", process)
    process.kill()
    assert process.wait() == -signal.SIGKILL

    done = load_artifact(tmp_path / "cut" / "checkpoint", "checkpoint").payload["done"]["step"]
    assert done >= 3
    assert done % 3 == 0
    seen = []
    data = open_dataset(shared_data)
    train(
        data,
        tmp_path / "cut",
        config,
        resume=True,
        progress=lambda label, step, _total: seen.append(step) if label == "training" else None,
    )
    assert seen[0] == done + 1
    whole, cut = (
        load_artifact(run / "model", "model").arrays("weights.safetensors")
        for run in (train(data, tmp_path / "whole", config), tmp_path / "cut")
    )
    assert all(np.allclose(whole[key], cut[key], atol=1e-5) for key in whole)

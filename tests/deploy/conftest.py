"""A calibrated tiny run, and its exports."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def calibrated_run(trained_run, other_data, tmp_path_factory) -> Path:
    """The tiny run with thresholds so low that good pictures are NG too, read only."""
    from snlad.data.opening import open_dataset
    from snlad.engine.calibrate import calibrate
    from snlad.predict import load

    run = shutil.copytree(trained_run, tmp_path_factory.mktemp("calibrated") / "run")
    calibrate(run, load(run), open_dataset(other_data).train_normal, target_fpr=0.5, source="tiny")
    return run


@pytest.fixture(scope="session")
def normals(other_data):
    """The pictures that it was calibrated on."""
    from snlad.data.opening import open_dataset

    return open_dataset(other_data).train_normal


@pytest.fixture(scope="session")
def graph(calibrated_run) -> bytes:
    """Its graph, made once: tracing takes longer than all else."""
    from snlad.deploy.graph import InferenceGraph, to_onnx
    from snlad.model_folder import load_model

    loaded = load_model(calibrated_run)
    return to_onnx(InferenceGraph(loaded.detector, loaded.class_answer), (64, 64))


@pytest.fixture(scope="session", params=["onnx", "openvino"])
def exported(request, calibrated_run, normals, graph, tmp_path_factory) -> Path:
    """An export of it for each runtime, read only."""
    from snlad.deploy.export import export

    out = tmp_path_factory.mktemp("exported") / request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snlad.deploy.export.to_onnx", lambda *_: graph)
        export(calibrated_run, out, normals, format=request.param)
    return out


@pytest.fixture
def traced(monkeypatch, graph) -> None:
    """Exports take the graph that is there."""
    monkeypatch.setattr("snlad.deploy.export.to_onnx", lambda *_: graph)

"""A calibrated tiny run, and its exports."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def calibrated_run(shared_data, other_data, tiny_settings, tmp_path_factory) -> Path:
    """A tiny run, with thresholds so low that good pictures are NG too, read only.

    Its two classes have centers of their own, so that exports find the right ones.
    """
    from snlad.config import make_config, merge_settings
    from snlad.data.opening import open_dataset
    from snlad.engine.calibrate import calibrate
    from snlad.engine.train import train
    from snlad.predict import load

    config = make_config(**merge_settings(tiny_settings, {"maps": {"centers_for": "class"}}))
    run = train(open_dataset(shared_data), tmp_path_factory.mktemp("calibrated") / "run", config)
    maps = load(run)._inspector.network.detector.maps
    assert len(maps.fine.counts) == 2
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

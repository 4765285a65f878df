"""Sessions: what they refuse to run, and what they switch off."""

import importlib
import os
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from snlad.errors import ArtifactError
from snlad.runtime import sessions
from snlad.runtime.sessions import onnx_session, openvino_session, require_plain
from snlad.runtime.silence import silence


def model(nodes=None, initializers=(), functions=()) -> onnx.ModelProto:
    """A graph of the right names that repeats its input's sum three times."""
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 2, 2])
    names = ("pred_score", "anomaly_map", "class_distance")
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    nodes = nodes or [
        helper.make_node("ReduceSum", ["input"], [name], keepdims=1) for name in names
    ]
    graph = helper.make_graph(nodes, "g", [given], outputs, list(initializers))
    found = helper.make_model(
        graph, functions=list(functions), opset_imports=[helper.make_opsetid("", 18)]
    )
    found.ir_version = 9
    return found


def test_a_plain_graph_runs() -> None:
    run = onnx_session(model().SerializeToString())
    found = run(np.ones((2, 3, 2, 2), np.float32))
    assert set(found) == {"pred_score", "anomaly_map", "class_distance"}
    assert found["pred_score"].sum() == 24


def test_an_operator_of_others_is_refused() -> None:
    foreign = helper.make_node("Run", ["input"], ["pred_score"], domain="evil.example")
    with pytest.raises(ArtifactError, match=r"operator evil\.example\.Run"):
        require_plain(model([foreign]).SerializeToString())


def test_data_outside_the_file_are_refused() -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(ArtifactError, match="data outside its file"):
        require_plain(model(initializers=[weights]).SerializeToString())
    constant = helper.make_node("Constant", [], ["c"], value=weights)
    with pytest.raises(ArtifactError, match="data outside its file"):
        require_plain(model([constant]).SerializeToString())


def test_sparse_data_are_refused() -> None:
    values = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    sparse = helper.make_sparse_tensor(values, places, [4])
    given = model()
    given.graph.sparse_initializer.append(sparse)
    constant = helper.make_node("Constant", [], ["c"], sparse_value=sparse)
    for one in (given, model([constant])):
        with pytest.raises(ArtifactError, match="or sparse ones"):
            require_plain(one.SerializeToString())


def test_a_graph_of_other_names_is_refused() -> None:
    given = model()
    given.graph.output.pop()
    with pytest.raises(ArtifactError, match="not what snlad exports"):
        onnx_session(given.SerializeToString())


def test_a_graph_that_does_not_hold_together_is_refused() -> None:
    nodes = [helper.make_node("Abs", ["nowhere"], ["pred_score"])]
    with pytest.raises(ArtifactError, match="cannot be run"):
        onnx_session(model(nodes).SerializeToString())


def test_both_sessions_are_silent_and_take_the_threads_asked_for(monkeypatch) -> None:
    calls = []
    monkeypatch.setattr("snlad.runtime.sessions.silence", lambda: calls.append(1))
    onnx_session(model().SerializeToString())
    with pytest.raises(ArtifactError):
        openvino_session(b"", b"")
    assert len(calls) == 2
    for value, expected in (("3", 3), ("", 0), ("many", 0)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert sessions._threads() == expected


def test_a_graph_inside_the_graph_is_refused() -> None:
    inner = model().graph
    branch = helper.make_node("If", ["input"], ["x"], then_branch=inner, else_branch=inner)
    with pytest.raises(ArtifactError, match="a graph inside the graph"):
        require_plain(model([branch]).SerializeToString())


def test_a_function_is_refused() -> None:
    body = [helper.make_node("Abs", ["x"], ["y"])]
    function = helper.make_function("", "f", ["x"], ["y"], body, [helper.make_opsetid("", 18)])
    with pytest.raises(ArtifactError, match="a function"):
        require_plain(model(functions=[function]).SerializeToString())


@pytest.mark.parametrize("data", [b"no model", b"\x80\x04\x95"])
def test_what_is_no_onnx_file_is_refused(data) -> None:
    with pytest.raises(ArtifactError, match="no ONNX file"):
        onnx_session(data)


def test_what_the_runtimes_would_report_is_off(monkeypatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    silence()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    with pytest.raises(ImportError):
        importlib.import_module("openvino_telemetry")

"""Lower precision: which parts have it, whose thresholds hold, and what is refused."""

import json
import re
import shutil

import numpy as np
import onnx
import pytest

import snlad as package
from snlad.data.images import to_input
from snlad.data.inputs import load_inputs
from snlad.data.opening import open_dataset
from snlad.deploy.export import export
from snlad.deploy.graph import (
    STUDENT,
    TEACHER,
    bears_bfloat16,
    handed_on,
    is_of,
    to_openvino,
)
from snlad.deploy.quantise import quantise
from snlad.deploy.tolerance import TOLERANCES, Tolerance
from snlad.deploy.verify import verify
from snlad.engine.calibrate import calibrate_export
from snlad.errors import ArtifactError, UsageError
from snlad.predict import load
from snlad.runtime.exported import load_export
from snlad.runtime.sessions import onnx_session, openvino_session


def is_teacher(node) -> bool:
    return is_of(node, TEACHER)


def is_student(node) -> bool:
    return is_of(node, STUDENT)


LOWER = [("openvino", "bf16"), ("onnx", "int8"), ("openvino", "int8")]


@pytest.fixture(scope="session")
def inputs(normals):
    """Normal pictures as the graph takes them."""
    return to_input(load_inputs([one.path for one in normals], (64, 64)))


@pytest.fixture(scope="session")
def quantised(graph, inputs) -> bytes:
    """The tiny graph in INT8."""
    return quantise(graph, (one[None] for one in inputs), len(inputs))


@pytest.fixture(scope="session", params=LOWER, ids="-".join)
def lower(request, calibrated_run, normals, graph, quantised, tmp_path_factory):
    """An export in lower precision, read only. The tiny run has its threshold among its scores."""
    format_, precision = request.param
    out = tmp_path_factory.mktemp("lower") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snlad.deploy.export.to_onnx", lambda *_: graph)
        patch.setattr("snlad.deploy.export.quantise", lambda *_: quantised)
        patch.setitem(TOLERANCES, precision, Tolerance(np.inf, 1.0, 5e-2))
        export(calibrated_run, out, normals, format=format_, precision=precision)
    return out


def test_the_name_of_a_node_says_whose_it_is(graph) -> None:
    nodes = onnx.load_model_from_string(graph).graph.node
    convolutions = [node for node in nodes if node.op_type in ("Conv", "ConvTranspose")]
    assert all(is_of(node, TEACHER, STUDENT) for node in convolutions)
    assert any(is_of(node, STUDENT) for node in convolutions)
    assert not any(is_of(node, TEACHER, STUDENT) for node in nodes if node.op_type == "TopK")
    assert [len(handed_on(nodes, is_in)) for is_in in (is_teacher, is_student)] == [3, 3]  # levels


def test_what_does_not_bear_eight_bits_keeps_more(graph, quantised) -> None:
    nodes = onnx.load_model_from_string(quantised).graph.node
    whole = onnx.load_model_from_string(graph)
    finest = handed_on(whole.graph.node, is_teacher)[:1]
    early = {
        n.name for n in onnx.utils.Extractor(whole).extract_model(["input"], finest).graph.node
    }
    ranged = {name for node in nodes if node.op_type == "DequantizeLinear" for name in node.output}
    weighed = [node for node in nodes if node.op_type in ("Conv", "ConvTranspose", "Gemm")]
    eight = {node.name for node in weighed if node.input[1] in ranged}
    assert early & {node.name for node in weighed}
    assert not eight & early
    for node in weighed:  # squeeze-and-excitation is left as it is, too
        if node.name not in early and ".se." not in node.name:
            assert node.name in eight
    taken = [node for node in nodes if ranged & set(node.input)]
    assert all(is_of(node, TEACHER, STUDENT) for node in taken)


def test_a_quantised_graph_takes_any_number_and_says_nearly_the_same(
    graph, quantised, inputs
) -> None:
    whole, eight = (onnx_session(one)(inputs) for one in (graph, quantised))
    differs = np.abs(whole["pred_score"] - eight["pred_score"]).max()
    assert 0 < differs < 0.5 * np.ptp(whole["pred_score"])
    assert eight["anomaly_map"].shape == whole["anomaly_map"].shape


def test_bfloat16_is_for_the_student_alone(graph, inputs) -> None:
    nodes = onnx.load_model_from_string(graph).graph.node
    lower = [node.name for node in nodes if bears_bfloat16(node)]
    assert any("decoder" in name for name in lower)
    assert not any("teacher" in name or "heads" in name for name in lower)
    files = to_openvino(graph)
    whole, half = (
        openvino_session(files["xml"], files["bin"], in_bfloat16=lower)(inputs)
        for lower in (False, True)
    )
    differs = np.abs(whole["pred_score"] - half["pred_score"]).max()
    assert 0 < differs < 0.1 * np.ptp(whole["pred_score"])
    np.testing.assert_array_equal(half["class_distance"], whole["class_distance"])


def test_a_graph_that_does_not_say_where_its_student_is_is_refused(graph) -> None:
    files = to_openvino(graph)
    for old, new in (
        (b"student_takes", b"student_tales"),
        (b'<student_gives value="', b"\\g<0>no "),
    ):
        broken = re.sub(old, new, files["xml"])
        assert broken != files["xml"]
        with pytest.raises(ArtifactError, match="cannot be run"):
            openvino_session(broken, files["bin"], in_bfloat16=True)


def test_its_thresholds_are_of_its_own_scores(lower, calibrated_run, normals) -> None:
    trained, model = load(calibrated_run), load(lower)
    ours = model.calibration
    assert ours.target_fpr == trained.calibration.target_fpr
    assert (ours.model, ours.version) == (trained.identity, trained.calibration.version)
    assert ours.source == "--calibration"
    assert ours.scores != trained.calibration.scores
    for name in ("dark", "grey"):
        paths = [one.path for one in normals if one.class_name == name]
        found = [one.pred_score for one in model.predict(paths, class_name=name)]
        np.testing.assert_allclose(ours.scores[name], sorted(found), rtol=1e-5)


def test_it_is_verified_by_the_limits_of_its_precision(lower) -> None:
    found = verify(shutil.copytree(lower, lower.parent / "copy", dirs_exist_ok=True))
    assert found.passed
    assert found.allowed == 5e-2
    exported, _ = load_export(lower)
    assert exported.proof["score_difference"] > 0


def test_pictures_that_were_trained_on_set_no_thresholds(
    lower, calibrated_run, shared_data
) -> None:
    trained_on = open_dataset(shared_data).train_normal
    with pytest.raises(UsageError, match="also a training picture"):
        calibrate_export(calibrated_run, load(lower), trained_on, source="")


def test_onnx_runtime_has_no_bfloat16(snlad, calibrated_run, tmp_path) -> None:
    words = ("--out", tmp_path / "out", "--precision", "bf16")
    code, _, err = snlad("export", calibrated_run, *words)
    assert (code, "--format openvino" in err) == (2, True)


def test_an_unknown_precision_is_refused(lower, tmp_path) -> None:
    broken = shutil.copytree(lower, tmp_path / "broken")
    manifest = json.loads((broken / "export.json").read_text())
    manifest["payload"]["precision"] = "fp8"
    (broken / "export.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError):
        package.load(broken)


def test_a_command_exports_in_eight_bits(
    snlad, calibrated_run, other_data, tmp_path, traced, monkeypatch
) -> None:
    monkeypatch.setitem(TOLERANCES, "int8", Tolerance(np.inf, 1.0, 5e-2))
    words = ("--out", tmp_path / "out", "--calibration", other_data, "--precision", "int8")
    code, out, err = snlad("export", calibrated_run, *words, "--quiet")
    assert code == 0, err
    assert "exported" in out
    assert "━" not in out + err  # no bar of the quantiser's own

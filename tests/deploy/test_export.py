"""Export: what leaves is what was trained, or nothing leaves."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.numpy import load_file

import snlad as package
from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.deploy.export import export
from snlad.engine.train import train
from snlad.errors import ArtifactError, UsageError
from snlad.metrics.protocols import PROTOCOLS
from snlad.runtime.exported import load_export


@pytest.fixture
def pictures(shared_data):
    return sorted(shared_data.glob("*/test/*/*.png"))


def same(trained, exported) -> None:
    """Every field of the rows but the model's name and the time; numbers up to rounding."""
    ours, theirs = (
        {key: value for key, value in one.row().items() if key not in ("model", "time")}
        for one in (trained, exported)
    )
    for row in (ours, theirs):
        row["pred_score"] = pytest.approx(row["pred_score"], rel=1e-4)
        for region in row["regions"]:
            region["score"] = pytest.approx(region["score"], rel=1e-4)
            region["area"] = pytest.approx(region["area"], abs=2)  # a pixel on the threshold
    assert ours == theirs
    np.testing.assert_allclose(
        exported.maps["overall"], trained.maps["overall"], rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(exported.class_distances, trained.class_distances, rtol=1e-3)


def test_an_export_gives_the_rows_of_the_trained_model(calibrated_run, exported, pictures):
    trained, other = package.load(calibrated_run), package.load(exported)
    assert other.map_names == ("overall",)
    assert other.calibration == trained.calibration
    for class_name in (None, "grey"):
        pairs = zip(
            trained.predict(pictures, class_name=class_name),
            other.predict(pictures, class_name=class_name),
            strict=True,
        )
        for one, two in pairs:
            same(one, two)


def test_a_batch_gives_the_scores_of_single_pictures(exported, pictures):
    model = package.load(exported)
    together = [one.pred_score for one in model.predict(pictures)]
    alone = [model.predict(path)[0].pred_score for path in pictures]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_row_names_the_export(exported, pictures):
    model = package.load(exported)
    assert model.identity == load_export(exported)[1]
    assert model.predict(pictures[0])[0].model == model.identity[:12]


def test_the_graph_has_the_field_s_names_and_any_number_of_pictures(exported):
    found, _ = load_export(exported)
    if found.format == "openvino":
        assert b'name="input"' in found.graph["xml"]
        return
    graph = onnx.load_model_from_string(found.graph["onnx"]).graph
    (given,) = graph.input
    assert given.name == "input"
    assert [d.dim_value for d in given.type.tensor_type.shape.dim][1:] == [3, 64, 64]
    assert given.type.tensor_type.shape.dim[0].dim_param
    assert [out.name for out in graph.output] == ["pred_score", "anomaly_map", "class_distance"]


def test_the_proof_stands_in_the_export(exported, normals):
    proof = load_export(exported)[0].proof
    assert proof["pictures"] == len(normals) + 2 * 50
    assert proof["score_difference"] < 1e-3
    assert proof["map_difference"] < 1e-3
    assert proof["flipped"] == proof["near_flipped"] == 0
    assert proof["near"] > 0


def test_outside_a_mask_nothing_counts_in_an_export_either(
    tiny_data, other_data, tmp_path, tiny_settings
):
    roi = np.zeros((48, 48), bool)
    roi[20:] = True
    run = train(
        open_dataset(tiny_data),
        tmp_path / "run",
        make_config(**tiny_settings),
        rois={"grey": roi},
        calibration=open_dataset(other_data),
    )
    export(run, tmp_path / "out", open_dataset(other_data).train_normal)
    trained, other = package.load(run), package.load(tmp_path / "out")
    np.testing.assert_array_equal(other.rois["grey"], roi)
    picture = next(tiny_data.glob("grey/test/spot/*.png"))
    same(*(m.predict(picture, class_name="grey")[0] for m in (trained, other)))
    painted = np.array(Image.open(picture))
    painted[:20] = 0
    scores = [other.predict(x, class_name="grey")[0].pred_score for x in (picture, painted)]
    assert scores[0] == scores[1]


def test_an_export_that_says_something_else_is_not_written(
    calibrated_run, normals, tmp_path, monkeypatch, graph
):
    wrong = onnx.load_model_from_string(graph)
    for node in wrong.graph.node:
        for names in (node.input, node.output):
            names[:] = ["before" if name == "pred_score" else name for name in names]
    wrong.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1.01), "by"))
    wrong.graph.node.append(onnx.helper.make_node("Mul", ["before", "by"], ["pred_score"]))
    monkeypatch.setattr("snlad.deploy.export.to_onnx", lambda *_: wrong.SerializeToString())
    with pytest.raises(ArtifactError, match=r"score differs by .* standard deviations"):
        export(calibrated_run, tmp_path / "out", normals)
    assert not (tmp_path / "out").exists()


def test_no_product_picture_is_kept_unless_asked(
    exported, calibrated_run, normals, tmp_path, traced
):
    (file,) = exported.glob("replay-*.safetensors")
    assert len(load_file(file)["images"]) == 4
    export(calibrated_run, tmp_path / "out", normals, with_pictures=True)
    (file,) = (tmp_path / "out").glob("replay-*.safetensors")
    kept = load_file(file)["images"][4:]
    first = np.asarray(Image.open(normals[0].path).resize((64, 64), Image.Resampling.BILINEAR))
    assert len(kept) == 4
    assert np.abs(kept[0].astype(int) - first).max() <= 2


def test_what_cannot_be_exported_is_refused(trained_run, calibrated_run, normals, tmp_path):
    with pytest.raises(UsageError, match="exists"):
        export(calibrated_run, tmp_path, normals)
    with pytest.raises(UsageError, match="is not calibrated"):
        export(trained_run, tmp_path / "out", normals)


def test_the_pictures_of_the_calibration_are_found_or_asked_for(
    tiny_data, other_data, tmp_path, tiny_settings, calibrated_run
):
    with pytest.raises(UsageError, match=r"give good pictures with --calibration"):
        export(calibrated_run, tmp_path / "out")  # the copy of a run calibrated on other pictures
    run = train(
        open_dataset(tiny_data),
        tmp_path / "run",
        make_config(**tiny_settings),
        calibration=open_dataset(shutil.copytree(other_data, tmp_path / "good")),
    )
    _, proof = export(run, tmp_path / "first")
    assert proof.pictures > 50
    aside = [json.loads(line) for line in (run / "pictures.jsonl").read_text().splitlines()]
    Path(next(row["path"] for row in aside if row["role"] == "calibration")).unlink()
    with pytest.raises(UsageError, match="have changed or are gone"):
        export(run, tmp_path / "second")


def test_pictures_of_other_classes_prove_nothing(calibrated_run, normals, tmp_path):
    stranger = replace(normals[0], class_name="zebra")
    with pytest.raises(UsageError, match="'zebra', which the model does not have"):
        export(calibrated_run, tmp_path / "out", [stranger])


@pytest.mark.parametrize("verb", ["calibrate", "probe", "report", "export"])
def test_a_verb_that_needs_the_run_says_so(snlad, exported, shared_data, tmp_path, verb):
    words = {"probe": [shared_data], "export": ["--out", tmp_path / "o"]}
    code, _, err = snlad(verb, exported, *words.get(verb, []))
    assert (code, "give the run that it was exported from" in err) == (2, True)


def test_an_export_is_measured_as_the_run_and_compared_with_it(
    snlad, exported, calibrated_run, shared_data, tmp_path
):
    run, export = tmp_path / "run", tmp_path / "export"
    shutil.copytree(calibrated_run, run)
    shutil.copytree(exported, export)
    means = []
    for folder in (run, export):
        code, out, err = snlad("evaluate", folder, shared_data, "--json", "--quiet")
        assert code == 0, err
        means.append(json.loads(out)["mean"])
    assert means[1] == pytest.approx(means[0], abs=1e-3)
    code, _, err = snlad("compare", run, export, "--out", tmp_path / "compared")
    assert code == 0, err


def test_threads_that_share_a_model_get_their_own_answers(exported, pictures):
    model = package.load(exported)
    alone = {path: model.predict(path)[0].pred_score for path in pictures}
    with ThreadPoolExecutor(4) as pool:
        for path, found in pool.map(lambda p: (p, model.predict(p)[0]), pictures * 6):
            assert found.pred_score == pytest.approx(alone[path], rel=1e-6)


def test_an_export_scores_by_its_own_protocol_alone(exported):
    model = package.load(exported)
    assert model.under(PROTOCOLS["snlad-v1"]) is not model
    for name in ("ader", "dinomaly-any"):
        with pytest.raises(UsageError, match=f"not by protocol {name}"):
            model.under(PROTOCOLS[name])


def test_an_export_runs_on_the_cpu_alone(exported):
    with pytest.raises(UsageError, match="runs on the CPU"):
        package.load(exported, device="cuda")
    with pytest.raises(UsageError, match="a precision of its own"):
        package.load(exported, in_bfloat16=True)


def test_a_damaged_export_is_refused(exported, tmp_path):
    broken = shutil.copytree(exported, tmp_path / "broken")
    (file,) = [*broken.glob("model-*.onnx"), *broken.glob("model-*.bin")]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(ArtifactError, match="does not match its SHA-256"):
        package.load(broken)


def test_the_command_exports_and_says_how_far_apart(
    snlad, calibrated_run, other_data, tmp_path, traced
):
    words = ("export", calibrated_run, "--out", tmp_path / "out", "--calibration", other_data)
    code, out, err = snlad(*words, "--quiet")
    assert code == 0, err
    assert "0 decided otherwise" in out
    code, _, err = snlad(*words)
    assert (code, "exists" in err) == (2, True)


def test_an_export_is_verified_measured_and_inspects_without_torch(
    snlad_without_torch, exported, calibrated_run, pictures, shared_data, tmp_path
):
    export = shutil.copytree(exported, tmp_path / "export")
    for words, on_the_line in (
        (("verify", export), True),
        (("predict", export, shared_data, "--out", tmp_path / "o"), True),
        (("evaluate", export, shared_data), False),
    ):
        done = snlad_without_torch(*words, on_the_line=on_the_line)
        assert done.returncode == 0, done.stderr
    done = snlad_without_torch("evaluate", export, shared_data, on_the_line=True)
    assert (done.returncode, "snlad[evaluate]" in done.stderr) == (2, True), done.stderr
    assert "AUROC" in (export / "README.md").read_text()
    rows = map(json.loads, (tmp_path / "o" / "predictions.jsonl").read_text().splitlines())
    scores = {row["path"]: row["pred_score"] for row in rows}
    for one in package.load(calibrated_run).predict(pictures):
        assert scores[one.path] == pytest.approx(one.pred_score, rel=1e-4)

"""The peers benchmark: rows, failures and tables without anomalib; each peer once where it is."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.errors import DataError
from snlad.metrics.scores import METRICS
from snlad.models.teacher import Teacher


@pytest.fixture
def peers(load_benchmark, monkeypatch, teacher):
    module = load_benchmark("peers")
    monkeypatch.setattr(module, "make_teacher", lambda _: teacher)
    return module


@pytest.fixture
def fits(peers):
    return importlib.import_module("anomalib_peers")


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    """Random, but the same whenever it is asked for."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Teacher("test_efficientnet", image_size=(64, 64))


@pytest.fixture
def tiny(tmp_path, tiny_settings):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(tiny_settings))
    return path


@pytest.fixture
def counted(peers, monkeypatch):
    """Without anomalib: what would be measured, and made-up numbers that depend on the seed."""
    peers.calls, peers.broken = [], set()

    def measure(peer, _teacher, _dataset, settings, seed, _beside):
        peers.calls.append((peer, seed, settings.get("steps")))
        if peer in peers.broken:
            raise RuntimeError("out of\n  memory")
        row = dict.fromkeys(METRICS, 0.8 + seed / 100)
        scores = {"classes": {"grey": row, "dark": row}, "mean": row, "pooled": row}
        times = {"fit_seconds": 7.4, "infer_ms_per_picture": 30.0, "artefact_mib": 9.5}
        beside = {"label": "plain reverse distillation (rd), 0123", "infer_ms_per_picture": 20.0}
        return {**times, "model": beside, "scores": scores}

    monkeypatch.setattr(peers, "measure", measure)
    monkeypatch.setattr(peers, "versions", lambda: {"anomalib": "2.7.0"})
    return peers


def test_only_what_has_no_row_is_measured_and_what_draws_nothing_once(
    counted, shared_data, tmp_path, tiny
):
    rows = tmp_path / "results" / "rows.jsonl"
    counted.run_all(shared_data, rows, ["padim"], [0], tiny)
    counted.run_all(shared_data, rows, ["padim", "dfm"], [0, 1], tiny)
    counted.run_all(shared_data, rows, ["padim", "dfm"], [2], tiny)
    done = [(peer, seed) for peer, seed, _ in counted.calls]
    assert done == [("padim", 0), ("dfm", 0), ("padim", 1), ("padim", 2)]
    kept = counted.read_rows(rows)
    assert len({row["key"] for row in kept}) == 4
    assert {"date", "hardware", "commit", "anomalib", "data", "settings"} <= kept[0].keys()
    assert [row["seed"] for row in kept] == [0, None, 1, 2]


def test_a_peer_that_fails_is_a_row_that_says_so_and_is_tried_again(
    counted, shared_data, tmp_path, tiny, capsys
):
    rows = tmp_path / "rows.jsonl"
    counted.broken = {"patchcore"}
    counted.run_all(shared_data, rows, ["patchcore", "padim"], [0], tiny)
    failed, finished = counted.read_rows(rows)
    assert failed["error"] == "RuntimeError: out of memory"
    assert "error" not in finished
    assert "patchcore failed: RuntimeError: out of memory" in capsys.readouterr().err
    shown = counted.format_tables([failed, finished])
    assert "| patchcore | failed | - |" in shown
    assert "patchcore, seed 0: RuntimeError: out of memory" in shown
    assert "| class | padim |" in shown

    counted.broken = set()
    counted.run_all(shared_data, rows, ["patchcore", "padim"], [0], tiny)
    assert [peer for peer, *_ in counted.calls] == ["patchcore", "padim", "patchcore"]
    again = counted.format_tables(counted.read_rows(rows))
    assert "failed" not in again
    assert "RuntimeError" not in again
    assert "| patchcore | 0 | 0.800 |" in again


def test_failures_alone_still_make_a_table(counted, shared_data, tmp_path, tiny):
    rows = tmp_path / "rows.jsonl"
    counted.broken = {"padim"}
    counted.run_all(shared_data, rows, ["padim"], [0, 1], tiny)
    shown = counted.format_tables(counted.read_rows(rows))
    assert "| padim | failed | - |" in shown
    assert "padim, seed 1: RuntimeError" in shown
    assert "by class" not in shown
    assert "Pooled" not in shown


def test_one_failed_seed_leaves_the_others_in_the_mean(counted, shared_data, tmp_path, tiny):
    rows = tmp_path / "rows.jsonl"
    counted.run_all(shared_data, rows, ["padim"], [0, 2], tiny)
    counted.broken = {"padim"}
    counted.run_all(shared_data, rows, ["padim"], [1], tiny)
    shown = counted.format_tables(counted.read_rows(rows))
    assert "| padim | 0, 2 | 0.810 ± 0.014 |" in shown
    assert "padim, seed 1: RuntimeError" in shown


@pytest.mark.parametrize(("aupro", "shown"), [(0.1, "0.700"), (None, "-")])
def test_the_mean_of_seven_is_of_all_of_them(counted, shared_data, tmp_path, tiny, aupro, shown):
    rows = tmp_path / "rows.jsonl"
    counted.run_all(shared_data, rows, ["dfm"], [0], tiny)
    (row,) = counted.read_rows(rows)
    row["scores"]["mean"] = {**row["scores"]["mean"], "aupro": aupro}
    heads, _, cells = counted.format_tables([row]).split("\n\n")[1].splitlines()
    at = [head.strip() for head in heads.split("|")].index("mean of 7")
    assert cells.split("|")[at].strip() == shown


def test_the_table_shows_spread_time_size_and_the_ratio_to_our_model(
    counted, shared_data, tmp_path, tiny
):
    rows = tmp_path / "rows.jsonl"
    counted.run_all(shared_data, rows, ["dfm", "patchcore"], [0, 1, 2], tiny)
    shown = counted.format_tables(counted.read_rows(rows))
    mean, pooled, *_ = shown.split("\n\n", 3)[1:]
    assert mean.index("patchcore") < mean.index("dfm")
    assert "| patchcore | 0, 1, 2 | 0.810 ± 0.010 |" in mean
    assert "| 7 ± 0 | 30.0 ± 0.0 | 1.50 ± 0.00 | 9.5 ± 0.0 |" in mean
    assert "| dfm | any | 0.800 |" in mean
    assert pooled == "Pooled over all pictures:"
    for metric in ("image_auroc", "pixel_auroc", "aupro"):
        assert f"{metric} by class:\n\n| class | patchcore | dfm |" in shown
    assert "- patchcore: teacher test_efficientnet; weights " in shown
    assert "strides 8, 16;" in shown
    assert "anomalib: 2.7.0. Timed beside: plain reverse distillation (rd), 0123." in shown


def test_rows_without_a_model_beside_show_no_ratio(counted, shared_data, tmp_path, tiny):
    rows = tmp_path / "rows.jsonl"
    counted.run_all(shared_data, rows, ["padim"], [0], tiny)
    (row,) = counted.read_rows(rows)
    del row["model"]
    shown = counted.format_tables([row])
    assert "| 7 | 30.0 | - | 9.5 |" in shown
    assert "Timed beside" not in shown


def test_groups_of_the_study_have_means_of_their_own(
    counted, shared_data, tmp_path, tiny, monkeypatch
):
    study = tmp_path / "study.toml"
    study.write_text('[groups]\nboth = ["grey", "dark"]\nhere = ["dark"]\nelsewhere = ["red"]\n')
    monkeypatch.setattr(counted, "STUDY", study)
    rows = tmp_path / "rows.jsonl"
    counted.run_all(shared_data, rows, ["padim"], [0], tiny)
    (row,) = counted.read_rows(rows)
    row["scores"]["classes"]["dark"] = {**row["scores"]["classes"]["dark"], "image_auroc": 0.9}
    row["scores"]["classes"]["grey"] = dict.fromkeys(METRICS, 0.8) | {"aupro": None}
    shown = counted.format_tables([row])
    assert "Mean over both (2 classes):" in shown
    assert "| padim | 0 | 0.850 | 0.800 |" in shown
    assert "| padim | 0 | 0.900 | 0.800 | 0.800 | 0.800 | 0.800 | 0.800 | 0.800 | 0.814 |" in shown
    assert "elsewhere" not in shown


def test_only_the_newest_settings_on_the_newest_data_are_shown(
    counted, shared_data, other_data, tmp_path, tiny
):
    rows = tmp_path / "rows.jsonl"
    counted.run_all(other_data, rows, ["padim"], [0], tiny)
    counted.run_all(shared_data, rows, ["stfpm"], [0, 1], tiny)
    counted.run_all(shared_data, rows, ["stfpm"], [2], tiny, steps=9)
    assert [steps for *_, steps in counted.calls] == [None, 1, 1, 9]
    shown = counted.format_tables(counted.read_rows(rows))
    assert "| stfpm | 2 |" in shown
    assert "steps 9" in shown
    assert "padim" not in shown


def test_each_peer_takes_the_levels_that_it_documents(peers, fits, teacher):
    chosen = {peer: peers.choose(peer, teacher, None, 20_000) for peer in peers.PEERS}
    assert {peer: one["strides"] for peer, one in chosen.items()} == {
        "patchcore": [8, 16],
        "padim": [4, 8, 16],
        "stfpm": [4, 8, 16],
        "dfm": [16],
    }
    for one in chosen.values():
        assert one["channels"] == [
            dict(zip([4, 8, 16], teacher.channels, strict=True))[s] for s in one["strides"]
        ]
        assert fits.on_levels(teacher, one)["layers"] == [
            teacher.levels[teacher.strides.index(s)] for s in one["strides"]
        ]
    assert chosen["padim"]["n_features"] == min(100, sum(teacher.channels))
    assert chosen["stfpm"]["steps"] * chosen["stfpm"]["batch_size"] == 20_000


def test_the_students_training_says_how_long_stfpm_trains(peers, teacher):
    """Six epochs of 16 pictures a step are as many pictures in half as many steps of 32."""
    train = make_config("rd").train
    seen = train.total_steps(3341) * train.batch_size
    assert peers.choose("stfpm", teacher, None, seen)["steps"] == 625
    assert peers.choose("stfpm", teacher, 7, seen)["steps"] == 7
    assert peers.choose("stfpm", teacher, None, 3)["steps"] == 1


def test_other_weights_are_another_row(peers, teacher):
    other = Teacher("test_efficientnet", image_size=(64, 64))
    ours, theirs = (peers.choose("padim", one, None, 32) for one in (teacher, other))
    assert ours["weights"] != theirs["weights"]
    assert ours | {"weights": ""} == theirs | {"weights": ""}


def test_weights_come_from_the_package_and_are_never_downloaded(load_benchmark, monkeypatch):
    module = load_benchmark("peers")
    asked = []
    monkeypatch.setattr(module, "load_pretrained", lambda _, weights: asked.append(weights))
    small = {"image_size": (64, 64)}
    found = module.make_teacher(make_config(**small))
    module.make_teacher(make_config(teacher={"weights": "random"}, **small))
    assert asked == ["packaged", "random"]
    assert (found.strides, found.channels) == ((4, 8, 16), (24, 40, 112))


def test_judges_are_timed_in_turn_on_pictures_spread_over_the_test(peers, shared_data, monkeypatch):
    test = open_dataset(shared_data).test
    monkeypatch.setattr(peers, "TIMED", 4)
    seen = []
    found = peers.time_side_by_side(
        test, (64, 64), {name: lambda p, n=name: seen.append((n, p)) for name in ("peer", "model")}
    )
    assert [name for name, _ in seen] == ["peer", "model"] * (3 + 4)  # three warm up
    assert [p.path for _, p in seen[6::2]] == [str(sample.path) for sample in test[::2]]
    assert all(p.fitted.shape == (64, 64, 3) for _, p in seen)
    assert found.keys() == {"peer", "model"}
    assert all(0 <= ms < 1000 for ms in found.values())


def test_one_unreadable_picture_stops_a_peer(peers, teacher, tiny_data):
    broken = tiny_data / "grey" / "train" / "good" / "0.png"
    broken.write_bytes(b"no picture")
    samples = open_dataset(tiny_data).train_normal
    with pytest.raises(DataError, match=r"0\.png"):
        list(peers.batches(samples, teacher))


def test_epochs_follow_each_other_and_miss_no_picture(fits):
    drawn = fits.shuffled(5, 2)
    for _ in range(2):
        epoch = [next(drawn) for _ in range(3)]
        assert [len(one) for one in epoch] == [2, 2, 1]
        assert sorted(torch.cat(epoch).tolist()) == [0, 1, 2, 3, 4]


def test_peers_see_what_our_teacher_sees_normalised_outside(peers, teacher, shared_data):
    (_, pictures), *_ = peers.batches(open_dataset(shared_data).test, teacher)
    fitted = np.stack([one.fitted for one in pictures])
    images = torch.from_numpy(fitted).permute(0, 3, 1, 2) / 255
    outside = teacher.body(peers.normalise(fitted, teacher))
    for ours, theirs in zip(teacher(images), outside, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_command_line_runs_and_prints(
    counted, shared_data, tmp_path, tiny, monkeypatch, capsys
):
    rows = tmp_path / "rows.jsonl"
    words = ["run", str(shared_data), "--rows", str(rows), "--config", str(tiny), "--steps", "3"]
    monkeypatch.setattr("sys.argv", ["peers.py", *words, "--peers", "stfpm", "--seeds", "4"])
    counted.main()
    assert counted.calls == [("stfpm", 4, 3)]
    monkeypatch.setattr("sys.argv", ["peers.py", "table", str(rows)])
    counted.main()
    assert "| stfpm | 4 | 0.840 |" in capsys.readouterr().out


# What follows fits anomalib's own networks.

needs_anomalib = [
    pytest.mark.parity,
    # anomalib and what it imports warn about their own future
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def real(peers):
    pytest.importorskip("anomalib", reason="anomalib 2.7 is not installed", exc_type=ImportError)
    return peers


def fitted(real, teacher, data: Path, peer: str, **changes):
    """One peer fitted on the tiny data set, and its settings."""
    settings = real.choose(peer, teacher, 2, 0) | changes
    with torch.random.fork_rng(), real.anomalib_on(teacher):
        torch.manual_seed(0)
        return real.FITS[peer](teacher, open_dataset(data).train_normal, settings), settings


@pytest.mark.parametrize("peer", ["patchcore", "padim", "stfpm", "dfm"])
class TestEachPeer:
    pytestmark = needs_anomalib

    def test_gives_a_full_row_beside_a_model(
        self, real, peer, shared_data, trained_run, tmp_path, tiny
    ):
        rows = tmp_path / "rows.jsonl"
        for _ in range(2):
            real.run_all(shared_data, rows, [peer], [0], tiny, model=trained_run)
        (row,) = real.read_rows(rows)
        assert row.get("error") is None
        assert set(row["scores"]["mean"]) == set(METRICS)
        assert all(value is not None for value in row["scores"]["mean"].values())
        assert row["anomalib"].startswith("2.7")
        assert row["artefact_mib"] > 0
        assert row["infer_ms_per_picture"] > 0
        assert row["model"]["infer_ms_per_picture"] > 0
        assert "rd-snl" in row["model"]["label"]

    def test_is_scored_by_its_own_score_and_raw_map_of_the_input_size(
        self, real, teacher, peer, shared_data
    ):
        network, _ = fitted(real, teacher, shared_data, peer)
        (_, pictures), *_ = real.batches(open_dataset(shared_data).test, teacher)
        scores, maps = real.judge(network.eval(), teacher, pictures)
        assert len(scores) == len(pictures)
        assert maps.shape == (len(pictures), 64, 64)
        assert maps.dtype == np.float32
        alone, _ = real.judge(network, teacher, pictures[-1:])
        assert alone == pytest.approx(scores[-1:], rel=1e-4)
        if peer in ("padim", "stfpm"):
            assert scores == pytest.approx([float(one.max()) for one in maps])

    def test_refuses_a_teacher_that_is_not_ours(self, real, teacher, peer, shared_data):
        other = Teacher("test_efficientnet", image_size=(64, 64))
        settings = real.choose(peer, teacher, 1, 0)
        with real.anomalib_on(other), pytest.raises(AssertionError, match="not close"):
            real.FITS[peer](teacher, open_dataset(shared_data).train_normal, settings)


class TestHowPeersAreFitted:
    pytestmark = needs_anomalib

    def test_patchcore_keeps_a_coreset_of_the_patches_drawn(self, real, teacher, shared_data):
        """Ten pictures of 8 x 8 patches: 640, of which a pool is drawn, of which some are kept."""
        sizes = {}
        for pool, kept in ((640, 1000), (200, 1000), (200, 7)):
            network, _ = fitted(real, teacher, shared_data, "patchcore", pool=pool, kept=kept)
            sizes[pool, kept] = len(network.memory_bank)
            assert network.memory_bank.unique(dim=0).shape == network.memory_bank.shape
        assert sizes == {(640, 1000): 64, (200, 1000): 20, (200, 7): 7}

    def test_padim_by_rows_is_anomalibs_own_fit(self, real, fits, teacher, shared_data):
        network, settings = fitted(real, teacher, shared_data, "padim")
        whole, _ = fitted(real, teacher, shared_data, "padim")
        for _ in fits.collect(whole.train(), teacher, open_dataset(shared_data).train_normal):
            pass
        assert torch.equal(whole.idx, network.idx)
        whole.fit()
        torch.testing.assert_close(network.gaussian.mean, whole.gaussian.mean)
        torch.testing.assert_close(
            network.gaussian.inv_covariance, whole.gaussian.inv_covariance, rtol=1e-3, atol=1e-3
        )
        assert len(network.idx) == settings["n_features"]

    def test_stfpm_trains_its_student_and_leaves_the_teacher(self, real, teacher, shared_data):
        network, _ = fitted(real, teacher, shared_data, "stfpm")
        longer, _ = fitted(real, teacher, shared_data, "stfpm", steps=3)
        ours = teacher.body.state_dict()
        kept = network.teacher_model.feature_extractor.state_dict()
        assert all(torch.equal(ours[name], tensor) for name, tensor in kept.items())
        moved = longer.student_model.feature_extractor.state_dict()
        student = network.student_model.feature_extractor.state_dict()
        assert not torch.equal(student["conv_stem.weight"], moved["conv_stem.weight"])
        assert not torch.equal(student["conv_stem.weight"], ours["conv_stem.weight"])

    def test_dfm_keeps_more_components_for_more_variance(self, real, teacher, shared_data):
        few, _ = fitted(real, teacher, shared_data, "dfm", pca_level=0.5)
        many, settings = fitted(real, teacher, shared_data, "dfm")
        assert settings["pca_level"] == 0.97
        assert int(few.pca_model.num_components) < int(many.pca_model.num_components) < 10

    def test_networks_end_with_the_last_level(self, real, teacher, shared_data):
        for peer in ("dfm", "stfpm"):
            network, _ = fitted(real, teacher, shared_data, peer)
            bodies = [m for m in network.modules() if type(m) is type(teacher.body)]
            assert bodies
            assert all(len(body.blocks) == len(teacher.body.blocks) for body in bodies)

    def test_the_same_seed_gives_the_same_scores(self, real, shared_data, tmp_path, tiny):
        scores = []
        for name in ("a.jsonl", "b.jsonl"):
            real.run_all(shared_data, tmp_path / name, ["patchcore", "stfpm"], [3], tiny)
            scores.append([row["scores"] for row in real.read_rows(tmp_path / name)])
        assert scores[0] == scores[1]

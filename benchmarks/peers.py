"""Quality, speed and size of other methods, one row a run, resumable.

    python benchmarks/peers.py run DATA --rows results/peers.jsonl [--peers padim] [--model RUN]
    python benchmarks/peers.py table results/peers.jsonl

Anomalib's PatchCore, PaDiM, STFPM and DFM, one model for all classes of DATA, on the teacher,
pictures and input size of ``quality.py`` and scored by its metrics: each by its own raw map and its
own image score. ``run`` needs requirements/bench.txt and downloads nothing; docs/results.md says
where it leaves anomalib's path. A peer that fails is a row that says so, and is tried again by the
next ``run``. ``--model`` times a trained model of snlad beside each peer.
"""

import argparse
import statistics
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from anomalib_peers import FITS, PEERS, anomalib_on, batches, choose, normalise
from quality import (
    HEADS,
    ROOT,
    append_row,
    by_class,
    command_line,
    commit,
    hardware,
    markdown,
    open_pictures,
    read_rows,
    spread,
)
from snlad.config import Config, digest, read_config
from snlad.data.loading import Picture, load_picture
from snlad.data.samples import Dataset, Sample
from snlad.engine.evaluation import LabelledPictures
from snlad.metrics.protocols import find_protocol
from snlad.metrics.scores import METRICS, ScoreRow, ScoreTable
from snlad.models.teacher import Teacher
from snlad.models.weights import load_pretrained
from snlad.predict import Model, load
from snlad.types import MAP_SIZE

TIMED, WARM_UP = 50, 3
STUDY = ROOT / "configs" / "studies" / "recipe.toml"
NO_SCORES: dict[str, Any] = {"classes": {}, "mean": {}, "pooled": {}}


def main() -> None:
    """Run or print the benchmark."""

    def add_options(run: argparse.ArgumentParser) -> None:
        run.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
        run.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
        run.add_argument(
            "--steps", type=int, help="of STFPM; by default it sees as many pictures as rd"
        )
        run.add_argument("--model", type=Path, help="a run folder of snlad to time beside")

    command_line(
        __doc__,
        add_options,
        lambda a: run_all(a.data, a.rows, a.peers, a.seeds, a.config, a.steps, a.model),
        format_tables,
    )


def run_all(
    data: Path,
    rows: Path,
    peers: Iterable[str],
    seeds: Iterable[int],
    config: Path | None = None,
    steps: int | None = None,
    model: Path | None = None,
) -> None:
    """Append a row for every peer and seed that has none; seed by seed."""
    dataset, pictures = open_pictures(data)
    beside = None if model is None else load(model)
    rows.parent.mkdir(parents=True, exist_ok=True)
    done = {row["key"] for row in read_rows(rows) if "error" not in row}
    settings = read_config(config)
    teacher = make_teacher(settings)
    seen = settings.train.total_steps(len(dataset.train_normal)) * settings.train.batch_size
    about = {"data": pictures, "commit": commit(), "hardware": hardware(), **versions()}
    for seed in seeds:
        for peer in peers:
            chosen = choose(peer, teacher, steps, seen)
            drawn = None if peer == "dfm" else seed  # nothing in DFM is drawn
            key = digest([peer, chosen, drawn, about["anomalib"], pictures])[:16]
            if key not in done:
                row = {"key": key, "method": peer, "seed": drawn, "settings": chosen, **about}
                row |= {"date": datetime.now(UTC).date().isoformat()}
                append_row(rows, row | attempt(peer, teacher, dataset, chosen, seed, beside))
                done.add(key)


def versions() -> dict[str, str]:
    """Of anomalib, which must be installed."""
    return {"anomalib": metadata.version("anomalib")}


def make_teacher(config: Config) -> Teacher:
    """The teacher of a run of this configuration; ``auto`` never downloads here."""
    teacher = Teacher(
        config.teacher.name, levels=config.teacher.levels, image_size=config.image_size
    )
    weights = config.teacher.weights
    load_pretrained(teacher, "packaged" if weights == "auto" else weights)
    return teacher


def attempt(
    peer: str,
    teacher: Teacher,
    dataset: Dataset,
    settings: Mapping[str, Any],
    seed: int,
    beside: Model | None,
) -> dict[str, Any]:
    """What ``measure`` finds, or the error that it ends with."""
    try:
        return measure(peer, teacher, dataset, settings, seed, beside)
    except Exception as error:  # whatever anomalib raises belongs in the row
        reason = " ".join(str(error).split())[:200]
        print(f"{peer} failed: {type(error).__name__}: {reason}", file=sys.stderr)
        return {"error": f"{type(error).__name__}: {reason}", "scores": NO_SCORES}


def measure(
    peer: str,
    teacher: Teacher,
    dataset: Dataset,
    settings: Mapping[str, Any],
    seed: int,
    beside: Model | None,
) -> dict[str, Any]:
    """Fit one peer, time it, score it."""
    started = time.monotonic()
    with torch.random.fork_rng(), anomalib_on(teacher):
        torch.manual_seed(seed)
        np.random.seed(seed)  # scikit-learn draws the projection of PatchCore's coreset from it
        network = FITS[peer](teacher, dataset.train_normal, settings)
    network.eval()
    found: dict[str, Any] = {"fit_seconds": round(time.monotonic() - started, 1)}
    judges = {"peer": lambda picture: judge(network, teacher, [picture])}
    if beside is not None:
        judges["model"] = lambda picture: beside.judge([picture], [None])
    timed = time_side_by_side(dataset.test, teacher.image_size, judges)
    found["infer_ms_per_picture"] = timed["peer"]
    if beside is not None:
        label = f"{beside.card.config.method_label}, {beside.identity[:12]}"
        found["model"] = {"label": label, "infer_ms_per_picture": timed["model"]}
    tensors = network.state_dict().values()
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return {
        **found,
        "artefact_mib": round(size / 2**20, 1),
        "scores": score(network, teacher, dataset),
    }


@torch.inference_mode()
def judge(
    network: nn.Module, teacher: Teacher, pictures: Sequence[Picture]
) -> tuple[list[float], NDArray[np.float32]]:
    """A peer's own image scores, and its raw maps (N, H, W)."""
    found = network(normalise(np.stack([one.fitted for one in pictures]), teacher))
    scores: list[float] = found.pred_score.reshape(-1).tolist()
    return scores, found.anomaly_map[:, 0].numpy()


def score(network: nn.Module, teacher: Teacher, dataset: Dataset) -> dict[str, Any]:
    """The seven numbers on all test pictures."""
    tested = LabelledPictures(dataset, find_protocol("snlad-v1"))
    for samples, pictures in batches(dataset.test, teacher):
        for sample, *found in zip(samples, *judge(network, teacher, pictures), strict=True):
            tested.add(sample, *found, MAP_SIZE)
    return tested.table().to_dict()


def time_side_by_side(
    samples: Sequence[Sample],
    size: tuple[int, int],
    judges: Mapping[str, Callable[[Picture], Any]],
) -> dict[str, float]:
    """Median ms a picture, one at a time and decoded before; each picture by all in turn."""
    spaced = samples[:: max(1, len(samples) // TIMED)][:TIMED]
    seconds: dict[str, list[float]] = {name: [] for name in judges}
    for sample in (*spaced[:WARM_UP], *spaced):
        picture = load_picture(sample.path, size, keep_original=False)
        for name, one in judges.items():
            started = time.perf_counter()
            one(picture)
            seconds[name].append(time.perf_counter() - started)
    warm = len(spaced[:WARM_UP])
    return {name: round(1000 * statistics.median(s[warm:]), 2) for name, s in seconds.items()}


def format_tables(rows: list[dict[str, Any]]) -> str:
    """Markdown: means over classes, their groups and pooled, three by class, failures, settings.

    Only the newest settings of each peer are shown, and only rows of the newest data.
    """
    rows = [row for row in rows if row["data"] == rows[-1]["data"]]
    newest = {row["method"]: row for row in rows}
    kept = {row["key"]: row for row in rows}.values()  # a later try of the same counts
    by_peer = {
        peer: [r for r in kept if r["method"] == peer and _setting(r) == _setting(newest[peer])]
        for peer in PEERS
        if peer in newest
    }
    shown = [row for part in by_peer.values() for row in part]
    finished = {
        peer: good
        for peer, part in by_peer.items()
        if (good := [row for row in part if "error" not in row])
    }
    metrics = ("image_auroc", "pixel_auroc", "aupro") if finished else ()
    parts = [
        _summary(by_peer, finished),
        *_by_group(finished),
        _scores("Pooled over all pictures", finished, lambda row: row["scores"]["pooled"]),
        *(by_class(metric, finished) for metric in metrics),
        *(
            f"{row['method']}, seed {row['seed']}: {row['error']}"
            for row in shown
            if "error" in row
        ),
        "\n".join(_about(part[-1]) for part in by_peer.values()),
        _conditions(shown),
    ]
    return "\n\n".join(part for part in parts if part)


def _setting(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["settings"], row["anomalib"]


def _summary(
    by_peer: Mapping[str, Sequence[Mapping[str, Any]]],
    finished: Mapping[str, Sequence[Mapping[str, Any]]],
) -> str:
    """Means over classes, time and size, a line for each peer, failed ones too."""
    heads = ("peer", "seeds", *HEADS, "mean of 7", "fit, s", "ms a picture", "x snlad", "MiB")
    lines = [
        [peer, *_cells(finished[peer])]
        if peer in finished
        else [peer, "failed", *["-"] * (len(heads) - 2)]
        for peer in by_peer
    ]
    return "Mean over classes:\n\n" + markdown(heads, lines)


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    times = [row["infer_ms_per_picture"] for row in rows]
    ratios = [
        row["infer_ms_per_picture"] / row["model"]["infer_ms_per_picture"]
        for row in rows
        if "model" in row
    ]
    return [
        _seeds(rows),
        *_seven([row["scores"]["mean"] for row in rows]),
        spread([row["fit_seconds"] for row in rows], digits=0),
        spread(times, digits=1),
        spread(ratios, digits=2),
        spread([row["artefact_mib"] for row in rows], digits=1),
    ]


def _by_group(finished: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Means over each group of classes that the rows have, as the study of our methods has them."""
    classes = {name for rows in finished.values() for name in rows[0]["scores"]["classes"]}
    groups = tomllib.loads(STUDY.read_text("utf-8"))["groups"]
    return [
        _scores(
            f"Mean over {group} ({len(names)} classes)",
            finished,
            lambda row, names=names: _means(row, names),
        )
        for group, names in groups.items()
        if classes.issuperset(names)
    ]


def _means(row: Mapping[str, Any], classes: Iterable[str]) -> dict[str, float | None]:
    """The mean row of some classes."""
    of_each = {name: ScoreRow(**row["scores"]["classes"][name]) for name in classes}
    return asdict(ScoreTable("snlad-v1", of_each, ScoreRow()).mean)


def _scores(
    title: str,
    finished: Mapping[str, Sequence[Mapping[str, Any]]],
    numbers: Callable[[Mapping[str, Any]], Mapping[str, float | None]],
) -> str:
    """The seven numbers and their mean, a line for each peer."""
    if not finished:
        return ""
    lines = [
        [peer, _seeds(rows), *_seven([numbers(row) for row in rows])]
        for peer, rows in finished.items()
    ]
    return f"{title}:\n\n" + markdown(("peer", "seeds", *HEADS, "mean of 7"), lines)


def _seven(seeds: Sequence[Mapping[str, float | None]]) -> list[str]:
    """Each number over the seeds, and the mean of all seven where all are there."""
    rows = [ScoreRow(**one) for one in seeds]
    columns = ([getattr(row, metric) for row in rows] for metric in METRICS)
    return [*(spread(column) for column in columns), spread([row.mad for row in rows])]


def _seeds(rows: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join("any" if row["seed"] is None else str(row["seed"]) for row in rows)


def _about(row: Mapping[str, Any]) -> str:
    listed = (
        f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in row["settings"].items()
    )
    return f"- {row['method']}: {'; '.join(listed)}"


def _conditions(rows: Iterable[Mapping[str, Any]]) -> str:
    """Where the rows come from."""
    sets = {
        "anomalib": {row["anomalib"] for row in rows},
        "Timed beside": {row["model"]["label"] for row in rows if "model" in row},
        "Hardware": {row["hardware"] for row in rows},
        "Commits": {row["commit"] for row in rows},
    }
    return " ".join(f"{name}: {'; '.join(sorted(some))}." for name, some in sets.items() if some)


if __name__ == "__main__":
    sys.exit(main())

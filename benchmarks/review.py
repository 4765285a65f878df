"""What a review of the training pictures finds and gains where defects lie among them.

    python benchmarks/review.py run DATA --rows results/review.jsonl [--seeds 0] [--method rd]
    python benchmarks/review.py table results/review.jsonl

For each class, as many of its test defects as make 2 % of its training pictures are called normal,
taken out of the test in all three conditions alike, and put among the training pictures: ``clean``
trains without them, ``dirty`` with them, ``reviewed`` without what the review of the dirty run
lists. The list is used as it is; a person would first take the good pictures off it. No file is
copied or moved. A row a condition, and one that says what the review found; resumable.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from quality import (
    HEADS,
    append_row,
    command_line,
    commit,
    hardware,
    open_pictures,
    read_rows,
    spread,
    use_all_pictures,
)
from snlad.data.samples import Dataset, Sample
from snlad.metrics.scores import METRICS

DIRT = 0.02
"""Defects for each normal training picture."""
LISTED = 0.05
"""Share of the training pictures that the review lists."""
CONDITIONS = ("clean", "dirty", "reviewed")


def main() -> None:
    """Run or print the benchmark."""

    def add_options(run: argparse.ArgumentParser) -> None:
        run.add_argument("--seeds", nargs="+", type=int, default=[0])
        run.add_argument("--method", default="rd-snl")

    command_line(
        __doc__,
        add_options,
        lambda a: run_all(a.data, a.rows, a.seeds, a.method, a.config),
        format_table,
    )


def run_all(data: Path, rows: Path, seeds: Iterable[int], method: str, config: Path | None) -> None:
    """Append the three rows of every seed that lacks them; the review comes with the dirty one."""
    from snlad.config import digest, read_config

    dataset, pictures = open_pictures(data)
    rows.parent.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        settings = use_all_pictures(read_config(config, method, seed))
        clean, dirt = soil(dataset, seed)
        dirty = replace(clean, samples=(*clean.samples, *dirt))
        names = [digest([settings.model_dump(mode="json"), pictures, c])[:16] for c in CONDITIONS]
        done = {row["key"]: row for row in read_rows(rows)}
        listed: set[str] = set(done.get(names[1], {}).get("listed", ()))
        for key, condition in zip(names, CONDITIONS, strict=True):
            if key in done:
                continue
            row = {"key": key, "method": f"{method}, {condition}", "condition": condition}
            row |= {"base": method, "seed": seed, "commit": commit(), "hardware": hardware()}
            row["date"] = datetime.now(UTC).date().isoformat()
            row |= measure(clean if condition == "clean" else dirty, settings, condition, listed)
            if condition == "dirty":
                listed = set(row["listed"])
                row["found"] = count_found(row["listed"], dirt)
            append_row(rows, row)


def soil(dataset: Dataset, seed: int) -> tuple[Dataset, tuple[Sample, ...]]:
    """The data set without a draw of its test defects, and these, called normal training pictures.

    Returns:
        Both; 2 % of each class's training pictures, at least one where it has two defects.
    """
    random = np.random.default_rng(seed)
    dirt: list[Sample] = []
    for name in dataset.class_names:
        normals = [s for s in dataset.train_normal if s.class_name == name]
        defects = [s for s in dataset.test if s.class_name == name and s.is_anomalous]
        count = min(max(1, round(DIRT * len(normals))), len(defects) // 2)
        dirt += [defects[int(i)] for i in random.permutation(len(defects))[:count]]
    rest = replace(dataset, samples=tuple(s for s in dataset.samples if s not in set(dirt)))
    called = (replace(s, split="train", is_anomalous=False, mask=None) for s in dirt)
    return rest, tuple(called)


def measure(dataset: Dataset, settings: Any, condition: str, listed: set[str]) -> dict[str, Any]:
    """Train and evaluate once; the dirty run is reviewed too."""
    from snlad.cli.progress import show_progress
    from snlad.engine.evaluate import evaluate
    from snlad.engine.review import review
    from snlad.engine.train import train
    from snlad.predict import load

    excluded = listed if condition == "reviewed" else ()
    with tempfile.TemporaryDirectory() as folder, show_progress(quiet=True) as progress:
        run = Path(folder) / "run"
        train(dataset, run, settings, excluded=excluded, progress=progress)
        found = {"scores": evaluate(load(run), dataset, progress=progress).table.to_dict()}
        if condition == "dirty":
            rows = review(run, share=LISTED, progress=progress)
            found["reviewed"] = len(rows)
            found["listed"] = [row.sha256 for row in rows[: round(LISTED * len(rows))]]
    return found


def count_found(listed: Iterable[str], dirt: Iterable[Sample]) -> dict[str, list[int]]:
    """Listed and all defects among the training pictures, by class."""
    from snlad.data.loading import file_digests

    dirt, names = list(dirt), set(listed)
    found: dict[str, list[int]] = {}
    for sample, sha256 in zip(dirt, file_digests(dirt), strict=True):
        counts = found.setdefault(sample.class_name, [0, 0])
        counts[0] += sha256 in names
        counts[1] += 1
    return found


def format_table(rows: list[dict[str, Any]]) -> str:
    """Markdown: the seven numbers by condition, and how much of the dirt is on the list."""
    lines = ["| condition | seeds | " + " | ".join(HEADS) + " |"]
    lines.append("| --- " * (len(HEADS) + 2) + "|")
    for condition in CONDITIONS:
        some = [row for row in rows if row["condition"] == condition]
        cells = [spread([row["scores"]["mean"].get(metric) for row in some]) for metric in METRICS]
        seeds = ", ".join(str(row["seed"]) for row in some)
        lines.append(f"| {condition} | {seeds} | " + " | ".join(cells) + " |")
    counts = [row["found"] for row in rows if row["condition"] == "dirty"]
    hits, total = (sum(pair[i] for one in counts for pair in one.values()) for i in (0, 1))
    parts = [
        f"{name} {sum(one[name][0] for one in counts)} of {sum(one[name][1] for one in counts)}"
        for name in (counts[0] if counts else ())
    ]
    machines = "; ".join(sorted({row["hardware"] for row in rows}))
    commits = ", ".join(sorted({row["commit"] for row in rows}))
    found = f"Defects in the first {LISTED:.0%} of the ranking: {hits} of {total}"
    lines += ["", f"{found} ({', '.join(parts)}).", ""]
    return "\n".join([*lines, f"Hardware: {machines}. Commits: {commits}."])


if __name__ == "__main__":
    sys.exit(main())

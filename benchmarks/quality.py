"""Quality of the four methods on a labelled data set, one row a run, resumable.

    python benchmarks/quality.py run DATA --rows results/NAME.jsonl [--methods rd] [--seeds 0 1]
    python benchmarks/quality.py table results/NAME.jsonl

``run`` trains what has no row yet and appends a row as each run ends; ``table`` prints Markdown. As
in published tables, all normal training pictures train: none is set aside for thresholds.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snlad.metrics.scores import METRICS

ROOT = Path(__file__).parent.parent
METHODS = ("rd", "rd-snl", "fd", "fd-snl")
TRIVIAL = "best trivial statistic"
HEADS = ("image AUROC", "image AP", "image F1", "pixel AUROC", "pixel AP", "pixel F1", "AUPRO")


def main() -> None:
    """Run or print the benchmark."""
    methods_command(__doc__, METHODS, run_all, format_tables)


def methods_command(
    description: str | None,
    methods: Sequence[str],
    run_all: Callable[[Path, Path, list[str], list[int], Path | None], None],
    tables: Callable[[list[dict[str, Any]]], str],
) -> None:
    """``command_line`` with the options of a benchmark that trains methods with seeds."""

    def add_options(run: argparse.ArgumentParser) -> None:
        run.add_argument("--methods", nargs="+", default=methods)
        run.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])

    command_line(
        description,
        add_options,
        lambda a: run_all(a.data, a.rows, a.methods, a.seeds, a.config),
        tables,
    )


def command_line(
    description: str | None,
    add_options: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], None],
    tables: Callable[[list[dict[str, Any]]], str],
) -> None:
    """The two verbs of a benchmark: ``run DATA --rows FILE`` with its options, ``table FILE``."""
    parser = argparse.ArgumentParser(description=description)
    verbs = parser.add_subparsers(required=True)
    running = verbs.add_parser("run")
    running.add_argument("data", type=Path)
    running.add_argument("--rows", type=Path, required=True)
    running.add_argument("--config", type=Path, help="settings, teacher and input size among them")
    add_options(running)
    running.set_defaults(verb=run)
    table = verbs.add_parser("table")
    table.add_argument("rows", type=Path)
    table.set_defaults(verb=lambda a: print(tables(read_rows(a.rows))))
    arguments = parser.parse_args()
    arguments.verb(arguments)


def run_all(
    data: Path, rows: Path, methods: Iterable[str], seeds: Iterable[int], config: Path | None
) -> None:
    """Append a row for every method and seed that has none; seed by seed."""
    from snlad.config import digest, read_config

    dataset, pictures = open_pictures(data)
    rows.parent.mkdir(parents=True, exist_ok=True)
    done = {row["key"] for row in read_rows(rows)}
    if f"{TRIVIAL} {pictures}" not in done:
        key = f"{TRIVIAL} {pictures}"
        row = {"key": key, "method": TRIVIAL, "data": pictures, **measure_trivial(dataset)}
        append_row(rows, row)
    for seed in seeds:
        for method in methods:
            settings = use_all_pictures(read_config(config, method, seed))
            chosen = settings.model_dump(mode="json", exclude={"calibration", "probes"})
            key = digest([chosen, pictures])[:16]
            if key not in done:
                row = {"key": key, "method": method, "seed": seed, "recipe": recipe(chosen)}
                row |= {"data": pictures, "commit": commit(), **measure(dataset, settings)}
                append_row(rows, row)


def open_pictures(data: Path) -> tuple[Any, str]:
    """The data set, and a name for its training and test pictures that changes with them."""
    from snlad.data.loading import data_digest, file_digests
    from snlad.data.opening import open_dataset

    dataset = open_dataset(data)
    samples = (*dataset.train_normal, *dataset.test)
    return dataset, data_digest(samples, file_digests(samples))[:16]


def recipe(chosen: Mapping[str, Any]) -> str:
    """Names a configuration whatever its seed."""
    from snlad.config import digest

    return digest({k: v for k, v in chosen.items() if k != "seed"})[:8]


def of_newest_recipe(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by method, those of an older recipe left out."""
    rows = list(rows)
    newest = {row["method"]: row.get("recipe") for row in rows}
    return {
        method: [r for r in rows if r["method"] == method and r.get("recipe") == kept]
        for method, kept in newest.items()
    }


def use_all_pictures(settings: Any) -> Any:
    """The same configuration with no share of the pictures set aside, and no probes of them."""
    from snlad.config import parse_config

    without = {"calibration": {"share": 0.0}, "probes": {"count": 0}}
    return parse_config({**settings.model_dump(mode="json"), **without})


def commit() -> str:
    """The commit of the code that runs; a plus where files differ from it."""
    name, changed = (
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "src"])
    )
    return name.stdout.strip() + ("+" if changed.stdout.strip() else "")


def hardware() -> str:
    """What a row says of the machine it was measured on."""
    import torch

    return (
        f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )


def append_row(rows: Path, row: dict[str, Any]) -> None:
    """Keep a finished row and show its means."""
    with rows.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    means = row["scores"]["mean"]
    shown = (f"{name} {value:.3f}" for name, value in means.items() if value is not None)
    print(row["method"], row.get("seed", ""), *shown)


def measure_trivial(dataset: Any) -> dict[str, Any]:
    """Image AUROC by class of whichever of eight trivial statistics separates best."""
    from snlad.data.check import check_dataset
    from snlad.data.statistics import trivial_row

    by_class = trivial_row(check_dataset(dataset).separations)
    classes = {name: {"image_auroc": value} for name, value in by_class.items()}
    mean = {"image_auroc": statistics.fmean(by_class.values())}
    return {"scores": {"classes": classes, "mean": mean, "pooled": {}}}


def measure(dataset: Any, settings: Any) -> dict[str, Any]:
    """Train and evaluate once; scores, seconds and hardware."""
    from snlad.cli.progress import show_progress
    from snlad.engine.evaluate import evaluate
    from snlad.engine.train import train
    from snlad.predict import load

    with tempfile.TemporaryDirectory() as folder, show_progress(quiet=True) as progress:
        started = time.monotonic()
        run = train(dataset, Path(folder) / "run", settings, progress=progress)
        seconds = time.monotonic() - started
        table = evaluate(load(run), dataset, progress=progress).table
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "label": settings.method_label,
        "steps": settings.train.total_steps(len(dataset.train_normal)),
        "train_seconds": round(seconds),
        "hardware": hardware(),
        "scores": table.to_dict(),
    }


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Finished rows; a last line cut off by a crash is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def format_tables(rows: list[dict[str, Any]]) -> str:
    """Markdown: mean over classes and pooled by method, then AUROC and AUPRO by class.

    Only the newest recipe of each method is shown, and only rows of the newest data.
    """
    rows = [row for row in rows if row["data"] == rows[-1]["data"]]
    newest = of_newest_recipe(rows)
    by_method = {name: newest[name] for name in (TRIVIAL, *METHODS) if name in newest}
    shown = [row for part in by_method.values() for row in part]
    machines = {row["hardware"] for row in shown if "hardware" in row}
    commits = {row["commit"] for row in shown if "commit" in row}
    parts = [
        _summary("mean", "Mean over classes", by_method),
        _summary("pooled", "Pooled over all pictures", by_method),
        *(by_class(metric, by_method) for metric in ("image_auroc", "pixel_auroc", "aupro")),
        f"Hardware: {'; '.join(sorted(machines))}. Commits: {', '.join(sorted(commits))}.",
    ]
    return "\n\n".join(parts)


def _summary(part: str, title: str, by_method: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        [method, ", ".join(str(row["seed"]) for row in rows if "seed" in row)]
        + [spread([row["scores"][part].get(metric) for row in rows]) for metric in METRICS]
        + [spread([row.get("train_seconds") for row in rows], digits=0)]
        for method, rows in by_method.items()
    ]
    return f"{title}:\n\n" + markdown(("method", "seeds", *HEADS, "training, s"), lines)


def by_class(metric: str, by_method: dict[str, list[dict[str, Any]]]) -> str:
    """One metric by class, a column a method."""
    first = next(rows for method, rows in by_method.items() if method != TRIVIAL)[0]
    lines = [
        [name]
        + [
            spread([row["scores"]["classes"].get(name, {}).get(metric) for row in rows])
            for rows in by_method.values()
        ]
        for name in first["scores"]["classes"]
    ]
    return f"{metric} by class:\n\n" + markdown(("class", *by_method), lines)


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of text cells."""
    first, *rest = ("| " + " | ".join(cells) + " |" for cells in (heads, *lines))
    return "\n".join([first, "| --- " * len(heads) + "|", *rest])


def spread(values: list[float | None], digits: int = 3) -> str:
    """Mean and sample standard deviation over seeds."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = f"{statistics.fmean(known):.{digits}f}"
    return mean if len(known) < 2 else f"{mean} ± {statistics.stdev(known):.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())

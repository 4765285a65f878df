"""What thresholds promise and keep, and cross-class interference, on a labelled data set.

    python benchmarks/thresholds.py run DATA --rows results/thresholds.jsonl [--methods rd rd-snl]
    python benchmarks/thresholds.py table results/thresholds.jsonl

Unlike ``quality.py``, ``run`` trains as a user does: a share of the normal training pictures is set
aside, which calibrates and probes the model. A row a method and seed; resumable. ``table`` prints
what was promised beside what test pictures show, then draws calibration and test normals anew 200
times from both together, where the promise must hold: it tells a broken promise from pictures of
the test that are not like those of the training.
"""

import functools
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from quality import (
    HEADS,
    append_row,
    commit,
    hardware,
    markdown,
    methods_command,
    of_newest_recipe,
    open_pictures,
    read_rows,
    recipe,
    spread,
)
from snlad.calibration.conformal import conformal_threshold
from snlad.metrics.decisions import CLASS_POLICY
from snlad.metrics.scores import METRICS

RESPLITS = 200
LEVEL = 0.95
PROBES = {
    "Mixup image AUROC": "mixup_image_auroc",
    "CutPaste image AUROC": "cutpaste_image_auroc",
    "CutPaste pixel AUROC": "cutpaste_pixel_auroc",
    "eta squared": "eta_squared",
}
GUESSED = "guessed class threshold"


def main() -> None:
    """Run or print the benchmark."""
    methods_command(__doc__, ("rd", "rd-snl"), run_all, format_tables)


def run_all(
    data: Path, rows: Path, methods: Iterable[str], seeds: Iterable[int], config: Path | None
) -> None:
    """Append a row for every method and seed that has none; seed by seed."""
    from snlad.config import digest, read_config

    dataset, pictures = open_pictures(data)
    rows.parent.mkdir(parents=True, exist_ok=True)
    done = {row["key"] for row in read_rows(rows)}
    for seed in seeds:
        for method in methods:
            settings = read_config(config, method, seed)
            chosen = settings.model_dump(mode="json")
            key = digest([chosen, pictures])[:16]
            if key not in done:
                row = {"key": key, "method": method, "seed": seed, "commit": commit()}
                row["recipe"] = recipe(chosen)
                row |= {"date": datetime.now(UTC).date().isoformat(), "hardware": hardware()}
                append_row(rows, row | measure(dataset, settings))


def measure(dataset: Any, settings: Any) -> dict[str, Any]:
    """Train, calibrate, probe and evaluate once."""
    from snlad.calibration.record import load_calibration
    from snlad.cli.progress import show_progress
    from snlad.engine.evaluate import evaluate
    from snlad.engine.interference import with_probes
    from snlad.engine.train import train
    from snlad.model_card import find_model
    from snlad.predict import load

    with tempfile.TemporaryDirectory() as folder, show_progress(quiet=True) as progress:
        run = Path(folder) / "run"
        train(dataset, run, settings, progress=progress)
        model = load(run)
        found = with_probes(evaluate(model, dataset, progress=progress), run, model.identity)
        calibrated = load_calibration(find_model(run), model.identity)
    assert calibrated is not None, "the data set is too small to set pictures aside"
    promise = calibrated[0]
    normals: dict[str, list[float]] = {name: [] for name in promise.scores}
    for one in found.pictures:
        if not one.is_anomalous:
            normals[one.class_name].append(one.score)
    return {
        "scores": found.to_dict(),
        "target": promise.target_fpr,
        "promised": {name: limits.attainable_fpr for name, limits in promise.classes.items()},
        "promised_guessed": promise.guessed_rates,
        "inseparable": promise.inseparable,
        "calibration": promise.scores,
        "normals": normals,
    }


def format_tables(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: numbers, probes, decisions pooled and by class, and resplits, by method.

    Only the newest recipe of each method is shown.
    """
    by_method = of_newest_recipe(rows)
    shown = [row for some in by_method.values() for row in some]
    machines = "; ".join(sorted({row["hardware"] for row in shown}))
    commits = ", ".join(sorted({row["commit"] for row in shown}))
    return "\n\n".join(
        [
            _scores(by_method),
            _probes(by_method),
            _decisions(by_method),
            _resplits(by_method),
            *(_by_class(method, some) for method, some in by_method.items()),
            f"Hardware: {machines}. Commits: {commits}.",
        ]
    )


def resplit(row: Mapping[str, Any], draws: int = RESPLITS) -> tuple[float, float]:
    """Calibration and test normals of each class drawn anew from both together.

    Returns:
        Mean rate of false alarms, pooled over classes, and the share of counts by class and draw
        that lie where 95 % of them should.
    """
    random = np.random.default_rng(0)
    alarms = normals = 0
    inside: list[bool] = []
    for name, aside in row["calibration"].items():
        both, n = np.array([*aside, *row["normals"][name]]), len(aside)
        if n == len(both):
            continue
        for _ in range(draws):
            drawn = random.permutation(both)
            threshold = conformal_threshold(drawn[:n], row["target"])
            count, size = int((drawn[n:] > threshold.value).sum()), len(drawn) - n
            low, high = count_band(n, round(threshold.attainable_fpr * (n + 1)), size)
            inside.append(low <= count <= high)
            alarms, normals = alarms + count, normals + size
    return alarms / normals, float(np.mean(inside))


@functools.cache
def count_band(n: int, rank: int, size: int) -> tuple[float, float]:
    """Where 95 % of the counts of false alarms lie among ``size`` normals (beta-binomial).

    Like ``conformal.rate_band``, for the threshold at this rank of n scores or up to the next.
    """
    from scipy.stats import betabinom

    tail = (1 - LEVEL) / 2
    low = betabinom.ppf(tail, size, rank - 1, n + 2 - rank) if rank > 1 else 0.0
    return float(low), float(betabinom.ppf(1 - tail, size, rank, n + 1 - rank))


def _seeds(rows: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(str(row["seed"]) for row in rows)


def _scores(by_method: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    lines = [
        [method, _seeds(rows)]
        + [spread([row["scores"]["mean"].get(metric) for row in rows]) for metric in METRICS]
        for method, rows in by_method.items()
    ]
    return "Mean over classes, with pictures set aside:\n\n" + markdown(
        ("method", "seeds", *HEADS), lines
    )


def _probes(by_method: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    lines = [
        [method]
        + [spread([row["scores"]["probes"].get(key) for row in rows]) for key in PROBES.values()]
        for method, rows in by_method.items()
    ]
    return "Interference probes:\n\n" + markdown(("method", *PROBES), lines)


def _decisions(by_method: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """All pictures by policy: promised and realised false alarms, and recall."""
    lines = []
    for method, rows in by_method.items():
        for policy in rows[0]["scores"]["decisions"]:
            pooled = [row["scores"]["decisions"][policy]["pooled"] for row in rows]
            cells = [spread([_promise(row, policy) for row in rows])]
            cells += [spread([one[k] for one in pooled]) for k in ("false_alarm_rate", "recall")]
            lines.append([method, policy, *cells])
    heads = ("method", "policy", "promised", "false alarms", "recall")
    return "Decisions on all test pictures:\n\n" + markdown(heads, lines)


def _promise(row: Mapping[str, Any], policy: str) -> float:
    """Promised share of NG among the test normals as they are mixed."""
    if policy == GUESSED:
        return float(sum(row["promised_guessed"]))
    if policy != CLASS_POLICY:
        return float(row["target"])
    counts = {name: len(scores) for name, scores in row["normals"].items()}
    promised = sum(counts[name] * rate for name, rate in row["promised"].items())
    return float(promised / sum(counts.values()))


def _resplits(by_method: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    lines = []
    for method, rows in by_method.items():
        found = [resplit(row) for row in rows]
        promised = spread([_promise(row, CLASS_POLICY) for row in rows])
        lines.append([method, promised, *(spread(list(part)) for part in zip(*found, strict=True))])
    heads = ("method", "promised", "mean rate of false alarms", "counts inside their 95 % band")
    title = f"Calibration and test normals of each class drawn anew, {RESPLITS} times:\n\n"
    return title + markdown(heads, lines)


def _by_class(method: str, rows: Sequence[Mapping[str, Any]]) -> str:
    heads = ("class", "calibration", "promised", "normals", "false alarms", "defects", "recall")
    lines = []
    for name, aside in rows[0]["calibration"].items():
        found = [row["scores"]["decisions"][CLASS_POLICY]["classes"][name] for row in rows]
        promised = spread([row["promised"][name] for row in rows])
        alarms, recall = (
            spread([one[key] for one in found]) for key in ("false_alarm_rate", "recall")
        )
        counts = [str(found[0][key]) for key in ("normals", "defects")]
        lines.append([name, str(len(aside)), promised, counts[0], alarms, counts[1], recall])
    return f"{method} by class, thresholds of the true class:\n\n" + markdown(heads, lines)


if __name__ == "__main__":
    sys.exit(main())

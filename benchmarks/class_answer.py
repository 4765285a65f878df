"""How well the product class of a picture is told, and what is of none, on a labelled data set.

    python benchmarks/class_answer.py run DATA --rows results/NAME.jsonl [--cache FILE.npz]
    python benchmarks/class_answer.py table results/NAME.jsonl

``run`` needs the frozen teacher alone. It sets a fifth of the normal training pictures aside to
calibrate on, learns the classes from the others and answers every test picture; then it leaves out
one class after the other and answers that class's pictures, which are of no class that is left. A
row a seed, which draws the pictures set aside. ``--cache`` keeps what the teacher computed.
"""

import argparse
import json
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality import command_line, commit, hardware, markdown, open_pictures, spread
from snlad.calibration.class_answer import (
    AnswerLimits,
    ClassAnswer,
    choose_pictures,
    find_answer_limits,
    fit_class_answer,
)
from snlad.calibration.confusion import count_answers, find_inseparable

ASIDE = 0.2
BATCH = 16
PARTS = {"normals": "test normals", "defects": "defects"}
LEFT_OUT = {"normals": "test normals", "all": "all pictures"}


def main() -> None:
    """Run or print the benchmark."""

    def add_options(run: argparse.ArgumentParser) -> None:
        run.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
        run.add_argument("--cache", type=Path, help="NPZ file that keeps the teacher's statistics")

    command_line(
        __doc__,
        add_options,
        lambda a: run_all(a.data, a.rows, a.seeds, a.config, a.cache),
        format_tables,
    )


def run_all(
    data: Path, rows: Path, seeds: Iterable[int], config: Path | None, cache: Path | None
) -> None:
    """Append a row for every seed."""
    from snlad.config import read_config
    from snlad.data.holdout import hold_out

    dataset, digest = open_pictures(data)
    normal = dataset.train_normal
    if len({sample.class_name for sample in normal}) < 2:
        sys.exit(f"{data} has one class; give a data set of at least two")
    samples = (*normal, *dataset.test)
    settings = read_config(config, None, None)
    points = find_statistics([sample.path for sample in samples], settings, digest, cache)
    at = {sample: index for index, sample in enumerate(samples)}
    rows.parent.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        kept, aside = ([at[s] for s in part] for part in hold_out(normal, ASIDE, seed))
        row = {
            "seed": seed,
            "data": digest,
            "date": datetime.now(UTC).date().isoformat(),
            "commit": commit(),
            "hardware": hardware(),
            "teacher": settings.teacher.name,
            **measure(
                points,
                [sample.class_name for sample in samples],
                {
                    "learned": kept,
                    "calibration": aside,
                    "normals": [at[s] for s in dataset.test if not s.is_anomalous],
                    "defects": [at[s] for s in dataset.test if s.is_anomalous],
                },
            ),
        }
        with rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"seed {seed}: {rates(row['normals'])['right']:.3f} of the test normals right")


def find_statistics(
    paths: Sequence[Path], settings: Any, digest: str, cache: Path | None
) -> NDArray[np.float32]:
    """Channel statistics (N, D) of every picture, from the cache where it holds just these."""
    import torch

    from snlad.build import build_teacher
    from snlad.cli.progress import show_progress
    from snlad.data.images import to_input
    from snlad.data.inputs import load_inputs
    from snlad.models.statistics import channel_statistics
    from snlad.models.weights import load_pretrained, weights_digest

    torch.manual_seed(settings.seed)  # for a teacher of random weights
    teacher = build_teacher(settings)
    load_pretrained(teacher, settings.teacher.weights)
    kind = channel_statistics.__name__
    of = f"{kind} {digest} {weights_digest(teacher)} {settings.image_size}"
    if cache is not None and cache.exists():
        with np.load(cache) as kept:
            if str(kept["of"]) == of:
                found: NDArray[np.float32] = kept["statistics"]
                return found
    parts = []
    with show_progress(quiet=True) as progress:
        for start in range(0, len(paths), BATCH):
            pixels = load_inputs(paths[start : start + BATCH], settings.image_size)
            parts.append(channel_statistics(teacher(torch.from_numpy(to_input(pixels)))).numpy())
            progress("teacher features", start + len(parts[-1]), len(paths))
    if cache is not None:
        with cache.open("wb") as file:
            np.savez(file, of=of, statistics=np.concatenate(parts))
    return np.concatenate(parts)


def measure(
    points: NDArray[np.float32], names: Sequence[str], parts: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    """Answers with all classes, and with each of them left out.

    Args:
        points: statistics (N, D) of all pictures.
        names: their true classes.
        parts: positions of the pictures ``learned`` from and of the ``calibration``, and of the
            ``normals`` and ``defects`` to test on.
    """
    learned, aside = parts["learned"], parts["calibration"]
    answer, limits, promised = learn(points, names, learned, aside)
    row: dict[str, Any] = {"learned": len(learned), "promised_unknown": promised}
    for part in ("calibration", *PARTS):
        row[part] = {
            name: count(answer, limits, points[members(names, name, parts[part])])
            for name in answer.names
        }
    row["left_out"] = {}
    for name in answer.names:
        others = ([i for i in part if names[i] != name] for part in (learned, aside))
        without, limits, _ = learn(points, names, *others)
        pictures = {"normals": parts["normals"], "all": range(len(names))}
        row["left_out"][name] = {
            part: count(without, limits, points[members(names, name, chosen)])
            for part, chosen in pictures.items()
        }
    return row


def members(names: Sequence[str], name: str, chosen: Iterable[int]) -> list[int]:
    """The chosen pictures of one class."""
    return [i for i in chosen if names[i] == name]


def learn(
    points: NDArray[np.float32], names: Sequence[str], learned: Sequence[int], aside: Sequence[int]
) -> tuple[ClassAnswer, AnswerLimits, float]:
    """Learn and calibrate as training and ``snlad calibrate`` do."""
    chosen = [learned[i] for i in choose_pictures([names[i] for i in learned])]
    answer = fit_class_answer(points[chosen], [names[i] for i in chosen])
    distances = {
        name: answer.distances(points[members(names, name, aside)])
        for name in sorted({names[i] for i in aside})
    }
    return answer, *find_answer_limits(answer.names, distances)


def count(answer: ClassAnswer, limits: AnswerLimits, points: NDArray[np.float32]) -> dict[str, Any]:
    """``n`` pictures and how often each class was answered; the others are unknown."""
    distances = {"": answer.distances(points)}
    return {"n": len(points), "answers": count_answers(limits, answer.names, distances)[""]}


def rates(by_class: Mapping[str, Any]) -> dict[str, float | None]:
    """Shares of the counted pictures, all classes pooled; ``None`` where there is no picture."""
    n = sum(counts["n"] for counts in by_class.values())
    right = sum(counts["answers"].get(name, 0) for name, counts in by_class.items())
    answered = sum(sum(counts["answers"].values()) for counts in by_class.values())
    return {
        "right": right / n if n else None,
        "right among the answered": right / answered if answered else None,
        "unknown": (n - answered) / n if n else None,
    }


def format_tables(rows: list[dict[str, Any]]) -> str:
    """Markdown of the newest data and code: pooled, by class, and what is taken for what."""
    last = rows[-1]
    kept = [row for row in rows if all(row[key] == last[key] for key in ("data", "commit"))]
    rows = list({row["seed"]: row for row in kept}.values())
    seeds = ", ".join(str(row["seed"]) for row in rows)
    promised = spread([row["promised_unknown"] for row in rows], digits=4)
    about = (
        f"Seeds: {seeds}. Date: {last['date']}. Teacher: {last['teacher']}. "
        f"Hardware: {last['hardware']}. Commit: {last['commit']}."
    )
    return "\n\n".join(
        [
            _pooled(rows),
            f"Promised share of unknown normals: {promised}.",
            _inseparable(rows),
            _left_out(rows),
            _by_class(rows),
            _mistaken(rows),
            about,
        ]
    )


def _pooled(rows: list[dict[str, Any]]) -> str:
    kinds = ("right", "right among the answered", "unknown")
    lines = []
    for part, label in PARTS.items():
        found = [rates(row[part]) for row in rows]
        cells = [spread([one[kind] for one in found]) for kind in kinds]
        number = sum(counts["n"] for counts in rows[0][part].values())
        lines.append([label, str(number), *cells])
    return "Pooled over all classes:\n\n" + markdown(["pictures", "number", *kinds], lines)


def _inseparable(rows: list[dict[str, Any]]) -> str:
    """Which classes would share their thresholds, by the pictures set aside."""
    found = []
    for row in rows:
        answers = {name: counts["answers"] for name, counts in row["calibration"].items()}
        totals = {name: counts["n"] for name, counts in row["calibration"].items()}
        groups = (", ".join(group) for group in find_inseparable(answers, totals))
        found.append(f"{'; '.join(groups) or 'none'} (seed {row['seed']})")
    return f"Classes that cannot be told apart: {'. '.join(found)}."


def _left_out(rows: list[dict[str, Any]]) -> str:
    lines = []
    for part, label in LEFT_OUT.items():
        shares = [
            [rates({name: found[part]})["unknown"] for name, found in row["left_out"].items()]
            for row in rows
        ]
        known = [[value for value in values if value is not None] for values in shares]
        cells = [spread([of(values) for values in known]) for of in (statistics.median, min)]
        lines.append([label, *cells])
    heads = ("of a class left out", "unknown, median over classes", "unknown, least")
    return "One class after the other left out:\n\n" + markdown(heads, lines)


def _by_class(rows: list[dict[str, Any]]) -> str:
    heads = ["class"]
    for label in PARTS.values():
        heads += [label, "right", "unknown"]
    heads += [f"left out: {label} unknown" for label in LEFT_OUT.values()]
    lines = []
    for name in rows[0]["left_out"]:
        cells = [name]
        for part in PARTS:
            found = [rates({name: row[part][name]}) for row in rows]
            cells.append(str(rows[0][part][name]["n"]))
            cells += [spread([one[kind] for one in found]) for kind in ("right", "unknown")]
        for part in LEFT_OUT:
            left = [{name: row["left_out"][name][part]} for row in rows]
            cells.append(spread([rates(one)["unknown"] for one in left]))
        lines.append(cells)
    return "By class:\n\n" + markdown(heads, lines)


def _mistaken(rows: list[dict[str, Any]]) -> str:
    """Which class is answered for which, in pictures a seed."""
    heads = [*PARTS, "all"]
    seen: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        left = {name: found["all"] for name, found in row["left_out"].items()}
        for part, by_class in zip(heads, (*(row[part] for part in PARTS), left), strict=True):
            for name, counts in by_class.items():
                for other, count in counts["answers"].items():
                    if other != name:
                        seen[name, other][part] += count
    lines = [
        [*pair, *(f"{counts[part] / len(rows):.1f}" for part in heads)]
        for pair, counts in sorted(seen.items())
    ]
    titles = ("class", "taken for", *PARTS.values(), "all its pictures, itself left out")
    return "Taken for another class, pictures a seed:\n\n" + markdown(titles, lines)


if __name__ == "__main__":
    sys.exit(main())

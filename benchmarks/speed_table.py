"""Markdown of the rows of ``speed.py``: targets, a table a group, and the conditions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from quality import markdown
from speed_list import INFER, LIMITED, NATIVE, PEAK, START, TRAIN
from speed_targets import WHOLE_TRAINING, target_table

Row = Mapping[str, Any]
Pair = Mapping[str, Row]
"""A subject's rows by column."""

NOTHING = "-"


def format_tables(rows: list[dict[str, Any]]) -> str:
    """The newest rows of each group and column; those of a smoke test say so."""
    newest = {(row["group"], row["column"]): row["key"] for row in rows}
    rows = [row for row in rows if newest[row["group"], row["column"]] == row["key"]]
    names = dict.fromkeys(row["group"] for row in rows)
    smoke = ["**A smoke test: these numbers are no measurements.**"]
    return "\n\n".join(
        [
            *(smoke if any(row["quick"] for row in rows) else []),
            "Targets:\n\n" + target_table(rows),
            *(_group(name, [row for row in rows if row["group"] == name]) for name in names),
            _conditions(rows),
        ]
    )


def _group(name: str, rows: Sequence[Row]) -> str:
    """One group: its table, and why what is not there was not measured."""
    if name == WHOLE_TRAINING:
        row = rows[0]
        text = row.get("reason") or f"{row['seconds'] / 60:.1f} minutes, {row['peak_mib']:.0f} MiB"
        return f"{name}, {row['pictures']} pictures: {text}."
    pairs: dict[str, dict[str, Row]] = {}
    for row in rows:
        pairs.setdefault(_label(row), {})[row["column"]] = row
    there = {label: pair for label, pair in pairs.items() if _is_measured(pair)}
    tables = {TRAIN: _training, INFER: _inference, START: _start}
    parts = [f"{name}:", tables[name.rpartition(" ")[2]](there), _notes(rows), _reasons(pairs)]
    return "\n\n".join(part for part in parts if part)


def _is_measured(pair: Pair) -> bool:
    return any("batches" in row for row in pair.values())


def _training(pairs: Mapping[str, Pair]) -> str:
    heads = ("training", "batch", "images/s", "of peak", "step, ms: p50 / p95", "MiB")
    lines = [
        [
            label,
            _best(pair.get(NATIVE), lambda batch, _: batch),
            *_speed(pair, NATIVE, pairs),
            _best(pair.get(NATIVE), lambda _, one: _ms(one)),
            _best(pair.get(NATIVE), lambda _, one: f"{one['peak_mib']}"),
            *_speed(pair, LIMITED, pairs),
        ]
        for label, pair in pairs.items()
    ]
    return markdown((*heads, f"{LIMITED}: images/s", "of its peak"), lines)


def _inference(pairs: Mapping[str, Pair]) -> str:
    heads = ("inference", "batch 1, ms: p50 / p95", "best images/s", "at batch", "of peak", "MiB")
    more = ("first answer, s", f"{LIMITED}: batch 1, ms", "best images/s", "of its peak")
    lines = []
    for label, pair in pairs.items():
        native, limited = pair.get(NATIVE), pair.get(LIMITED)
        speed, share = _speed(pair, NATIVE, pairs)
        start = (native or {}).get("start_s")
        lines.append(
            [
                label,
                _single(native),
                speed,
                _best(native, lambda batch, _: batch),
                share,
                _best(native, lambda _, one: f"{one['peak_mib']}"),
                NOTHING if start is None else f"{start:.1f}",
                _single(limited),
                *_speed(pair, LIMITED, pairs),
            ]
        )
    return markdown((*heads, *more), lines)


def _start(pairs: Mapping[str, Pair]) -> str:
    lines = []
    for label, pair in pairs.items():
        one = pair[NATIVE]["batches"]["1"]
        speed = one["images_per_s"]
        rounds = f"{1 / speed['high']:.2f} to {1 / speed['low']:.2f}"
        lines.append([label, f"{one['ms']['p50'] / 1000:.2f}", rounds, f"{one['peak_mib']}"])
    return markdown(("from a cold process", "median, s", "rounds, s", "MiB"), lines)


def _label(row: Row) -> str:
    subject = row["subject"]
    parts = (subject["name"], subject["runtime"], subject["precision"])
    return ", ".join(part for part in parts if part != NOTHING)


def _best(row: Row | None, cell: Callable[[str, Any], str]) -> str:
    """A cell of the batch with the most images a second."""
    if row is None or "batches" not in row:
        return NOTHING
    return cell(*max(row["batches"].items(), key=lambda one: one[1]["images_per_s"]["median"]))


def _single(row: Row | None) -> str:
    one = (row or {}).get("batches", {}).get("1")
    return _ms(one) if one else NOTHING


def _ms(one: Row) -> str:
    return f"{one['ms']['p50']:.4g} / {one['ms']['p95']:.4g}"


def _speed(pair: Pair, column: str, pairs: Mapping[str, Pair]) -> list[str]:
    """Images a second with their range over the rounds, and their share of the measured peak."""
    row = pair.get(column)

    def cell(_: str, one: Any) -> str:
        speed = one["images_per_s"]
        return f"{speed['median']:.4g} ({speed['low']:.4g} to {speed['high']:.4g})"

    if row is not None and row["subject"]["name"] == PEAK and "batches" in row:
        return [f"{_operations(row) / 1e9:.4g} GFLOP/s", NOTHING]
    peak = _peak(pairs, column, row)
    if row is None or "batches" not in row or not row.get("flops") or peak is None:
        return [_best(row, cell), NOTHING]
    return [_best(row, cell), f"{100 * _operations(row) / peak:.0f} %"]


def _operations(row: Row) -> float:
    """A second, at the best batch."""
    speeds = (one["images_per_s"]["median"] for one in row["batches"].values())
    return float(row["flops"] * max(speeds))


def _peak(pairs: Mapping[str, Pair], column: str, row: Row | None) -> float | None:
    """The measured peak of a row's precision, in operations a second."""
    for pair in pairs.values():
        one = pair.get(column)
        if one is None or row is None or one["subject"]["name"] != PEAK or "batches" not in one:
            continue
        if one["subject"]["precision"] == row["subject"]["precision"]:
            return _operations(one)
    return None


def _reasons(pairs: Mapping[str, Pair]) -> str:
    """Why something is not measured, each reason once a subject."""
    lines = []
    for label, pair in pairs.items():
        found: dict[str, list[str]] = {}
        for column, row in pair.items():
            if "reason" in row:
                found.setdefault(row["reason"], []).append(column)
        lines += [f"- {label} ({', '.join(columns)}): {why}" for why, columns in found.items()]
    return "Not measured:\n\n" + "\n".join(lines) if lines else ""


def _notes(rows: Iterable[Row]) -> str:
    """What our trainings say of the work before and around their steps."""
    lines = []
    for row in rows:
        if row.get("note"):
            parts = [f"{part} {rate:.3g}/s" for part, rate in row["before"].items() if rate]
            lines.append(f"- {_label(row)} ({row['column']}): {'; '.join([row['note'], *parts])}")
    return "\n".join(lines)


def _conditions(rows: Sequence[Row]) -> str:
    """Where the rows come from."""
    machine = rows[-1]["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    dates = sorted(row["date"] for row in rows)
    loads = [row["load"] for row in rows]
    commits = ", ".join(sorted({row["commit"] for row in rows}))
    return (
        f"{machine['processor']} ({', '.join(machine['instructions'])}), {machine['cores']} cores, "
        f"{machine['threads']} threads, {machine['memory_gib']} GiB, {machine['system']}; "
        f"{versions}. Measured {dates[0]} to {dates[-1]}, load before a group {min(loads)} to "
        f"{max(loads)}. Commits: {commits}."
    )

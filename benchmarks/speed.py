"""Speed of training, inference and start-up, ours and anomalib's, side by side in one run.

    python benchmarks/speed.py run DATA --rows results/speed.jsonl [--groups resnet18] [--whole]
    python benchmarks/speed.py table results/speed.jsonl

The subjects of a group live in a process each and take turns (``speed_rounds.py``). Each group is
measured as the machine is, and once more limited to AVX2. ``speed_list.py`` lists the subjects;
docs/performance.md says how they are measured. Rows of a group are appended when it is finished,
and a group that has rows is not measured again, unless something in it failed. Anomalib's subjects
need requirements/bench.txt; without it their rows say so. Nothing is downloaded. ``--whole`` also
trains the default recipe on all of DATA; ``--quick`` tries everything in few and short turns, and
its rows are no measurements.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import speed_commands
from quality import ROOT, command_line, commit, read_rows
from speed_list import (
    ARCHITECTURES,
    DEFAULT,
    LIMITED,
    NATIVE,
    START,
    SWITCHES,
    TRAIN,
    Subject,
    groups,
)
from speed_rounds import LEAST_ROUNDS, Measured, measure
from speed_start import Session, environment, make_models, settings_of, start_subject
from speed_table import format_tables
from speed_targets import WHOLE_TRAINING

SECONDS, QUICK_SECONDS = 40.0, 1.0
"""Of the rounds of a group."""
BUSY = 0.3
"""Load of a machine that does something else; measured times mean little then."""
LIMITED_SHARE = 0.5
"""Of those seconds, where the group is limited to AVX2."""


def main() -> None:
    """Run or print the benchmark."""

    def add_options(run: argparse.ArgumentParser) -> None:
        run.add_argument("--groups", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES)
        run.add_argument("--columns", nargs="+", choices=SWITCHES, default=list(SWITCHES))
        run.add_argument("--seconds", type=float, default=SECONDS, help="of rounds, for a group")
        run.add_argument("--models", type=Path, help="keep the timed models in this folder")
        run.add_argument("--whole", action="store_true", help="also train on all pictures")
        run.add_argument("--quick", action="store_true", help="a smoke test, no measurement")

    command_line(__doc__, add_options, run_all, format_tables)


def run_all(arguments: argparse.Namespace) -> None:
    """Measure every group that has no rows in every column, one after the other."""
    arguments.rows.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        session = Session(
            arguments.data,
            arguments.config,
            arguments.rows,
            arguments.models or Path(folder),
            QUICK_SECONDS if arguments.quick else arguments.seconds,
            1 if arguments.quick else LEAST_ROUNDS,
            arguments.quick,
        )
        if os.getloadavg()[0] > BUSY:
            print(f"the load is {os.getloadavg()[0]:.1f}: other programs run here", file=sys.stderr)
        for column in arguments.columns:
            machine = describe_machine(column)
            if DEFAULT in arguments.groups and column == NATIVE:
                measure_group(
                    session, f"{DEFAULT} {START}", speed_commands.subjects(), column, machine
                )
            for name, subjects in groups(arguments.groups).items():
                measure_group(session, name, subjects, column, machine)
            if arguments.whole and column == NATIVE:
                measure_whole(session, machine)


def describe_machine(column: str) -> dict[str, Any]:
    """What ``speed_machine.py`` says in a column's environment."""
    words = [sys.executable, str(Path(__file__).with_name("speed_machine.py"))]
    said = subprocess.run(
        words, env=environment(column), capture_output=True, text=True, check=True
    )
    described: dict[str, Any] = json.loads(said.stdout.strip().split("\n")[-1])
    return described


def measure_group(
    session: Session,
    name: str,
    subjects: Sequence[Subject],
    column: str,
    machine: Mapping[str, Any],
) -> None:
    """Append the rows of a group, unless they are there."""
    about = describe_row(session, name, column, machine)
    if is_measured(session.rows, about["key"], len(subjects)):
        print(f"{name}, {column}: measured before")
        return
    if not name.endswith(TRAIN):
        make_models(subjects[0].architecture, session)
    print(f"{name}, {column} ...", flush=True)

    def start(subject: Subject) -> Measured:
        return start_subject(subject, session, column, machine)

    seconds = session.seconds * (LIMITED_SHARE if column == LIMITED else 1)
    found = measure(subjects, start, seconds, session.least)
    rows = [
        {**about, "subject": asdict(subject), **fields}
        for subject, fields in zip(subjects, found, strict=True)
    ]
    append(session.rows, rows)


def is_measured(rows: Path, key: str, count: int) -> bool:
    """Whether a group has all of its rows, and none that might be there another time."""
    found = [row for row in read_rows(rows) if row["key"] == key][-count:]
    return len(found) == count and not any(row.get("failed") for row in found)


def measure_whole(session: Session, machine: Mapping[str, Any]) -> None:
    """Append the row of a whole training, unless it is there."""
    about = describe_row(session, WHOLE_TRAINING, NATIVE, machine)
    if is_measured(session.rows, about["key"], 1):
        return
    print(f"{WHOLE_TRAINING} ...", flush=True)
    found = speed_commands.train_whole(session.data, session.config, environment(NATIVE))
    subject = Subject(name="snlad train", task=WHOLE_TRAINING, architecture=DEFAULT)
    append(session.rows, [{**about, "subject": asdict(subject), **found}])


def describe_row(
    session: Session, group: str, column: str, machine: Mapping[str, Any]
) -> dict[str, Any]:
    """What all rows of a group say, and the key by which they are known."""
    from snlad.config import digest
    from snlad.data.opening import open_dataset

    about = {
        "group": group,
        "column": column,
        "pictures": len(open_dataset(session.data).train_normal),
        "settings": digest(settings_of(DEFAULT, session.config))[:8],
        "code": source(),
        "quick": session.quick,
        "machine": dict(machine),
    }
    key = digest([about, session.seconds, session.least])[:16]
    date = datetime.now(UTC).isoformat(timespec="minutes")
    load = round(os.getloadavg()[0], 2)
    return {"key": key, **about, "date": date, "commit": commit(), "load": load}


def source() -> str:
    """Names what is measured: it stays the same where a commit leaves the sources alone."""
    words = ["git", "rev-parse", "--short", "HEAD:src"]
    named = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return named.stdout.strip()


def append(rows: Path, new: Sequence[Mapping[str, Any]]) -> None:
    """Keep the finished rows of a group, all of them at once, and show them."""
    with rows.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(row) + "\n" for row in new))
    for row in new:
        name = " ".join(str(row["subject"][part]) for part in ("name", "runtime", "precision"))
        print(f"  {name}: {shown(row)}", flush=True)


def shown(row: Mapping[str, Any]) -> str:
    """A row's speeds in a few words."""
    if "reason" in row:
        return str(row["reason"])
    if "batches" not in row:
        return f"{row['seconds']:.0f} s, {row['peak_mib']:.0f} MiB"
    speeds = (
        f"{one['images_per_s']['median']:.3g}/s at {batch}" for batch, one in row["batches"].items()
    )
    return ", ".join(speeds)


if __name__ == "__main__":
    sys.exit(main())

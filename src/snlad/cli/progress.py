"""Progress of long work: a bar with the time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from snlad.types import Progress

_SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def show_progress(quiet: bool) -> Iterator[Progress]:
    """A progress display on stderr for the time of the block."""
    if quiet or not sys.stderr.isatty():
        yield _plain_lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, int] = {}

        def show(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done, total=total)  # type: ignore[arg-type] # TaskID is an int

        yield show


def _plain_lines() -> Progress:
    """Lines at most every 15 seconds, and one when a part is done."""
    started: dict[str, float] = {}
    last: dict[str, float] = {}

    def show(label: str, done: int, total: int) -> None:
        now = time.monotonic()
        begin = started.setdefault(label, now)
        if done < total and now - last.setdefault(label, now) < _SECONDS_BETWEEN_LINES:
            return
        last[label] = now
        spent = now - begin
        left = f", {spent / done * (total - done):.0f} s left" if 0 < done < total else ""
        typer.echo(f"{label}: {done}/{total}, {spent:.0f} s{left}", err=True)
        if done == total:  # the same part of the next run starts its own clock
            del started[label], last[label]

    return show

"""The ratios that ``speed.py`` is asked for, each from rows of one group and column."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quality import markdown
from speed_commands import FIRST, HELP
from speed_list import (
    ARCHITECTURES,
    BATCHES,
    BFLOAT16,
    DEFAULT,
    FLOAT32,
    INFER,
    INT8,
    LIMITED,
    LOADER,
    NATIVE,
    ONNX,
    OPENVINO,
    OURS,
    PATCHCORE,
    RD,
    START,
    TEACHER,
    TORCH,
    TRAIN,
    WHOLE,
)

Row = Mapping[str, Any]
WHOLE_TRAINING = "whole training"
RUNTIMES, FLOATS = (ONNX, OPENVINO), (FLOAT32, BFLOAT16)


@dataclass(frozen=True)
class Target:
    """A number that must not be on the wrong side of its limit.

    Attributes:
        what: in words.
        sign: ``>=`` or ``<=``.
        limit: of it.
        of: the number from the rows of one column, ``None`` where something is not measured.
    """

    what: str
    sign: str
    limit: float
    of: Callable[["Rows"], float | None]

    def cell(self, rows: "Rows") -> str:
        """The number, and whether the target is met."""
        number = self.of(rows)
        if number is None:
            return "-"
        met = number >= self.limit if self.sign == ">=" else number <= self.limit
        return f"{number:.3g} ({'met' if met else 'missed'})"


class Rows:
    """The measured rows of one column."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = [row for row in rows if "reason" not in row]

    def best(
        self,
        group: str,
        names: Sequence[str],
        runtimes: Sequence[str] = (TORCH,),
        precisions: Sequence[str] = FLOATS,
    ) -> float | None:
        """Most images a second of these subjects, at whatever batch."""
        return max(
            (
                one["images_per_s"]["median"]
                for row in self._of(group, names, runtimes, precisions)
                for one in row["batches"].values()
            ),
            default=None,
        )

    def ms(self, group: str, name: str, runtime: str, precision: str, batch: int) -> float | None:
        """Median milliseconds of a call."""
        found = self._of(group, (name,), (runtime,), (precision,))
        times = (row["batches"].get(str(batch)) for row in found)
        return next((one["ms"]["p50"] for one in times if one), None)

    def before(self, part: str) -> float | None:
        """Pictures a second of a part of our training before its first step."""
        found = self._of(f"{DEFAULT} {TRAIN}", (OURS,), (TORCH,), FLOATS)
        return max((row.get("before", {}).get(part, 0.0) for row in found), default=0.0) or None

    def whole(self, field: str) -> float | None:
        """Seconds or memory of the whole training."""
        return next((row[field] for row in self._rows if row["group"] == WHOLE_TRAINING), None)

    def _of(
        self,
        group: str,
        names: Sequence[str],
        runtimes: Sequence[str],
        precisions: Sequence[str],
    ) -> list[Row]:
        return [
            row
            for row in self._rows
            if row["group"] == group
            and row["subject"]["name"] in names
            and row["subject"]["runtime"] in runtimes
            and row["subject"]["precision"] in precisions
        ]


def ratio(a: float | None, b: float | None) -> float | None:
    """How many times ``b`` goes into ``a``."""
    return a / b if a is not None and b else None


def targets() -> list[Target]:
    """All of them."""
    return [
        *(one for name in ARCHITECTURES[1:] for one in against_anomalib(name)),
        *against_patchcore(),
        *whole_predictions(),
        *(int8_gain(name) for name in ARCHITECTURES),
        *loaders(),
        Target(f"`{HELP}`, s", "<=", 0.3, lambda rows: _first_s(rows, HELP, "-", "-")),
        *(
            Target(
                f"{FIRST}, {r}, {p}, s",
                "<=",
                2.0,
                lambda rows, r=r, p=p: _first_s(rows, FIRST, r, p),
            )
            for r in RUNTIMES
            for p in (*FLOATS, INT8)
        ),
        Target("whole training, minutes", "<=", 15, lambda rows: ratio(rows.whole("seconds"), 60)),
        Target(
            "whole training, peak memory, GB",
            "<=",
            6,
            lambda rows: ratio(rows.whole("peak_mib"), 1e9 / 2**20),
        ),
    ]


def against_anomalib(architecture: str) -> list[Target]:
    """Times the images a second of anomalib's Reverse Distillation of the same architecture."""
    training, inference = f"{architecture} {TRAIN}", f"{architecture} {INFER}"

    def times(group: str, runtimes: Sequence[str], precisions: Sequence[str]) -> Any:
        return lambda rows: ratio(
            rows.best(group, (OURS,), runtimes, precisions), rows.best(group, (RD,))
        )

    head = f"{architecture}, times {RD}"
    return [
        Target(f"{head}: training", ">=", 4, times(training, (TORCH,), FLOATS)),
        Target(f"{head}: torch", ">=", 3, times(inference, (TORCH,), FLOATS)),
        Target(f"{head}: best float export", ">=", 4.5, times(inference, RUNTIMES, FLOATS)),
        Target(f"{head}: best INT8 export", ">=", 8, times(inference, RUNTIMES, (INT8,))),
    ]


def whole_predictions() -> list[Target]:
    """Decoding to verdict, by the teacher's forward pass in torch, same precision and batch."""
    group = f"{DEFAULT} {INFER}"

    def times(runtime: str, precision: str, batch: int) -> Any:
        return lambda rows: ratio(
            rows.ms(group, WHOLE, runtime, precision, batch),
            rows.ms(group, TEACHER, TORCH, precision, batch),
        )

    return [
        Target(f"whole prediction / teacher, {r}, {p}, batch {b}", "<=", 2, times(r, p, b))
        for r in (TORCH, *RUNTIMES)
        for p in FLOATS
        for b in (1, BATCHES[DEFAULT])
    ]


def against_patchcore() -> list[Target]:
    """The same teacher's PatchCore takes longer for a picture than we do."""
    group = f"{DEFAULT} {INFER}"

    def times(batch: int) -> Any:
        return lambda rows: ratio(
            rows.ms(group, OURS, TORCH, FLOAT32, batch),
            rows.ms(group, PATCHCORE, TORCH, FLOAT32, batch),
        )

    return [
        Target(f"default recipe / {PATCHCORE}, torch, float32, batch {n}", "<=", 1, times(n))
        for n in (1, BATCHES[DEFAULT])
    ]


def int8_gain(architecture: str) -> Target:
    """INT8's throughput by bfloat16's."""
    group = f"{architecture} {INFER}"
    return Target(
        f"{architecture}, INT8 / bfloat16",
        ">=",
        1.5,
        lambda rows: ratio(
            rows.best(group, (OURS,), RUNTIMES, (INT8,)),
            rows.best(group, (OURS,), (TORCH, *RUNTIMES), (BFLOAT16,)),
        ),
    )


def loaders() -> list[Target]:
    """Loading is faster than what it feeds."""
    inference, training = f"{DEFAULT} {INFER}", f"{DEFAULT} {TRAIN}"
    return [
        Target(
            "pictures decoded / pictures that the fastest model takes",
            ">=",
            1,
            lambda rows: ratio(
                rows.best(inference, (LOADER,), ("Pillow",), ("uint8",)),
                rows.best(inference, (OURS,), (TORCH, *RUNTIMES), (*FLOATS, INT8)),
            ),
        ),
        Target(
            "pictures decoded / pictures trained, default recipe",
            ">=",
            1,
            lambda rows: ratio(rows.before("reading pictures"), rows.best(training, (OURS,))),
        ),
    ]


def _first_s(rows: Rows, name: str, runtime: str, precision: str) -> float | None:
    return ratio(rows.ms(f"{DEFAULT} {START}", name, runtime, precision, 1), 1000)


def target_table(rows: Sequence[Row]) -> str:
    """Every target with its number in both columns."""
    columns = [Rows(row for row in rows if row["column"] == one) for one in (NATIVE, LIMITED)]
    lines = [
        [one.what, f"{one.sign} {one.limit:g}", *(one.cell(column) for column in columns)]
        for one in targets()
    ]
    return markdown(("target", "asked", NATIVE, LIMITED), lines)

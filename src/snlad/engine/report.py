"""The report of a run: all that it holds gathered, and one HTML page written.

RUN/report.html   derived from the run's other files; written anew each time
"""

from pathlib import Path

from snlad.artifacts import write_atomically
from snlad.calibration.caveats import warnings
from snlad.data.samples import Dataset
from snlad.engine.findings import KnownRun, find, know_run, require_comparable
from snlad.engine.showing import Showing
from snlad.engine.side_files import SideFiles
from snlad.errors import UsageError
from snlad.predict import load
from snlad.report.findings import Findings
from snlad.report.page import Report, write_page
from snlad.types import Progress, silent

REPORT_FILE = "report.html"


def write_report(
    run: Path,
    out: Path | None = None,
    *,
    data: Dataset | None = None,
    compare: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> Path:
    """Write the report of a run.

    Args:
        run: run or model folder.
        out: file to write; ``RUN/report.html`` by default, which alone is overwritten.
        data: the data set of the evaluation, for pictures and heat maps.
        compare: run of a baseline that was evaluated on the same data.
        device: where pictures are inspected again.
        progress: told how far the work is.

    Returns:
        The file.

    Raises:
        ArtifactError: a model, its calibration or its evaluation is damaged.
        MetricError: the scores of an evaluation are.
        UsageError: the file exists or its folder does not, or the baseline cannot be compared.
    """
    target = _target(run, out)
    report = gather(run, data=data, compare=compare, device=device, progress=progress)
    write_atomically(target, write_page(report).encode())
    return target


def gather(
    run: Path,
    *,
    data: Dataset | None = None,
    compare: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> Report:
    """All that the report of a run tells; see ``write_report``."""
    known = know_run(run, must_be_evaluated=compare is not None)
    baseline = None if compare is None else know_run(compare, must_be_evaluated=True)
    if baseline is not None:
        require_comparable(known, baseline)
    findings: Findings | None = None
    notes: list[str] = []
    if known.table is not None:
        showing = None if data is None else _showing(data, known, baseline, device)
        findings, notes = find(known, baseline, showing, progress)
    card, calibration, side = known.card, known.calibration, SideFiles(run)
    warned = [] if calibration is None else warnings(calibration, card.classes)
    if warned:
        notes.append(
            f"{len(warned)} of {len(card.classes)} classes have too few calibration pictures for "
            "the target: the table of thresholds says what is promised instead"
        )
    return Report(
        title=f"snlad report: {run.resolve().name}",
        method=card.config.method,
        facts=_facts(known),
        trained=card.classes,
        calibration=None if calibration is None else calibration.model_dump(mode="json"),
        findings=findings,
        probes=side.probes(known.identity),
        log=side.log(),
        config=card.config.model_dump(mode="json"),
        versions=side.versions(),
        notes=[*notes, *side.notes],
    )


def _target(run: Path, out: Path | None) -> Path:
    """The file to write, known before any work is done."""
    own = run / REPORT_FILE
    if out is None or out.resolve() == own.resolve():
        return own
    if out.exists():
        raise UsageError(f"--out {out} exists; give another or move it away")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}; make it first")
    return out


def _showing(data: Dataset, run: KnownRun, baseline: KnownRun | None, device: str) -> Showing:
    """What shows pictures with the maps of the baseline, if there is one, and of the run."""
    runs = {f"map, {run.card.config.method}": run.path}
    if baseline is not None:
        runs = {f"baseline map, {baseline.card.config.method}": baseline.path} | runs
    return Showing(data, {head: load(path, device=device) for head, path in runs.items()})


def _facts(run: KnownRun) -> dict[str, str]:
    card = run.card
    height, width = card.config.image_size
    return {
        "method": card.label,
        "model": run.identity[:12],
        "trained": card.created,
        "by snlad": card.snlad,
        "teacher": card.config.teacher.name,
        "input": f"{height} x {width} px",
    }

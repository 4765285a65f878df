"""What an evaluation found, made ready for a report: decisions, histograms and chosen pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from snlad.calibration.record import Calibration, load_calibration
from snlad.engine.evaluation import decide
from snlad.engine.picks import (
    SEED,
    Key,
    Ranks,
    draw_defects,
    key_of,
    largest_gains,
    rank_pictures,
    worst_alarms,
    worst_misses,
)
from snlad.engine.scored import PICTURES_FILE, SCORES_FILE, ScoredPicture, load_scored
from snlad.engine.showing import Showing
from snlad.errors import ArtifactError, DataError, UsageError
from snlad.metrics.decisions import Decision, DecisionTable, decision_table
from snlad.metrics.scores import ScoreTable
from snlad.model_card import ModelCard, find_model, load_card
from snlad.report.findings import Findings
from snlad.report.gallery import Entry
from snlad.report.html import Html
from snlad.types import Progress

_GUESSED = "guessed class threshold"


@dataclass(frozen=True)
class KnownRun:
    """What is known of a run without building its networks.

    Attributes:
        path: run or model folder.
        card: of its model.
        identity: of its model.
        calibration: in force, if there is one.
        table: numbers of the last evaluation, if there is one.
        pictures: its scored pictures.
        data: digest of their files, labels and masks.
    """

    path: Path
    card: ModelCard
    identity: str
    calibration: Calibration | None
    table: ScoreTable | None = None
    pictures: Sequence[ScoredPicture] = ()
    data: str = ""


def know_run(run: Path, *, must_be_evaluated: bool = False) -> KnownRun:
    """Read what a run holds.

    Raises:
        ArtifactError: its model, calibration or evaluation is damaged.
        MetricError: its scores are.
        UsageError: it must be evaluated and is not.
    """
    card, identity = load_card(run)
    calibrated = load_calibration(find_model(run), identity)
    known = KnownRun(run, card, identity, calibrated[0] if calibrated else None)
    is_evaluated = (run / SCORES_FILE).exists() and (run / PICTURES_FILE).exists()
    if not is_evaluated and not must_be_evaluated:
        return known
    scores, pictures = load_scored(run)
    table = ScoreTable.from_dict(scores)
    if set(table.classes) != {one.class_name for one in pictures}:
        raise ArtifactError(
            f"{run}: the classes of {SCORES_FILE} are not those of {PICTURES_FILE}; "
            "write them again with  snlad evaluate RUN DATA"
        )
    return replace(known, table=table, pictures=pictures, data=str(scores["data"]))


def require_comparable(run: KnownRun, baseline: KnownRun) -> None:
    """Let two evaluated runs through that were evaluated alike.

    Raises:
        UsageError: they were evaluated on other data or by other rules.
    """
    assert run.table is not None
    assert baseline.table is not None
    if run.data != baseline.data:
        raise UsageError(
            f"{run.path} and {baseline.path} were evaluated on other files, labels or masks; "
            "evaluate both on the same data"
        )
    if run.table.protocol != baseline.table.protocol:
        raise UsageError(
            f"{run.path} was evaluated by {run.table.protocol} and {baseline.path} by "
            f"{baseline.table.protocol}; compare runs of one protocol"
        )


def find(
    run: KnownRun, baseline: KnownRun | None, showing: Showing | None, progress: Progress
) -> tuple[Findings, list[str]]:
    """The findings of an evaluated run, and one sentence for each thing to know before them.

    Args:
        run: evaluated.
        baseline: a comparable one.
        showing: where pictures are to be shown.
        progress: told how many of them are.
    """
    assert run.table is not None
    pictures, calibration = run.pictures, run.calibration
    decisions, realised, notes = _decide(calibration, pictures)
    ranks = rank_pictures(pictures)
    chosen = {
        "misses": worst_misses(pictures, calibration),
        "alarms": worst_alarms(pictures, calibration),
        "picks": draw_defects(pictures),
    }
    other: Ranks = {}
    if baseline is not None:
        other = rank_pictures(baseline.pictures)
        chosen["gains"], chosen["losses"] = largest_gains(pictures, ranks, other)
    shown = _Shown(showing, [one for part in chosen.values() for one in part], progress)
    if shown.problems:
        notes.append(f"{len(shown.problems)} chosen pictures are not shown; their rows say why")

    def entry(one: ScoredPicture) -> Entry:
        key = key_of(one)
        return Entry(
            path=one.path,
            class_name=one.class_name,
            defect_type=one.defect_type,
            score=one.score,
            threshold=None if calibration is None else calibration.limits(key[0]).threshold,
            rank=ranks.get(key),
            baseline_rank=other.get(key),
            views=shown.views.get(key, {}),
            problem=shown.problems.get(key),
        )

    return Findings(
        table=run.table,
        scores=_group_scores(pictures, calibration),
        decisions=decisions,
        realised=realised,
        heads=() if showing is None else showing.heads,
        uncalibrated=() if showing is None else showing.uncalibrated,
        baseline=_label(baseline),
        seed=SEED,
        **{part: [entry(one) for one in members] for part, members in chosen.items()},
    ), notes


def _label(baseline: KnownRun | None) -> tuple[str, ScoreTable] | None:
    if baseline is None or baseline.table is None:
        return None
    return f"baseline {baseline.card.config.method}", baseline.table


def _decide(
    calibration: Calibration | None, pictures: Sequence[ScoredPicture]
) -> tuple[dict[str, DecisionTable], dict[str, DecisionTable], list[str]]:
    """Decisions by policy, of parts and of pictures, and what to know of them."""
    if calibration is None:
        return {}, {}, []
    decisions, decided = decide(calibration, pictures)
    notes = []
    if not any(one.is_ng for one in pictures):  # nobody asked for the class of a picture either
        decisions.pop(_GUESSED, None)
        notes.append(
            "the run was evaluated before it was calibrated; evaluate again to see what "
            "thresholds of guessed classes decide"
        )
    elif any(one.is_ng != before.is_ng for one, before in zip(decided, pictures, strict=True)):
        notes.append(
            "the thresholds were set anew after the evaluation; decisions here are by those in "
            "force"
        )
    realised = {
        policy: decision_table(
            [
                Decision(one.class_name, one.defect_type, one.is_anomalous, one.is_ng[policy])
                for one in decided
            ]
        )
        for policy in decisions
    }
    return decisions, realised, notes


def _group_scores(
    pictures: Sequence[ScoredPicture], calibration: Calibration | None
) -> dict[str, dict[str, list[float]]]:
    """Scores by class and group; a class without test pictures is left out."""
    groups: dict[str, dict[str, list[float]]] = {}
    for name in sorted({one.class_name for one in pictures}):
        before = [] if calibration is None else calibration.scores.get(name, [])
        groups[name] = {"normal": [], "defect": [], "calibration": before}
    for one in pictures:
        groups[one.class_name]["defect" if one.is_anomalous else "normal"].append(one.score)
    return groups


class _Shown:
    """The views of pictures, each drawn once, and why there are none."""

    def __init__(
        self, showing: Showing | None, pictures: Sequence[ScoredPicture], progress: Progress
    ) -> None:
        self.views: dict[Key, Mapping[str, Html]] = {}
        self.problems: dict[Key, str] = {}
        members = {key_of(one): one for one in pictures}
        for done, (key, one) in enumerate(members.items() if showing else (), start=1):
            assert showing is not None
            try:
                self.views[key] = showing.views(one)
            except DataError as error:
                self.problems[key] = str(error)
            progress("drawing pictures", done, len(members))

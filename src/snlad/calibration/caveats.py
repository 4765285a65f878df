"""What people must be told of a calibration, in sentences."""

from collections.abc import Collection, Sequence

from snlad.calibration.record import Calibration


def warnings(calibration: Calibration, classes: Collection[str]) -> list[str]:
    """One sentence for each class with too few pictures for the target or none, and each group."""
    short = {name: limits for name, limits in calibration.classes.items() if limits.is_short}
    grouped = {name for group in calibration.inseparable for name in group}
    without = sorted(set(classes) - set(calibration.classes) - grouped)
    found = [
        f"class {name} has no calibration picture: it is judged by the pooled threshold"
        for name in without
    ]
    found += [
        f"class {name}: {limits.n} calibration pictures cannot promise {calibration.target_fpr:g}, "
        f"only {1 / (limits.n + 1):.3f}; {round(1 / calibration.target_fpr) - 1} would do"
        for name, limits in short.items()
    ]
    return found + [_warn_inseparable(calibration, group) for group in calibration.inseparable]


def guessed_promise(calibration: Calibration) -> str | None:
    """What is promised where the model answers the class; ``None`` where it does not."""
    rates = calibration.guessed_rates
    if rates is None:
        return None
    alarms, unknown, strayed = rates
    return (
        f"with a guessed class at most {min(sum(rates), 1):.3f} of good pictures are not passed: "
        f"{alarms:.3f} false alarms, {unknown:.3f} of unknown class and {strayed:.3f} taken for "
        "another class, as measured on the calibration pictures"
    )


def _warn_inseparable(calibration: Calibration, group: Sequence[str]) -> str:
    """Name the classes of a group, the confusion that is most frequent, and what is promised."""
    known = [name for name in group if name in calibration.classes]
    n = {name: calibration.classes[name].n for name in known}
    counts = {(a, b): calibration.answers[a].get(b, 0) for a in known for b in group if a != b}
    name, other = max(counts, key=lambda pair: counts[pair] / n[pair[0]])
    promises = (f"{calibration.classes[name].attainable_fpr:.3f} for {name}" for name in known)
    return (
        f"classes {', '.join(group)} cannot be told apart ({counts[name, other]} of {n[name]} "
        f"calibration pictures of {name} are taken for {other}): they share their lowest "
        f"thresholds, which promise {', '.join(promises)}; make them one class if they are one "
        "product"
    )

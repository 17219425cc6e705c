"""What the records of a run say about it: modules that do not learn, updates out of proportion."""

from collections.abc import Sequence
from statistics import fmean

from loray.artifacts.diagnosis import Diagnosis
from loray.train.guard import RECENT, standard_error
from loray.train.journal import Record

OUTGROWN = 1.0
"""Weight-norm ratio above which an adapter outweighs what it is put on."""
NAMED = 4
"""Most modules that a diagnosis names."""


def dead_modules(vitals: Sequence[Record]) -> Diagnosis | None:
    """Modules whose gradient is zero in every record."""
    largest: dict[str, float] = {}
    for record in vitals:
        name = str(record["module"])
        largest[name] = max(largest.get(name, 0.0), float(record["grad_norm"]))
    dead = [name for name, norm in largest.items() if norm == 0.0]
    if not dead:
        return None
    return Diagnosis(
        "dead_modules",
        int(vitals[-1]["step"]),
        f"no gradient has reached {len(dead)} of {len(largest)} adapted modules ({_first(dead)})",
        "they learn nothing: leave them out of method.targets, or see what in the base cuts "
        "them off",
    )


def outgrown(vitals: Sequence[Record]) -> Diagnosis | None:
    """Modules whose learned update is larger than the weight itself, at the last record."""
    step = max((int(record["step"]) for record in vitals), default=0)
    ratios = {
        str(record["module"]): float(record["weight_norm_ratio"])
        for record in vitals
        if record["step"] == step and float(record["weight_norm_ratio"]) > OUTGROWN
    }
    if not ratios:
        return None
    largest = sorted(ratios, key=lambda name: -ratios[name])
    return Diagnosis(
        "outgrown",
        step,
        f"the update of {len(ratios)} module(s) outweighs the frozen weight, up to "
        f"{max(ratios.values()):.1f} times ({_first(largest)})",
        "so much change is rarely called for, and forgets what the base knew: see the scores on "
        "general text, lower the learning rate or method.alpha, or take an earlier checkpoint",
    )


def plateau(losses: Sequence[float]) -> Diagnosis | None:
    """A loss that stopped falling before the run's last quarter."""
    quarter = len(losses) // 4
    if quarter < RECENT:
        return None
    early, late = losses[-2 * quarter : -quarter], losses[-quarter:]
    if fmean(late) < fmean(early) - 2 * standard_error(early, late):
        return None
    return Diagnosis(
        "plateau",
        len(losses),
        f"the loss of the last quarter is {fmean(late):.3f}, that of the quarter before was "
        f"{fmean(early):.3f}: no change beyond its noise",
        "see by the checkpoints' scores whether the last steps were worth it; if those are too "
        "low, a higher method.rank or more data helps rather than more steps",
    )


def findings(losses: Sequence[float], vitals: Sequence[Record]) -> list[Diagnosis]:
    """All that there is to say of a run that is over."""
    return [found for found in (dead_modules(vitals), outgrown(vitals), plateau(losses)) if found]


def _first(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")

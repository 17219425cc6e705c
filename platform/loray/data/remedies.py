"""What to change where one reason takes most rows: the setting that decides, and a better value."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from loray.data.ledger import Ledger
from loray.data.replay import REASON as NOT_DRAWN
from loray.spec.data import DataSpec
from loray.spec.readmit import FINAL, REASONS
from loray.spec.steps import Step

KEPT_BY_VALUE = 0.95
"""Share of the rows rejected for their size that the value in a remedy would keep."""
SETTINGS = {
    "too_few_chars": "min_chars",
    "too_many_chars": "max_chars",
    "mojibake": "max_mojibake",
    "too_few_letters": "min_letters",
    "encoded_blob": "max_encoded_chars",
    "long_word": "max_word_chars",
    "truncated": "keep_open_fences",
    "refusal": "keep_refusals",
    "answer_echoes_prompt": "keep_echoes",
    "repeated_characters": "max_run_chars",
    "looping_end": "max_loops",
    "repeated_lines": "max_repeated_lines",
    "repeated_ngrams": "max_repeated_ngrams",
    "language": "keep",
    "toxicity": "min_score",
    "contaminated": "against",
    "near_duplicate": "threshold",
}
"""The field of its step that decides over a reason."""
_COMPARING = {"exact_duplicate": "exact_duplicates", "near_duplicate": "near_duplicates"}
_KIND_OF = _COMPARING | {reason: kind for kind, reasons in REASONS.items() for reason in reasons}


def counts_of_rejects(ledger: Ledger) -> Counter[str]:
    """Rejected rows by reason; what replay did not need is no fault."""
    return Counter(r for r in ledger.rejected_by if r not in (None, NOT_DRAWN))


def remedies(ledger: Ledger, data: DataSpec) -> Iterator[str]:
    """A sentence on the reason that takes more than half of the rows, or of those rejected."""
    counts = counts_of_rejects(ledger)
    for reason, count in counts.most_common(1):
        if 2 * count > counts.total():
            yield remedy(reason, ledger.size[ledger.rejected_by == reason], data)


def lost_to_one_reason(ledger: Ledger, data: DataSpec) -> Iterator[str]:
    """A sentence if one reason takes more than half of all rows, however many may be lost."""
    for reason, count in counts_of_rejects(ledger).most_common(1):
        if 2 * count > len(ledger.ids):
            share = f"{count} of {len(ledger.ids)} rows ({count / len(ledger.ids):.1%})"
            how = remedy(reason, ledger.size[ledger.rejected_by == reason], data)
            yield f"{share} are rejected as {reason}; {how}"


def remedy(reason: str, sizes: np.ndarray, data: DataSpec) -> str:
    """Which setting decides over a reason, and what to set it to.

    Args:
        sizes: of the rows that it takes; (rows,), zeros where it is not for a size.
    """
    if reason == "too_long":
        value = _enough(sizes)
        how = (
            ""
            if data.sequence.too_long == "cut_prompt"
            else (", or set data.sequence.too_long=cut_prompt to cut long questions")
        )
        return (
            f"{reason} is decided by data.sequence.max_tokens={data.sequence.max_tokens}; these "
            f"rows have {int(sizes.min())} to {int(sizes.max())} tokens: "
            f"data.sequence.max_tokens={value} keeps {KEPT_BY_VALUE:.0%} of them{how}"
        )
    at = _step_that_gives(reason, data.steps)
    if at is None:
        return f"{reason}: {FINAL.get(reason, 'a step of your own rejects them')}"
    place = f"data.steps.{at}"
    if reason not in SETTINGS:
        return f"{reason} is decided by {place} ({data.steps[at].kind}); remove it to keep them"
    place = f"{place}.{SETTINGS[reason]}"
    now = getattr(data.steps[at], SETTINGS[reason])
    if reason in ("too_few_chars", "too_many_chars"):
        value = _enough(sizes) if reason == "too_many_chars" else -_enough(-sizes)
        return (
            f"{reason} is decided by {place}={now}; these rows have {int(sizes.min())} to "
            f"{int(sizes.max())} characters: {place}={value} keeps {KEPT_BY_VALUE:.0%} of them"
        )
    shown = "" if reason == "contaminated" else f"={_written(now)}"
    return f"{reason} is decided by {place}{shown}; change it, or remove the step, to keep them"


def _enough(sizes: np.ndarray) -> int:
    """The least size that this share of them does not exceed."""
    return int(np.sort(sizes)[math.ceil(KEPT_BY_VALUE * len(sizes)) - 1])


def _step_that_gives(reason: str, steps: Sequence[Step]) -> int | None:
    kind = _KIND_OF.get(reason)
    return next((at for at, step in enumerate(steps) if step.kind == kind), None)


def _written(value: object) -> str:
    """A value as YAML has it."""
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(map(str, value))}]"
        case _:
            return str(value)

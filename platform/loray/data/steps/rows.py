"""Stages of the steps that look at one row at a time: whitespace, judgements, the user's own."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias, assert_never

import pyarrow as pa

from loray.data.batch import TURNS, Stage, change_texts, is_in, put, reject, turn_lists
from loray.data.steps.language import find_language
from loray.data.steps.own import Reject, apply, load_function
from loray.data.steps.quality import find_damage
from loray.data.steps.repetition import find_repetition
from loray.data.steps.toxicity import OUR_LIST, find_toxicity, read_words
from loray.data.steps.whitespace import tidy
from loray.models.markup import Turn
from loray.spec.steps import (
    JudgingStep,
    LanguageStep,
    OwnStep,
    QualityStep,
    RepetitionStep,
    RowStep,
    ToxicityStep,
    WhitespaceStep,
)

Judge: TypeAlias = Callable[[Sequence[Turn]], str | None]


def stage_of_rows(step: RowStep) -> Stage:
    """Bind a step's settings to its stage; what its spec names is looked for before any row."""
    match step:
        case WhitespaceStep():
            return partial(tidy_whitespace, max_blank_lines=step.max_blank_lines)
        case OwnStep():
            load_function(step.function)
            return partial(run_own, path=step.function)
        case _:
            return partial(mark_rows, judge=judge_of(step))


def judge_of(step: JudgingStep) -> Judge:
    """The function that gives the reason for which `step` rejects a row, if any."""
    match step:
        case QualityStep():
            return partial(find_damage, rules=step)
        case RepetitionStep():
            return partial(find_repetition, rules=step)
        case LanguageStep():
            return partial(find_language, rules=step)
        case ToxicityStep():
            own = frozenset[bytes]() if step.words is None else read_words(Path(step.words))
            return partial(find_toxicity, words=OUR_LIST.with_words(own), min_score=step.min_score)
        case _:
            assert_never(step)


def tidy_whitespace(batch: pa.Table, *, max_blank_lines: int) -> pa.Table:
    """Tidy every turn's content; see `loray.data.steps.whitespace`."""
    return change_texts(
        batch, "whitespace", lambda texts: [tidy(text, max_blank_lines) for text in texts]
    )


def mark_rows(batch: pa.Table, *, judge: Judge) -> pa.Table:
    """Reject every row for which `judge` has a reason."""
    rows = zip(turn_lists(batch["turns"]), is_in(batch), strict=True)
    return reject(batch, [judge(turns) if alive and turns else None for turns, alive in rows])


def run_own(batch: pa.Table, *, path: str) -> pa.Table:
    """Put every row through the user's function at `path`; note the rows that it changes."""
    function = load_function(path)
    before = batch["turns"].to_pylist()
    after, notes = list(before), batch["changed_by"].to_pylist()
    reasons: list[str | None] = [None] * len(before)
    for at, alive in enumerate(is_in(batch)):
        if not alive:
            continue
        result = apply(function, path, before[at])
        if isinstance(result, Reject):
            reasons[at] = result.reason
        elif result != before[at]:
            after[at] = result
            notes[at] = [*notes[at], "own"]
    batch = put(batch, "turns", pa.array(after, TURNS))
    batch = put(batch, "changed_by", pa.array(notes, pa.list_(pa.string())))
    return reject(batch, reasons)

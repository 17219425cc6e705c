"""The steps of a spec as stages: pure functions from one batch to the next.

Adding a step takes a spec class in the union of `loray.spec.steps`, a stage here and its arm in
`stage_for`; one that looks at one row at a time has them in `loray.data.steps.rows`. A step that
needs the whole corpus (duplicates) leaves what it compares by in a column of its own, and
`loray.data.steps.duplicates` decides once all batches are there.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.data.batch import (
    Stage,
    change_texts,
    is_in,
    offsets_of,
    put,
    put_measures,
    reject,
    spent,
)
from loray.data.sources.decoding import is_blank
from loray.data.sources.records import EMPTY_REASON
from loray.data.steps.control import escape, escape_pattern
from loray.data.steps.credentials import credentials_named
from loray.data.steps.decontamination import EvalIndex, mark_contaminated
from loray.data.steps.minhash import band_column, bands_for, put_bands
from loray.data.steps.pii import entities_named
from loray.data.steps.placeholders import Entities, scrub
from loray.data.steps.readmit import lift
from loray.data.steps.repair import repair
from loray.data.steps.rows import stage_of_rows
from loray.spec.readmit import ReadmitSpec
from loray.spec.steps import (
    ControlTokensStep,
    CredentialsStep,
    DecontaminationStep,
    ExactDuplicatesStep,
    LengthStep,
    NearDuplicatesStep,
    PiiStep,
    Step,
    UnicodeStep,
)

DIGEST_BYTES = 16
DEFINITIONS = frozenset({"tools"})
"""Roles that are not searched for values: what tools are called with and answer is."""


@dataclass(frozen=True)
class StepSetting:
    """What steps need to know beside their own spec."""

    seed: int
    control_texts: tuple[str, ...]
    eval_indexes: Mapping[int, EvalIndex] = field(default_factory=dict)
    """By the place of a decontamination step in the spec."""
    readmit: tuple[ReadmitSpec, ...] = ()


@dataclass(frozen=True)
class Chain:
    """Several stages as one, each timed; empty answers that they leave behind are rejected."""

    named_stages: tuple[tuple[str, Stage], ...]
    readmit: tuple[ReadmitSpec, ...] = ()
    watch: Callable[[str, pa.Table, pa.Table], None] | None = None
    """Is shown every stage's name, and the batch before and after it."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The batch after all stages, their times noted."""
        seconds: dict[str, float] = {}
        for name, stage in self.named_stages:
            before = batch
            with spent(name, seconds):
                batch = lift(before, stage(before), self.readmit)
            if self.watch is not None:
                self.watch(name, before, batch)
        return put_measures(reject_blank(batch), "seconds", seconds)


def chain_of(steps: Sequence[Step], setting: StepSetting) -> Chain:
    """The steps of a spec as one stage."""
    named = ((step.kind, stage_for(step, at, setting)) for at, step in enumerate(steps))
    return Chain(tuple(named), setting.readmit)


def stage_for(step: Step, number: int, setting: StepSetting) -> Stage:  # noqa: PLR0911
    """Bind a step's settings to its stage; the type checker proves that no step is forgotten.

    Args:
        number: the step's place in the spec.
    """
    match step:
        case UnicodeStep():
            return repair_unicode
        case ControlTokensStep():
            return partial(escape_control_tokens, control_texts=setting.control_texts)
        case CredentialsStep() | PiiStep():
            entities = entities_of(step)
            salt = f"loray:{setting.seed}".encode()
            return partial(scrub_values, name=step.kind, entities=entities, salt=salt)
        case LengthStep():
            return partial(mark_length, min_chars=step.min_chars, max_chars=step.max_chars)
        case ExactDuplicatesStep():
            return partial(digest_turns, column=digest_column(number))
        case NearDuplicatesStep():
            bands = bands_for(step.threshold)
            return partial(put_bands, column=band_column(number), bands=bands)
        case DecontaminationStep():
            return partial(mark_contaminated, index=setting.eval_indexes[number])
        case _:  # the type checker proves that only steps over single rows are left
            return stage_of_rows(step)


def digest_column(number: int) -> str:
    """The column in which the exact-duplicates step at place `number` leaves its digests."""
    return f"digest_{number}"


def repair_unicode(batch: pa.Table) -> pa.Table:
    """Repair every turn's content; see `loray.data.steps.repair`."""
    return change_texts(batch, "unicode", lambda texts: [repair(text) for text in texts])


def escape_control_tokens(batch: pa.Table, *, control_texts: Iterable[str]) -> pa.Table:
    """Neutralise control tokens that a row holds as text; see `loray.data.steps.control`."""
    pattern = escape_pattern(control_texts)
    return change_texts(
        batch, "control_tokens", lambda texts: [escape(text, pattern) for text in texts]
    )


def entities_of(step: CredentialsStep | PiiStep) -> Entities:
    """What a step looks for."""
    if isinstance(step, PiiStep):
        return entities_named(step.entities)
    return credentials_named(step.formats)


def scrub_values(batch: pa.Table, *, name: str, entities: Entities, salt: bytes) -> pa.Table:
    """Replace personal data or credentials by placeholders, and note how many of each kind."""
    counts: Counter[str] = Counter()
    batch = change_texts(
        batch,
        name,
        lambda texts: [scrub(text, entities, salt, counts) for text in texts],
        verbatim=DEFINITIONS,
    )
    return put_measures(batch, "found", {f"{name}.{kind}": n for kind, n in counts.items()})


def mark_length(batch: pa.Table, *, min_chars: int, max_chars: int) -> pa.Table:
    """Reject rows whose turns together have too few or too many characters."""
    turns = batch["turns"].combine_chunks()
    lengths = pc.utf8_length(turns.flatten().field("content")).to_numpy(zero_copy_only=False)
    sums = np.concatenate([[0], np.cumsum(lengths)])
    ends = np.cumsum(pc.fill_null(pc.list_value_length(turns), 0).to_numpy(zero_copy_only=False))
    chars = np.diff(sums[np.concatenate([[0], ends]).astype(int)])
    alive = is_in(batch)
    reasons = np.full(len(chars), None, dtype=object)
    reasons[alive & (chars < min_chars)] = "too_few_chars"
    reasons[alive & (chars > max_chars)] = "too_many_chars"
    return reject(batch, list(reasons), sizes=chars.tolist())


def digest_turns(batch: pa.Table, *, column: str) -> pa.Table:
    """A digest of each row's turns in `column`; null where a step has rejected the row before.

    It is taken of each turn's lengths, role and content, so that no two rows look alike.
    """
    turns = batch["turns"].combine_chunks()
    flat = turns.flatten()
    roles, contents = (flat.field(name).cast(pa.binary()) for name in ("role", "content"))
    lengths = np.stack([pc.binary_length(roles), pc.binary_length(contents)], axis=1)
    heads, width = lengths.astype("<i8").tobytes(), 8 * lengths.shape[1]
    fronts = [heads[at : at + width] for at in range(0, len(heads), width)]
    pieces = list(map(b"".join, zip(fronts, roles.to_pylist(), contents.to_pylist(), strict=True)))
    alive, bounds = is_in(batch), offsets_of(turns)
    counts = np.diff(bounds)
    if counts.max(initial=0) > 1:
        rows = [b"".join(pieces[start:end]) for start, end in pairwise(bounds.tolist())]
    else:  # no row has two, so those that have one are in order
        filled = iter(pieces)
        rows = [next(filled) if count else b"" for count in counts.tolist()]
    digests = [
        hashlib.sha256(row).digest()[:DIGEST_BYTES] if is_alive and row else None
        for row, is_alive in zip(rows, alive.tolist(), strict=True)
    ]
    return put(batch, column, pa.array(digests, pa.binary(DIGEST_BYTES)))


def reject_blank(batch: pa.Table) -> pa.Table:
    """Reject rows of which some turn has nothing left to read or to learn."""
    contents = batch["turns"].combine_chunks().flatten().field("content")
    visible = pc.utf8_length(pc.utf8_trim_whitespace(contents))
    if pc.min(visible).as_py() != 0:
        return batch
    blank = (_blank_reason(turns) if turns else None for turns in batch["turns"].to_pylist())
    return reject(batch, list(blank))


def _blank_reason(turns: list[dict[str, str]]) -> str | None:
    return next((EMPTY_REASON[t["role"]] for t in turns if is_blank(t["content"])), None)

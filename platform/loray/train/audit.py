"""Which rows are to blame: those of some steps that cost most, and those that are not sound.

Rows are known by their ids; a sequence that holds several is cut where positions begin anew.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch.distributed as dist

from loray.artifacts.diagnosis import Diagnosis, SuspectRow
from loray.artifacts.tokens import TokenParts
from loray.train.batches import IGNORED, BatchSizes, collate, numbers_of_step
from loray.train.engine import Engine

SHOWN = 8
"""Most rows that a diagnosis names."""
SAMPLE = 2000
"""Sequences that are looked at before training."""
FAULTY_SHARE = 0.01
"""Share of faulty rows from which on it is said."""
END_SHARE = 0.2
"""A token that so many of the answers end with is an end token."""


@dataclass(frozen=True)
class Row:
    """A row, or the piece of one that a sequence holds."""

    id: str
    tokens: dict[str, np.ndarray]
    """`input_ids`, `labels` and `positions`, int64, of equal length."""

    @property
    def targets(self) -> np.ndarray:
        """The tokens that are learned, in order."""
        labels = self.tokens["labels"]
        return np.asarray(labels[labels != IGNORED])

    @property
    def has_prompt(self) -> bool:
        """Whether something is read that is not learned; raw text is learned from its start."""
        return len(self.targets) < len(self.tokens["labels"]) - 1


def rows_of(tokens: TokenParts, number: int) -> Iterator[Row]:
    """The rows of a sequence."""
    sequence = tokens.sequence(number)
    starts = np.flatnonzero(sequence["positions"] == 0)
    ends = [*starts[1:], len(sequence["positions"])]
    for row_id, start, end in zip(tokens.row_ids(number), starts, ends, strict=True):
        yield Row(row_id, {name: values[start:end] for name, values in sequence.items()})


def row_faults(tokens: TokenParts) -> Diagnosis | None:
    """What is wrong with rows of the first part, which is a sample of all; None if little is.

    The dataset's own check refuses such rows; this finds those that were made or changed elsewhere.
    """
    rows = [row for at in range(min(SAMPLE, tokens.sizes[0])) for row in rows_of(tokens, at)]
    found = list(_faults(rows))
    if len(found) < FAULTY_SHARE * len(rows) or not found:
        return None
    seen = ", ".join(f"{why} ({n})" for why, n in Counter(row.why for row in found).most_common(3))
    return Diagnosis(
        "row_faults",
        0,
        f"{len(found)} of the first {len(rows)} rows are not sound: {seen}",
        "mend the source and apply again; an answer that never ends is never learned to end",
        tuple(found[:SHOWN]),
    )


def suspect_rows(
    engine: Engine,
    tokens: TokenParts,
    steps: Iterable[int],
    *,
    seed: int,
    sizes: BatchSizes,
    worker: int,
) -> list[SuspectRow]:
    """Of some steps of the data, the rows that are not sound and those that cost most.

    Every worker must ask: each takes its share, and all get the whole answer.
    """
    numbers = [n for step in steps for n in numbers_of_step(tokens, step, seed=seed, sizes=sizes)]
    rows = [row for n in numbers[worker :: sizes.workers] for row in rows_of(tokens, n)]
    spare = next(iter(rows_of(tokens, numbers[0])))
    costs = _costs(engine, [row for row in rows if len(row.targets)], spare)
    gathered: list[tuple[list[SuspectRow], list[tuple[str, float]]]]
    gathered = [([], [])] * dist.get_world_size()
    dist.all_gather_object(gathered, (list(_faults(rows)), costs))
    shares = gathered[: sizes.workers]  # the other workers of a pipeline took the same rows
    faulty = [row for found, _ in shares for row in found]
    known = {row.id for row in faulty}
    costly = _costly([cost for _, found in shares for cost in found if cost[0] not in known])
    return [*faulty[:SHOWN], *costly][:SHOWN]


def _faults(rows: Sequence[Row]) -> Iterator[SuspectRow]:
    answers = [int(row.targets[-1]) for row in rows if len(row.targets) and row.has_prompt]
    ends = {token for token, n in Counter(answers).items() if n >= END_SHARE * len(answers)}
    seen: dict[bytes, str] = {}
    for row in rows:
        twin = seen.setdefault(row.tokens["input_ids"].tobytes(), row.id)
        if not len(row.targets):
            yield SuspectRow(row.id, "nothing in it is learned")
        elif ends and row.has_prompt and int(row.targets[-1]) not in ends:
            yield SuspectRow(row.id, "its answer does not end with an end token")
        elif twin != row.id:
            yield SuspectRow(row.id, f"the same tokens as row {twin}")


def _costly(costs: list[tuple[str, float]]) -> list[SuspectRow]:
    """Rows whose loss stands out, the highest first; the highest alone if none does."""
    broken = [
        SuspectRow(row, "its loss is no number") for row, cost in costs if not math.isfinite(cost)
    ]
    costs = [(row, cost) for row, cost in costs if math.isfinite(cost)]
    if broken or not costs:
        return broken
    usual = median(cost for _, cost in costs)
    deviation = 1.4826 * median(abs(cost - usual) for _, cost in costs)
    ordered = sorted(costs, key=lambda cost: (-cost[1], cost[0]))
    high = [cost for cost in ordered if cost[1] > usual + max(6 * deviation, 0.5 * usual)]
    words = "its loss is {:.2f} nats a token where {:.2f} is usual among these"
    return [SuspectRow(row, words.format(cost, usual)) for row, cost in high or ordered[:1]]


def _costs(engine: Engine, rows: Sequence[Row], spare: Row) -> list[tuple[str, float]]:
    """What each row costs.

    A worker with fewer rows passes `spare` through as often as it takes: a strategy may put each
    layer together for all workers at once.
    """
    counts = [0] * dist.get_world_size()
    dist.all_gather_object(counts, len(rows))
    costs = [(row.id, _cost(engine, row)) for row in rows]
    for _ in range(max(counts) - len(rows)):
        _cost(engine, spare)
    return costs


def _cost(engine: Engine, row: Row) -> float:
    """Mean loss of a row by itself, nats a target token."""
    batch = collate([row.tokens])
    return sum(engine.losses([batch])) / max(batch.num_targets, 1)

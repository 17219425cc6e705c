"""What each step did to a row: its texts before and after, and who rejected it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from loray.data.batch import is_in
from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.files import find_files
from loray.data.steps.chain import Chain
from loray.spec.data import DataSpec

AROUND = 40
"""Characters that are shown on either side of a difference."""
LONGEST = 160
"""Characters of a difference that are shown."""


class Change(NamedTuple):
    """One turn that a step changed."""

    step: str
    role: str
    before: str
    after: str


@dataclass
class Trace:
    """What happened to rows on their way through a chain, by their ids."""

    changes: dict[str, list[Change]] = field(default_factory=dict)
    rejected_in: dict[str, str] = field(default_factory=dict)
    """The step that rejected a row."""

    def __call__(self, step: str, before: pa.Table, after: pa.Table) -> None:
        """Note what one step did."""
        for at in np.flatnonzero(is_in(before) & ~is_in(after)).tolist():
            self.rejected_in[after["id"][at].as_py()] = step
        if before["turns"].equals(after["turns"]):
            return
        rows = (after["id"].to_pylist(), before["turns"].to_pylist(), after["turns"].to_pylist())
        for row_id, old, new in zip(*rows, strict=True):
            if row_id is not None and old != new:
                self.changes.setdefault(row_id, []).extend(_changes(step, old or [], new or []))


def run_traced(batch: pa.Table, chain: Chain) -> tuple[pa.Table, Trace]:
    """`batch` after the chain, and what each step did."""
    trace = Trace()
    return replace(chain, watch=trace)(batch), trace


def trace_again(rows: Iterable[Mapping[str, Any]], data: DataSpec, chain: Chain) -> Trace:
    """Put rows of a dataset through the steps again, from the sources.

    Each file is read up to the last of its rows. A row whose source changed has another id and is
    not found.

    Raises:
        SourceError: a file is missing.
    """
    files = {file.key: file for file in find_files(data)}
    trace = Trace()
    traced = replace(chain, watch=trace)
    for source, members in groupby(sorted(rows, key=itemgetter("source")), itemgetter("source")):
        if source in files:
            wanted = {row["id"] for row in members}
            for batch in _batches_with(wanted, cut_into_blocks([files[source]])):
                traced(batch)
    return trace


def excerpts(before: str, after: str) -> tuple[str, str]:
    """The part in which two texts differ, with a little of what is around it."""
    shorter = min(len(before), len(after))
    same = zip(before, after, strict=False)
    start = next((at for at, (a, b) in enumerate(same) if a != b), shorter)
    rest = shorter - start
    ends = zip(reversed(before), reversed(after), strict=False)
    tail = next((at for at, (a, b) in enumerate(ends) if a != b or at >= rest), rest)
    return _excerpt(before, start, len(before) - tail), _excerpt(after, start, len(after) - tail)


def _batches_with(wanted: Collection[str], blocks: Iterable[Any]) -> Iterable[pa.Table]:
    """The rows that are wanted, batch by batch, until all are found."""
    left = set(wanted)
    for block in blocks:
        for batch in read_block(block):
            mask = [row_id in left for row_id in batch["id"].to_pylist()]
            if any(mask):
                found = batch.filter(pa.array(mask))
                left -= set(found["id"].to_pylist())
                yield found
            if not left:
                return


def _changes(
    step: str, before: Sequence[Mapping[str, str]], after: Sequence[Mapping[str, str]]
) -> list[Change]:
    """The turns that differ; turns that a step adds or takes away face nothing."""
    nothing: Mapping[str, str] = {"role": "", "content": ""}
    longest = max(len(before), len(after))
    old = [*before, *[nothing] * (longest - len(before))]
    new = [*after, *[nothing] * (longest - len(after))]
    return [
        Change(step, b["role"] or a["role"], a["content"], b["content"])
        for a, b in zip(old, new, strict=True)
        if a != b
    ]


def _excerpt(text: str, start: int, end: int) -> str:
    first, last = max(start - AROUND, 0), min(end + AROUND, len(text))
    last = min(last, first + LONGEST + 2 * AROUND)
    return f"{'...' if first else ''}{text[first:last]}{'...' if last < len(text) else ''}"

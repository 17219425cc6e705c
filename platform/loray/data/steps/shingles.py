"""The shingles of a row: what near duplicates are compared by.

A shingle is three words in a row, within one turn, with a mark of the role before the turn's first
word and a mark of the end after its last. So a turn of `n` words has `n` shingles, a turn of one
word has one, and a turn without words has none. The shingles of a row are those of all its turns,
as a set: the order of turns and repeated passages do not count. The same words are one shingle in
an answer and another elsewhere, and one before the last question and another from there on; its
two lowest bits say which. What stands before the last question (system turns, definitions of
tools, earlier turns) is context: rows that share nothing else are no duplicates.

Three words suit short instructions: two rows of one template that differ in a number share few of
their shingles, where runs of three characters would call them equal.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.data.ids import scramble
from loray.data.steps.words import SLICE_CHARS, runs_of, words_of

END = np.uint64(0xD1B54A32D192ED03)
PLACES = np.array([0, 0x8EBC6AF09C88C6E3, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
IN_ANSWER, IN_CONTEXT = np.uint64(1), np.uint64(2)
"""Bits of a shingle that say where it stands."""
CONTEXT_ROLES = frozenset({"system", "tools"})
"""Whose turns are context wherever they stand."""
SECOND, THIRD = np.uint64(0xA0761D6478BD642F), np.uint64(0xE7037ED1A0B428DB)
"""Odd factors that tell a shingle's words apart by their places."""


@dataclass(frozen=True)
class Shingles:
    """Shingles of some rows: those of row `r` are `hashes[starts[r]:starts[r + 1]]`."""

    hashes: np.ndarray
    """uint64; in the order of the text, with repeats."""
    starts: np.ndarray
    """One more than there are rows."""

    def chosen(self, is_chosen: np.ndarray) -> "Shingles":
        """Some of the shingles of each row."""
        before = np.concatenate([[0], np.cumsum(is_chosen)])
        return Shingles(self.hashes[is_chosen], before[self.starts])

    def as_sets(self) -> "Shingles":
        """Those of each row in order, each once."""
        hashes = self.hashes.copy()
        for start, end in pairwise(self.starts.tolist()):
            hashes[start:end].sort()
        is_first = np.ones(len(hashes), dtype=bool)
        np.not_equal(hashes[1:], hashes[:-1], out=is_first[1:])
        is_first[self.starts[:-1][np.diff(self.starts) > 0]] = True
        return Shingles(hashes, self.starts).chosen(is_first)

    def outside_context(self) -> "Shingles":
        """Those of the last question and what follows it."""
        is_outside = (self.hashes & IN_CONTEXT) == 0
        return self if is_outside.all() else self.chosen(is_outside)


def shingle(turns: pa.ListArray) -> Shingles:
    """The shingles of each row of a column of turns; none where turns are null."""
    bounds = row_bounds(turns)
    flat = turns.flatten()
    texts, roles = flat.field("content").to_pylist(), flat.field("role").to_pylist()
    places = _places(roles, bounds)
    sizes = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1
    hashes, counts = [np.empty(0, dtype=np.uint64)], [np.empty(0, dtype=np.int64)]
    for start, end in runs_of(sizes, SLICE_CHARS):
        found, count = _shingle_texts(texts[start:end], roles[start:end], places[start:end])
        hashes.append(found)
        counts.append(count)
    before = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return Shingles(np.concatenate(hashes), before[bounds])


def start_of_exchange(roles: Sequence[str]) -> int:
    """The turn in which the last question that has an answer begins; 0 where nothing is asked."""
    num_before = len(roles)
    if "assistant" in roles:
        num_before -= roles[::-1].index("assistant")
    is_question = [role == "user" for role in roles[:num_before]]
    if not any(is_question):
        return 0
    at = num_before - 1 - is_question[::-1].index(True)
    while at > 0 and is_question[at - 1]:
        at -= 1
    return at


def row_bounds(turns: pa.ListArray) -> np.ndarray:
    """Where each row's turns begin in `turns.flatten()`, and where the last one's end."""
    lengths = pc.fill_null(pc.list_value_length(turns), 0).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths)])


def _places(roles: list[str], bounds: np.ndarray) -> np.ndarray:
    """Where each turn stands, as the two lowest bits of its shingles."""
    places = np.array([role == "assistant" for role in roles], dtype=np.uint64)
    places[[at for at, role in enumerate(roles) if role in CONTEXT_ROLES]] |= IN_CONTEXT
    for row in np.flatnonzero(np.diff(bounds) > 2):
        start, end = bounds[row : row + 2]
        places[start : start + start_of_exchange(roles[start:end])] |= IN_CONTEXT
    return places


def _shingle_texts(
    texts: list[str], roles: list[str], places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The shingles of single turns, and how many each has."""
    words = words_of(texts, with_symbols=True)
    counts = np.bincount(words.text, minlength=len(texts))
    first = np.cumsum(counts) - counts + 2 * np.arange(len(texts))
    marked = np.empty(len(words.hashes) + 2 * len(texts), dtype=np.uint64)
    marked[first] = _role_marks(roles)
    marked[first + counts + 1] = END
    at = np.arange(len(words.hashes)) + np.repeat(2 * np.arange(len(texts)) + 1, counts)
    marked[at] = words.hashes
    joined = marked[1:-1] * SECOND
    joined += marked[:-2]
    joined += marked[2:] * THIRD
    joined = joined[at - 1] + np.repeat(PLACES[places.astype(np.intp)], counts)
    return scramble(joined) & ~(IN_ANSWER | IN_CONTEXT) | np.repeat(places, counts), counts


def _role_marks(roles: list[str]) -> np.ndarray:
    crc = {role: zlib.crc32(role.encode()) for role in set(roles)}
    return scramble(np.array([crc[role] for role in roles], dtype=np.uint64))

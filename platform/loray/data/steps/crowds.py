"""What a row says of its own, and what all rows around it say: the test that templates need.

Thousands of rows may share one long instruction, a document or a form. Each is then nearly equal
to each other by its words, and yet says something of its own. So of two rows that are alike, what
they share with most of their crowds (`loray.data.steps.candidates`) does not count: the rest must
be alike too.

A copy of a much copied row is the other case: there the shared text is all there is, and each copy
lacks what was changed in it. So a row's own shingles are taken for changes, which are no reason to
keep it, where no other row has them and most rows have others in their place.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from loray.data.steps.candidates import Crowds
from loray.data.steps.shingles import IN_ANSWER

CHANGED_FOR_LOST = 3
"""New shingles for each that is lost, at most, for changes of a copy. A word that is changed costs
three and brings three, fewer where the text repeats itself; one that is put in costs two."""


class Seen(NamedTuple):
    """How a row looks to its crowd."""

    counts: np.ndarray
    """Members that have it, for each of the row's shingles."""
    num_missing: int
    """Shingles of most members that the row lacks."""


@dataclass(frozen=True)
class OwnParts:
    """The own parts of rows, compared pair by pair."""

    crowds: Crowds
    set_of: Callable[[int], np.ndarray]
    """The shingles of a row, in order, each once."""
    with_answers: bool
    """Whether what is said in answers counts."""
    _members: dict[int, list[int]] = field(default_factory=dict)
    _seen: dict[int, Seen] = field(default_factory=dict)

    def similarity(self, one: int, other: int) -> float:
        """The Jaccard similarity of what two rows say of their own; 1 where there is nothing."""
        shares = self._share_of(one, other), self._share_of(other, one)
        return 1 / (1 / shares[0] + 1 / shares[1] - 1) if all(shares) else 0.0

    def _share_of(self, row: int, mate: int) -> float:
        """The share of what a row says of its own that `mate` says too."""
        members = self._members.get(row)
        if members is None:
            members = self._members[row] = self.crowds.of(row)
        num_others = len(members) - (mate in members)
        if num_others == 0:
            return 1.0
        counts, num_missing = self._seen_by_its_crowd(row, members)
        shingles = self.set_of(row)
        is_shared = is_among(shingles, self.set_of(mate))
        if mate in members:
            counts = counts - is_shared
        is_own = 2 * counts <= num_others
        if not self.with_answers:
            is_own &= (shingles & IN_ANSWER) == 0
        is_alone = is_own & ~is_shared
        num_alone = int(np.count_nonzero(is_alone))
        if num_alone <= CHANGED_FOR_LOST * num_missing and 2 * counts[is_alone].sum() < num_alone:
            return 1.0
        num_shared = int(np.count_nonzero(is_own & is_shared))
        return num_shared / (num_shared + num_alone) if num_alone else 1.0

    def _seen_by_its_crowd(self, row: int, members: list[int]) -> Seen:
        if row not in self._seen:
            shingles = self.set_of(row)
            nothing = np.empty(0, dtype=np.uint64)
            every = np.concatenate([nothing, *map(self.set_of, members)])
            place = shingles.searchsorted(every)
            if len(shingles):
                is_had = shingles.take(place, mode="clip") == every
            else:
                is_had = np.zeros(len(every), dtype=bool)
            counts = np.bincount(place[is_had], minlength=len(shingles))
            _, others = np.unique(every[~is_had], return_counts=True)
            num_missing = int(np.count_nonzero(2 * others > len(members)))
            self._seen[row] = Seen(counts, num_missing)
        return self._seen[row]


def is_among(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which values are among the known ones, which are in order."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    return np.asarray(known.take(known.searchsorted(values), mode="clip") == values)

"""Token sequences into training sequences: best-fit decreasing.

Each sequence, the longest first, goes where it leaves the least room; a new pack is begun where it
fits nowhere. Source: Johnson, "Near-optimal bin packing algorithms", 1973 (at most 11/9 of the
fewest packs possible, and in practice a percent or two over the sum of lengths).
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable

import numpy as np

from loray.data.ids import mix
from loray.data.ledger import Ledger


def place_sequences(ledger: Ledger, *, max_tokens: int, is_packing: bool, seed: int) -> int:
    """Give every used sequence its pack and its place; the number of packs.

    Packs come in a seeded order that does not depend on their lengths, so that any part of
    the files is a sample of all.
    """
    sequences = ledger.sequences
    used = np.flatnonzero(sequences.is_used & ledger.is_kept[sequences.row])
    used = used[np.argsort(-sequences.length[used], kind="stable")]  # ties stay in order of id
    lengths = sequences.length[used]
    packs = best_fit(lengths.tolist(), max_tokens) if is_packing else np.arange(len(used))
    num_packs = int(packs.max()) + 1 if len(packs) else 0
    # A pack's first sequence is its longest, and the first of its number in `used`.
    _, firsts = np.unique(packs, return_index=True)
    rows, numbers = sequences.row[used[firsts]], sequences.number[used[firsts]]
    rank = np.empty(num_packs, dtype=np.int64)
    rank[np.argsort(mix(ledger.ids[rows] + numbers.astype("u8"), seed), kind="stable")] = np.arange(
        num_packs
    )
    packs = rank[packs]
    order = np.argsort(packs, kind="stable")
    sequences.pack[used] = packs
    sequences.place[used[order]] = np.arange(len(used))
    return num_packs


def best_fit(lengths: Iterable[int], capacity: int) -> np.ndarray:
    """The pack of each sequence; `lengths` in the order in which they are to be placed."""
    packs: list[int] = []
    rooms: list[int] = []  # the different amounts of room that begun packs have, sorted
    begun: dict[int, deque[int]] = {}  # room to the packs that have it, oldest first
    num_packs = 0
    for length in lengths:
        at = bisect_left(rooms, length)
        if at == len(rooms):
            pack, room = num_packs, capacity
            num_packs += 1
        else:
            room = rooms[at]
            pack = begun[room].popleft()
            if not begun[room]:
                del rooms[at], begun[room]
        packs.append(pack)
        left = room - length
        if left not in begun:
            insort(rooms, left)
            begun[left] = deque()
        begun[left].append(pack)
    return np.asarray(packs, dtype=np.int64)

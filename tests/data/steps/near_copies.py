"""Rows and copies of them, more or less changed, and a plain account of how like they are.

`python -m tests.data.steps.near_copies` runs at full size and prints what it found.
"""

import json
import random
import re
import time
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from loray.data.batch import ROWS
from loray.data.steps.candidates import Crowds
from loray.data.steps.minhash import bands_for, put_bands
from loray.data.steps.near_duplicates import find_originals
from loray.data.steps.similarity import Rule, compare_here

ALL = Rule(0.8, by_answers=False)
SYMBOLS = re.escape("#%&*/@\\-+<=>|~^$`")


def plain_shingles(texts: Sequence[str]) -> set[tuple[str, ...]]:
    """Of ASCII turns: user and assistant by turns."""
    found = set()
    context = (len(texts) - 1) // 2 * 2 - 2 * (len(texts) > 1 and len(texts) % 2)  # turns before
    for at, text in enumerate(texts):
        words = re.findall(rf"\w+|[{SYMBOLS}]", text.lower()) or list("".join(text.split()))
        marked = ["begin>", *words, "<end"]
        place = (str(at % 2), str(at < context))
        found |= {(*place, *marked[n : n + 3]) for n in range(len(words))}
    return found


def plain_jaccard(one: Sequence[str], other: Sequence[str], turns: str = "01") -> float:
    """Of all turns, or of some: "1" for the answers."""
    a, b = ({s for s in plain_shingles(texts) if s[0] in turns} for texts in (one, other))
    return len(a & b) / len(a | b) if a | b else 1.0


def planted(count: int, seed: int, num_words: int = 120) -> list[tuple[list[str], list[str]]]:
    """Pairs of rows of which the second has up to a tenth of its words changed or left out."""
    draw = random.Random(seed)
    found = []
    while len(found) < count:
        words = [f"w{draw.randrange(5000)}" for _ in range(draw.randrange(24, num_words * 2))]
        changed = list(words)
        for _ in range(round(len(words) * draw.choice([0, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1]))):
            at = draw.randrange(len(changed))
            changed[at : at + 1] = draw.choice([[], [f"w{draw.randrange(5000)}"]])
        cut = len(words) // 3
        pair = ([" ".join(w[:cut]), " ".join(w[cut:])] for w in (words, changed))
        one, other = pair
        if plain_jaccard(one, other) >= 0.7:
            found.append((one, other))
    return found


def rows_of(conversations: Sequence[Sequence[str] | None], seed: int = 0) -> pa.Table:
    """A batch; ids are drawn by the seed, so that order in the batch is not order of id."""
    ids = random.Random(seed).sample(range(2**60), len(conversations))
    roles = ("user", "assistant")
    rows = [
        {
            "id": f"{row_id:016x}",
            "turns": texts
            and [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)],
            "rejected_by": None if texts is not None else "malformed_json",
        }
        for row_id, texts in zip(ids, conversations, strict=True)
    ]
    return pa.Table.from_pylist([*rows, {"id": None}], ROWS)


class Decision:
    """What becomes of a table of rows, cut into batches of some size."""

    def __init__(self, table: pa.Table, rule: Rule = ALL, batch_rows: int = 1000) -> None:
        bands = bands_for(rule.threshold)
        cut = [table.slice(at, batch_rows) for at in range(0, table.num_rows, batch_rows)]
        began = time.process_time()
        cut = [put_bands(batch, column="bands_0", bands=bands) for batch in cut]
        self.sketch_seconds = time.process_time() - began
        whole = pa.concat_tables(cut).combine_chunks()
        rows = whole.filter(whole["id"].is_valid()).sort_by("id")
        self.ids = np.array([int(digits, 16) for digits in rows["id"].to_pylist()], dtype=np.uint64)
        self.has_keys = np.asarray(rows["bands_0"].is_valid(), dtype=bool)
        keys = b"".join(rows["bands_0"].drop_null().to_pylist())
        self.keys = np.frombuffer(keys, dtype="<u4").reshape(-1, bands.num_bands)
        self.num_compared = 0
        at = np.flatnonzero(self.has_keys)

        def likeness(pairs: np.ndarray, crowds: Crowds) -> np.ndarray:
            self.num_compared += len(pairs)
            among = crowds.renamed(at)
            return compare_here(lambda stage: map(stage, cut), self.ids, at[pairs], among, rule)

        began = time.process_time()
        originals, self.similarity = find_originals(self.keys, likeness)
        self.decide_seconds = time.process_time() - began
        self.kept = dict(zip(self.ids.tolist(), self.ids.tolist(), strict=True))
        self.kept.update(zip(self.ids[at].tolist(), self.ids[at[originals]].tolist(), strict=True))

    def of(self, table: pa.Table) -> list[int]:
        """For each row of `table`, in its order, the place there of the row kept in its stead."""
        ids = [int(digits, 16) for digits in table["id"].to_pylist() if digits is not None]
        place = {row_id: at for at, row_id in enumerate(ids)}
        return [place[self.kept[row_id]] for row_id in ids]


def scores(num_pairs: int, seed: int = 0, threshold: float = 0.8) -> dict[str, float]:
    """Recall and precision on planted pairs, and rows a second on one core."""
    pairs = planted(num_pairs, seed)
    table = rows_of([row for pair in pairs for row in pair], seed)
    decision = Decision(table, Rule(threshold, by_answers=False))
    stands_for = decision.of(table)
    found = [stands_for[2 * at] == stands_for[2 * at + 1] for at in range(num_pairs)]
    true = [plain_jaccard(*pair) >= threshold for pair in pairs]
    hits = sum(f and t for f, t in zip(found, true, strict=True))
    num_joined = sum(kept != at for at, kept in enumerate(stands_for))
    return {
        "pairs": num_pairs,
        "true": sum(true),
        "recall": hits / sum(true),
        "precision": hits / num_joined,
        "rows_per_second_sketched": 2 * num_pairs / decision.sketch_seconds,
        "rows_per_second_decided": 2 * num_pairs / decision.decide_seconds,
        "compared": decision.num_compared,
    }


if __name__ == "__main__":
    print(json.dumps(scores(5000), indent=2))

"""How much of the replay source is used: an exact share of the tokens that are learned."""

import numpy as np

from loray.data.ids import mix
from loray.data.ledger import Ledger
from loray.errors import DatasetError

REASON = "not_drawn"
"""Rows that are sound but not needed; they do not count against `max_rejected`."""


def draw_replay(ledger: Ledger, *, fraction: float, seed: int) -> None:
    """Use as many replay sequences, in a seeded order, as bring their share nearest to `fraction`.

    The share is of target tokens, replay's among all; it is off by half a sequence at most.

    Raises:
        DatasetError: the replay source is too small.
    """
    sequences = ledger.sequences
    targets = sequences.num_targets
    is_task = ledger.in_training("task")[sequences.row]
    candidates = np.flatnonzero(ledger.in_training("replay")[sequences.row])
    wanted = fraction / (1 - fraction) * targets[is_task].sum()
    keys = mix(
        ledger.ids[sequences.row[candidates]] + sequences.number[candidates].astype("u8"), seed
    )
    order = candidates[np.argsort(keys, kind="stable")]
    sums = np.concatenate([[0], np.cumsum(targets[order])])
    num_drawn = int(np.abs(sums - wanted).argmin())
    if sums[-1] < wanted and num_drawn == len(order):
        _refuse_if_far(int(sums[-1]), wanted, fraction, targets[order])
    drawn = order[:num_drawn]
    sequences.is_used[candidates] = False
    sequences.is_used[drawn] = True
    is_needed = np.zeros(len(ledger.ids), dtype=bool)
    is_needed[sequences.row[drawn]] = True
    ledger.rejected_by[ledger.in_training("replay") & ~is_needed] = REASON


def _refuse_if_far(held: int, wanted: float, fraction: float, targets: np.ndarray) -> None:
    """Being short by less than half of the longest sequence is as near as whole ones come."""
    longest = int(targets.max()) if len(targets) else 0
    if wanted - held > longest / 2:
        most = held / (held + wanted * (1 - fraction) / fraction)
        raise DatasetError(
            f"data.replay holds {held} target tokens for training, but its fraction {fraction} "
            f"takes {wanted:.0f}; bring more replay text, or set the fraction to "
            f"{most:.4f} or less"
        )

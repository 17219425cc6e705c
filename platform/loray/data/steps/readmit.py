"""Rejections that the spec's rules lift, right after the step that made them."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa

from loray.data.batch import is_in, put
from loray.spec.readmit import ReadmitSpec

NAME = "readmitted"
"""How such a row says so in `changed_by`."""


def lift(before: pa.Table, after: pa.Table, rules: Sequence[ReadmitSpec]) -> pa.Table:
    """`after` a step, without the rejections that a rule covers.

    Args:
        before: the same batch as the step got it.
    """
    if not rules:
        return after
    rejected = np.flatnonzero(is_in(before) & ~is_in(after))
    lifted = [at for at in rejected.tolist() if _is_covered(after, at, rules)]
    if not lifted:
        return after
    reasons, notes = after["rejected_by"].to_pylist(), after["note"].to_pylist()
    changed_by = after["changed_by"].to_pylist()
    for at in lifted:
        reasons[at], notes[at] = None, before["note"][at].as_py()
        changed_by[at] = [name for name in changed_by[at] if name != NAME] + [NAME]
    after = put(after, "rejected_by", pa.array(reasons, pa.string()))
    after = put(after, "note", pa.array(notes, pa.string()))
    return put(after, "changed_by", pa.array(changed_by, pa.list_(pa.string())))


def _is_covered(batch: pa.Table, at: int, rules: Sequence[ReadmitSpec]) -> bool:
    row_id, source, reason = (batch[n][at].as_py() for n in ("id", "source", "rejected_by"))
    return any(
        rule.reason == reason
        and fnmatchcase(source, rule.source)
        and (rule.ids is None or row_id in rule.ids)
        for rule in rules
    )

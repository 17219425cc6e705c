"""A recipe's fingerprint: the first 12 hex digits of the SHA-256 of its canonical JSON."""

import hashlib
import json


def canonical_json(value: object) -> str:
    """The one JSON text of `value`: sorted keys, no spaces, ASCII, NaN refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: object) -> str:
    """12 hex digits that differ whenever the canonical JSON of `value` differs."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]

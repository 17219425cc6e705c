"""Bytes of a number, and tokens of a pass: what every count of memory multiplies."""

from loray.spec.run import RunSpec

WIDTH = {"bfloat16": 2, "float32": 4}
"""Bytes of a number."""


def tokens_per_pass(spec: RunSpec) -> int:
    """Tokens that a worker passes through the model at once, at most."""
    return spec.train.batch.micro_size * spec.data.sequence.max_tokens

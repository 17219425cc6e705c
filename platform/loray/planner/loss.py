"""The blocks in which the loss makes its logits, and what they take.

`loray.train.linear_cross_entropy` makes blocks of `positions_at_once`, as planned here.
"""

from loray.planner.architecture import Architecture
from loray.planner.widths import WIDTH, tokens_per_pass
from loray.spec.run import RunSpec

LOGIT_BYTES = {"bfloat16": 6, "float32": 4}
"""Of a logit: float32, its gradient in the same place; and in the type of computation."""
SLOPE_BYTES = 4
"""Of a logit that is capped, the slope of its cap, float32."""
LOGITS_AT_ONCE = {"cpu": 2**22, "gpu": 2**25}
"""Logits of a block of positions; more of them are no faster on a CPU, and fill a GPU."""
MORE_WHERE_IT_LEARNS = 4
"""As many times so many, since every block is added to the gradient of the whole projection."""
FEWEST_POSITIONS = 64
"""Positions of a block, however large the vocabulary; fewer make thin products."""


def positions_at_once(vocabulary: int, *, on_gpu: bool, learns: bool) -> int:
    """Positions whose logits are there together.

    Args:
        learns: whether the projection does.
    """
    logits = LOGITS_AT_ONCE["gpu" if on_gpu else "cpu"] * (MORE_WHERE_IT_LEARNS if learns else 1)
    return max(FEWEST_POSITIONS, logits // vocabulary)


def loss_bytes(spec: RunSpec, shape: Architecture, in_flight: int = 1) -> float:
    """Of a block of logits, and of what the loss gives back to the decoder and the projection.

    Args:
        in_flight: micro-batches that wait to go back at once.
    """
    if not shape.has_head:
        return 0.0
    width, tokens = WIDTH[spec.base_model.dtype], tokens_per_pass(spec)
    on_gpu = bool(spec.resources.gpus_per_worker)
    learns = spec.method.kind == "full" or "lm_head" in spec.method.modules_to_save
    block = min(tokens, positions_at_once(shape.vocabulary, on_gpu=on_gpu, learns=learns))
    per_logit = LOGIT_BYTES[spec.base_model.dtype] + (SLOPE_BYTES if shape.has_logit_cap else 0)
    logits = block * per_logit * shape.vocabulary
    projected = to_hidden = tokens * shape.hidden * width
    # The gradient of the projection in float32; a block's product, and later what is handed on.
    to_weight, product = 4 if learns else 0, 2 if learns and width == 2 else 0
    weights = shape.vocabulary * shape.hidden
    waiting = in_flight * (to_hidden + to_weight * weights)
    return float(logits + projected + waiting + product * weights)

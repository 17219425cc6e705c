"""What is told to the outside of each step: a number for each name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from loray.train.journal import Record

STEP_METRICS = {
    "loss": "Mean loss per target token of the step, nats.",
    "grad_norm": "L2 norm of the whole gradient before it was clipped.",
    "learning_rate": "Learning rate of the step.",
    "workers": "Workers that took the step.",
    "tokens_per_second": "Tokens of all workers that were no padding, a second.",
    "seconds": "Seconds that the step took.",
    "data_share": "Share of the step's seconds that worker 0 waited for batches.",
    "peak_memory_bytes": "Most memory that worker 0 had so far: GPU allocated, on a CPU resident.",
    "flops_utilization": "FLOPs a second over the devices' peak, recomputing counted.",
}
"""Of every step; the last two where they are known."""
MODULE_METRICS = {
    "weight_norm_ratio": "Norm of the adapter's update over the norm of the frozen weight",
    "update_ratio": "Norm of the step's change over the norm of the frozen weight",
    "effective_rank": "Exponential of the entropy of the update's singular values",
    "grad_sparsity": "Share of the gradient's entries that are zero",
}
"""Of every module, at recorded steps."""
OVER_MODULES: dict[str, Callable[[Iterable[float]], float]] = {
    "min": min,
    "median": median,
    "max": max,
}

MEANINGS: Mapping[str, str] = STEP_METRICS | {
    f"{name}/{over}": f"{meaning}; {over} over the adapted modules."
    for name, meaning in MODULE_METRICS.items()
    for over in OVER_MODULES
}
"""Every metric that there may be."""


def metrics_of(line: Record, vitals: Sequence[Record]) -> dict[str, float]:
    """The metrics of one step.

    Args:
        line: of the step, as in `history.jsonl`.
        vitals: of the step's modules, as in `vitals.jsonl`; empty if it was not recorded.
    """
    share = float(line["data_seconds"]) / float(line["seconds"])
    known = {**line, "data_share": share}
    found = {name: float(known[name]) for name in STEP_METRICS if name in known}
    for name in MODULE_METRICS if vitals else ():
        values = [float(record[name]) for record in vitals]
        found |= {f"{name}/{over}": of(values) for over, of in OVER_MODULES.items()}
    return found

"""AdamW as a spec asks for it."""

from typing import Any

import torch

from loray.spec.train import OptimizerSpec


def adam_over(parameters: dict[str, torch.Tensor], spec: OptimizerSpec) -> torch.optim.Optimizer:
    """AdamW; each group of its parameters has a `ratio`, its share of the learning rate."""
    options: dict[str, Any] = {
        "params": _groups(parameters, spec.lora_plus_ratio),
        "lr": spec.learning_rate,
        "betas": (spec.beta1, spec.beta2),
        "eps": spec.epsilon,
        "weight_decay": spec.weight_decay,
    }
    match spec.kind:
        case "adamw":
            return torch.optim.AdamW(**options)
        case "adamw_8bit":
            return _bitsandbytes().AdamW8bit(**options)  # type: ignore[no-any-return]
        case "paged_adamw_8bit":
            return _bitsandbytes().PagedAdamW8bit(**options)  # type: ignore[no-any-return]


def _bitsandbytes() -> Any:  # noqa: ANN401 (it has no types)
    import bitsandbytes  # noqa: PLC0415 (seconds, and a log of its own)

    return bitsandbytes.optim


def _groups(parameters: dict[str, torch.Tensor], b_ratio: float) -> list[dict[str, object]]:
    """Parameters by the share of the learning rate that they get; one group when all get all."""
    is_b = {name: b_ratio != 1.0 and ".lora_B." in name for name in parameters}
    rest = [p for name, p in parameters.items() if not is_b[name]]
    faster = [p for name, p in parameters.items() if is_b[name]]
    groups = [{"params": rest, "ratio": 1.0}, {"params": faster, "ratio": b_ratio}]
    return [group for group in groups if group["params"]]

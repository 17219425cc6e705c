"""What a model does to the outputs of its output projection before they are its logits.

    z = cap tanh(scale x / cap)

Granite divides by `logits_scaling`, Cohere multiplies by `logit_scale`, and Gemma 2 caps by
`final_logit_softcapping`. Source: transformers, `models/{granite,cohere,cohere2,gemma2}`.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LogitForm:
    """From an output projection's outputs `x` to logits `z`."""

    scale: float = 1.0
    cap: float | None = None
    """Logits stay between this and its negative."""

    @property
    def is_plain(self) -> bool:
        """Whether the outputs are the logits."""
        return self.scale == 1.0 and self.cap is None

    def __call__(self, x: Tensor) -> Tensor:
        """Logits, of the shape and type of `x`."""
        scaled = x if self.scale == 1.0 else x * self.scale
        return scaled if self.cap is None else torch.tanh(scaled / self.cap) * self.cap


PLAIN = LogitForm()


def logit_form(config: Any) -> LogitForm:  # noqa: ANN401 (every model's class of config is another)
    """What the model of `config` does to its output projection's outputs."""
    divisor = getattr(config, "logits_scaling", None)
    factor = getattr(config, "logit_scale", None)
    scale = (1.0 if factor is None else float(factor)) / (1.0 if divisor is None else divisor)
    cap = getattr(config, "final_logit_softcapping", None)
    return LogitForm(scale, None if cap is None else float(cap))

"""From logits to tokens, and how sure the model was.

`N` rows, `V` vocabulary.
"""

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from loray.inference.request import SamplingParams

LEAST_TEMPERATURE = 1e-5
"""Colder than this, float32 logits could not be divided; the likeliest token it is."""


class Sampler:
    """One request's way to choose tokens, with its own stream of random numbers."""

    def __init__(self, params: SamplingParams) -> None:
        self.is_greedy = params.temperature < LEAST_TEMPERATURE
        self.temperature = params.temperature
        self.top_p = params.top_p
        # Python takes a negative seed for its absolute value: 64 bits tell -7 from 7.
        seed = None if params.seed is None else params.seed % 2**64
        self._random = random.Random(seed)  # noqa: S311 - draws, not secrets

    def draw(self) -> float:
        """A number in [0, 1), one for each token, so that batch neighbours change nothing."""
        return self._random.random()


def choose(logits: Tensor, samplers: Sequence[Sampler]) -> tuple[list[int], list[float]]:
    """A token for each row of logits (N, V), and the entropy of each row in nats.

    The entropy is that of softmax(logits), before temperature and top_p; it is NaN where the
    logits hold NaN or infinity, and the row's token then means nothing.
    """
    shifted, probabilities, tokens = _softmax(logits)
    entropies = _entropy(shifted, probabilities).tolist()
    greedy: list[int] = tokens.tolist()
    sampled = [i for i, sampler in enumerate(samplers) if not sampler.is_greedy]
    whole = [i for i in sampled if samplers[i].top_p == 1.0]
    nucleus = [i for i in sampled if samplers[i].top_p < 1.0]
    for rows, pick in ((whole, _draw), (nucleus, _draw_nucleus)):
        if rows:
            drawn = pick(shifted[rows], [samplers[i] for i in rows])
            for row, token in zip(rows, drawn, strict=True):
                greedy[row] = token
    return greedy, entropies


def entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits), (N,) nats from (N, V): logsumexp(z) - sum softmax(z) z."""
    shifted, probabilities, _ = _softmax(logits)
    return _entropy(shifted, probabilities)


def _softmax(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits less their row's maximum, in float32; their softmax; the likeliest token."""
    largest, tokens = logits.float().max(dim=-1, keepdim=True)
    shifted = logits.float() - largest
    return shifted, shifted.softmax(dim=-1), tokens.squeeze(-1)


def _entropy(shifted: Tensor, probabilities: Tensor) -> Tensor:
    # Shifted by the maximum, the likeliest token's p is 1 / sum exp(z): logsumexp for free.
    log_sum = -probabilities.amax(dim=-1).log()
    return log_sum - (probabilities * shifted).sum(dim=-1)


def _draw(shifted: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """Inverse of the cumulative distribution, tokens in the order of the vocabulary."""
    return _invert(_tempered(shifted, samplers), samplers)


def _draw_nucleus(shifted: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """The same over the likeliest tokens that together hold top_p."""
    probabilities, order = _tempered(shifted, samplers).sort(dim=-1, descending=True, stable=True)
    top_p = torch.tensor([[s.top_p] for s in samplers], dtype=torch.float64, device=order.device)
    before = probabilities.cumsum(dim=-1) - probabilities
    kept = probabilities.masked_fill(before >= top_p, 0.0)
    places = _invert(kept, samplers)
    return [int(order[row, place]) for row, place in enumerate(places)]


def _tempered(shifted: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    temperatures = torch.tensor([[s.temperature] for s in samplers], device=shifted.device)
    return (shifted / temperatures).softmax(dim=-1, dtype=torch.float64)


def _invert(weights: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """The first place of each row where the cumulative weight exceeds a drawn share of the sum."""
    cumulative = weights.cumsum(dim=-1)
    drawn = torch.tensor([[s.draw()] for s in samplers], dtype=torch.float64, device=weights.device)
    places = torch.searchsorted(cumulative, drawn * cumulative[:, -1:], right=True)
    return [int(place) for place in places.squeeze(-1).clamp_(max=weights.shape[-1] - 1).tolist()]

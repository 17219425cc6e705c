"""What an adapter begins with that only the data tells: the directions of EVA."""

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
import torch.distributed as dist
from peft import PeftModel
from torch import nn

from loray.artifacts.tokens import TokenParts
from loray.models import eva
from loray.models.adapter import lora_layers
from loray.spec.run import RunSpec
from loray.train.batches import collate, sequence_line
from loray.train.learner import Learner, causal_lm

TOKENS = 8192
"""Tokens whose inputs are looked at, prompts and answers alike, or all that there are."""


def begin_at_inputs(learner: Learner, spec: RunSpec, tokens: TokenParts) -> None:
    """Let every A of an EVA run begin at its module's inputs; nothing happens in other runs.

    Worker 0 looks, and the others are given what it found, so that all of them begin alike. Every
    worker must come here, before a strategy shares the weights out.

    Raises:
        ModelError: the data has fewer directions than a rank.
    """
    if spec.method.kind != "lora" or spec.method.init != "eva":
        return
    assert isinstance(learner, PeftModel)  # noqa: S101 (of method.kind lora)
    layers = dict(lora_layers(learner))
    if dist.get_rank() == 0:
        learner.eval()
        with eva.watched_inputs(layers) as inputs:
            for sequence in first_sequences(tokens, seed=spec.seed):
                _pass_through(learner, sequence)
        eva.take_directions(layers, inputs)
        learner.train()
    for layer in layers.values():
        _share(cast("nn.Parameter", layer.lora_A["default"].weight))


def first_sequences(tokens: TokenParts, *, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """The sequences that the run learns from first, until they hold `TOKENS`; none comes twice."""
    most = min(len(tokens), TOKENS)
    seen = 0
    for number in sequence_line(tokens.sizes, seed=seed, start=0, stop=most):
        if seen >= TOKENS:
            return
        sequence = tokens.sequence(number)
        seen += len(sequence["input_ids"])
        yield sequence


@torch.no_grad()
def _pass_through(learner: PeftModel, sequence: dict[str, np.ndarray]) -> None:
    """One sequence at a time, so that there is no padding to leave out again."""
    model = causal_lm(learner)
    batch = collate([sequence]).to(str(model.device))
    model.get_decoder()(input_ids=batch.input_ids, position_ids=batch.positions, use_cache=False)


@torch.no_grad()
def _share(weight: nn.Parameter) -> None:
    """Give every worker what worker 0 has; in float32, which every backend can send."""
    whole = weight.float()
    dist.broadcast(whole, src=0)
    weight.copy_(whole)

"""Proves of a type that is not in the tested list that the engine computes what transformers does.

On a small random copy (`loray.models.small_copy`): rows of unequal length with different adapters
are prefilled together, decoded for some steps, and scored. An adapter's rows must be those of a
plain model whose weights it was added to.
"""

import copy
import logging

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from loray.inference.lora import AdapterWeights, LayerWeights
from loray.inference.rows import BASE
from loray.inference.runner import ModelRunner
from loray.models.small_copy import POSITIONS, VOCABULARY, is_close, small_copy, untried
from loray.models.support import TESTED

LOG = logging.getLogger(__name__)
SLOTS, RANK, STEPS = 2, 3, 6
PROMPTS = {0: 13, 1: 4, BASE: 9}
"""Lengths of the prompts by slot: beyond a copy's window, and of those that reach it."""

Rows = dict[int, list[int]]
"""Token ids by slot."""


@torch.inference_mode()
def prove_engine(model: PreTrainedModel) -> None:
    """Let a tested type pass, and try another one on a small copy.

    Raises:
        UnsupportedError: what the copy shows to be wrong.
    """
    if model.config.model_type in TESTED:
        return
    small = small_copy(model)
    plain = {slot: copy.deepcopy(small) for slot in PROMPTS}
    try:
        reason = _difference(small, plain)
    except Exception as error:  # whatever goes wrong says that it cannot be served
        raise untried(model, f"{type(error).__name__}: {error!s:.200}") from error
    if reason is not None:
        raise untried(model, reason)
    LOG.warning(
        "base models of type %r are not in the tested list; verified on a random small copy",
        model.config.model_type,
    )


def _difference(small: PreTrainedModel, plain: dict[int, PreTrainedModel]) -> str | None:
    generator = torch.Generator().manual_seed(0)
    runner = ModelRunner(
        small, slots=SLOTS, max_rank=RANK, max_batch=len(PROMPTS), max_context=POSITIONS
    )
    for slot in range(SLOTS):
        runner.lora.fill(slot, _adapter(runner, plain[slot], generator))
    slots = [0, 1, BASE]
    rows = {s: torch.randint(0, VOCABULARY, (PROMPTS[s],), generator=generator) for s in slots}
    ids: Rows = {slot: row.tolist() for slot, row in rows.items()}
    found = runner.prefill([ids[s] for s in slots], slots, 0)
    if not _is_as_plain(found, plain, ids):
        return "what the engine makes of prompts is not what transformers makes"
    for _ in range(STEPS):
        new = torch.randint(0, VOCABULARY, (len(slots),), generator=generator).tolist()
        lengths = [len(ids[s]) for s in slots]
        for slot, token in zip(slots, new, strict=True):
            ids[slot].append(token)
        if not _is_as_plain(runner.decode(new, lengths, slots), plain, ids):
            return "what the engine decodes is not what transformers does"
    for slot in slots:
        (score,) = runner.score([ids[slot]], [list(range(1, len(ids[slot])))], slot)
        logits, row = _logits(plain[slot], ids[slot]), torch.tensor(ids[slot])
        wanted = functional.cross_entropy(logits[:-1], row[1:], reduction="sum")
        if not is_close(torch.tensor(score), wanted.double().float()):
            return "the engine's scores are not the losses of transformers"
    return None


def _adapter(
    runner: ModelRunner, plain: PreTrainedModel, generator: torch.Generator
) -> AdapterWeights:
    """A random adapter on every layer, and the same added to `plain`."""
    layers = {}
    for name, layer in runner.lora.layers.items():
        a = torch.randn(layer.num_inputs, RANK, generator=generator) * 0.2
        b = torch.randn(RANK, layer.num_outputs, generator=generator) * 0.2
        layers[name] = LayerWeights(a, b)
        plain.get_submodule(name).get_parameter("weight").add_((a @ b).T)
    return AdapterWeights(layers)


def _logits(plain: PreTrainedModel, ids: list[int]) -> Tensor:
    """(T, V)."""
    found: Tensor = plain(torch.tensor([ids])).logits[0]
    return found


def _is_as_plain(found: Tensor, plain: dict[int, PreTrainedModel], ids: Rows) -> bool:
    """Whether logits (N, V) are those after each row's last token."""
    wanted = torch.stack([_logits(plain[slot], row)[-1] for slot, row in ids.items()])
    return is_close(found, wanted)

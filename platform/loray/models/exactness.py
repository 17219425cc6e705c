"""Proves of a type that is not in the tested list that training would compute what it should.

On a small random copy (`loray.models.small_copy`), in a fraction of a second: logits are those of
the output projection; packed rows learn nothing from each other; every weight of a layer belongs
to a linear layer or a norm, so that targets leave none out.
"""

import logging

import torch
from torch import nn
from transformers import PreTrainedModel

from loray.models.logits import logit_form
from loray.models.projections import decoder_layers
from loray.models.small_copy import VOCABULARY, is_close, small_copy, untried
from loray.models.support import TESTED

LOG = logging.getLogger(__name__)
ROWS = (11, 4, 17)
"""Lengths of rows that are packed, some longer than a copy's window."""


@torch.no_grad()
def prove_training(model: PreTrainedModel) -> None:
    """Let a tested type pass, and try another one on a small copy.

    Raises:
        UnsupportedError: what the copy shows to be wrong.
    """
    if model.config.model_type in TESTED:
        return
    small = small_copy(model)
    for reason in (_of_weights(small), _of_logits(small), _of_packing(small)):
        if reason is not None:
            raise untried(model, reason)
    LOG.warning(
        "base models of type %r are not in the tested list; verified on a random small copy",
        model.config.model_type,
    )


def rows() -> list[torch.Tensor]:
    """Random rows (1, T) of a copy's vocabulary."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, VOCABULARY, (1, n), generator=generator) for n in ROWS]


def _of_weights(small: PreTrainedModel) -> str | None:
    in_linears = {
        id(p)
        for layer in decoder_layers(small)
        for module in layer.modules()
        if isinstance(module, nn.Linear)
        for p in module.parameters()
    }
    for name, parameter in decoder_layers(small).named_parameters():
        if parameter.dim() > 1 and id(parameter) not in in_linears:
            return f"layers.{name} is not a linear layer's, and no adapter could be put on it"
    return None


def _of_logits(small: PreTrainedModel) -> str | None:
    decoder, head = small.get_decoder(), small.get_output_embeddings()
    form = logit_form(small.config)
    for ids in rows():
        found = form(head(decoder(input_ids=ids, use_cache=False).last_hidden_state))
        if not is_close(found, small(ids).logits):
            return "its logits are not those of its output projection"
    return None


def _of_packing(small: PreTrainedModel) -> str | None:
    decoder = small.get_decoder()
    positions = torch.cat([torch.arange(n) for n in ROWS])[None]
    packed = decoder(
        input_ids=torch.cat(rows(), dim=1), position_ids=positions, use_cache=False
    ).last_hidden_state
    apart = [decoder(input_ids=ids, use_cache=False).last_hidden_state for ids in rows()]
    return None if is_close(packed, torch.cat(apart, dim=1)) else "packed rows see each other"

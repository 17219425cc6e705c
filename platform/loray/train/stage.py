"""One stage of a pipeline: some of a decoder's layers, the embedding or the output projection.

All of the module tree stays on every worker, so that names and their order are those of the whole
model. What another stage computes is passed over, and of its parameters only the shapes are left,
on the meta device. What computes is the decoder's own `forward`: positions, masks and packed rows
are treated as without a pipeline.

Shapes: `B` sequences, `T` tokens, `H` hidden size.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from loray.planner.stages import split_layers
from loray.train.engine import Complete, is_complete

Parts = tuple[nn.Module, ...]
Replaced = dict[int, tuple[nn.Parameter, nn.Parameter]]
"""By the id of a parameter that goes the one itself, without its numbers, and what has its shape.

It is kept, since what is freed gives its id to another.
"""


class Stage(nn.Module):
    """A decoder of which some layers are left."""

    def __init__(self, decoder: nn.Module, *, is_first: bool) -> None:
        super().__init__()
        self.decoder = decoder
        self._takes = "input_ids" if is_first else "inputs_embeds"

    def forward(self, taken: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """What the next stage takes, or after the last one what is scored, (B, T, H).

        Args:
            taken: (B, T) token ids at the first stage, (B, T, H) at the others.
            positions: (B, T).
        """
        given = {self._takes: taken}
        hidden: torch.Tensor = self.decoder(
            **given, position_ids=positions, use_cache=False
        ).last_hidden_state
        return hidden


def parts_of(model: PreTrainedModel, stages: int) -> tuple[Parts, ...]:
    """The modules that each stage computes with.

    Raises:
        ModelError: there are more stages than layers.
    """
    decoder = cast("Any", model.get_decoder())
    found = [
        [decoder.layers[number] for number in numbers]
        for numbers in split_layers(len(decoder.layers), stages)
    ]
    found[0].insert(0, decoder.get_input_embeddings())
    found[-1] += [decoder.norm, model.get_output_embeddings()]
    return tuple(tuple(modules) for modules in found)


def holders_of(
    parameters: Mapping[str, nn.Parameter], parts: Iterable[Parts]
) -> dict[str, list[int]]:
    """The stages that hold each parameter: one, or of tied embeddings the first and the last."""
    held = [{id(p) for module in modules for p in module.parameters()} for modules in parts]
    return {
        name: [stage for stage, ids in enumerate(held) if id(parameter) in ids]
        for name, parameter in parameters.items()
    }


def keep_stage(
    model: PreTrainedModel,
    parts: tuple[Parts, ...],
    stage: int,
    complete: Complete = is_complete,
    *,
    sees_layers: bool = False,
) -> Stage:
    """What stage `stage` computes; the others' layers are passed over and their weights let go.

    Args:
        complete: gives a module the weights that are not read yet; called for the stage's own, one
            after another.
        sees_layers: call it for the other stages' layers too, each let go before the next.
    """
    mine, layers = parts[stage], set(cast("Any", model.get_decoder()).layers)
    held = {id(p) for module in mine for p in module.parameters()}
    replaced: Replaced = {}
    for part in (module for modules in parts for module in modules):
        is_mine = part in mine
        if is_mine or (sees_layers and part in layers):
            complete(part)
        if not is_mine:
            part.forward = _passed_on
            for module in part.modules():
                _empty(module, held, replaced)
    complete(model)  # what is of no stage alone
    decoder = cast("Any", model.get_decoder())
    if stage and hasattr(decoder, "embedding_multiplier"):  # Granite's: the first stage did it
        decoder.embedding_multiplier = 1.0
    return Stage(decoder, is_first=stage == 0)


def _empty(module: nn.Module, held: set[int], replaced: Replaced) -> None:
    """Put shapes in the place of a module's own parameters; of shared ones the same one."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        if id(parameter) in held:
            continue
        if id(parameter) not in replaced:
            shape = torch.empty_like(parameter.data, device="meta")
            shape = nn.Parameter(shape, requires_grad=parameter.requires_grad)
            replaced[id(parameter)] = (parameter, shape)
            parameter.data = parameter.data.new_empty(0)
        setattr(module, name, replaced[id(parameter)][1])
        if hasattr(module, "quant_state"):  # bitsandbytes keeps the scales of 4-bit weights here
            cast("Any", module).quant_state = cast("Any", parameter).quant_state = None


def _passed_on(hidden: torch.Tensor, **_: object) -> torch.Tensor:
    """In the place of a layer, or the last norm, that another stage computes."""
    return hidden

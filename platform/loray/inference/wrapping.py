"""Make a transformers model carry adapter slots, and give it back as it was."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from loray.errors import ModelError
from loray.inference.lora import LoraStack, SlottedLinear, dense_projection
from loray.inference.own import SlottedTable
from loray.models.dora import dense_weight
from loray.models.support import check_supported, fixed_positions

ATTENTIONS = ("sdpa", "eager")
"""Attention calls that take a mask per row."""
MAX_UNPACKED_BYTES = 1 << 30
"""4-bit weights are unpacked once, on the CPU, when they then take no more than this.

bitsandbytes unpacks a layer's weights in every pass there: a decode step of a 3M-parameter Llama
takes 12.2 ms with NF4 and 7.6 ms without (one AVX2 core, 16 rows); the results are the same.
"""


def check_model(model: PreTrainedModel, max_context: int) -> None:
    """Refuse what would decode wrongly rather than fail.

    Raises:
        ModelError: another architecture or attention than the engine computes exactly, or fewer
            positions than `max_context`.
    """
    config = model.config
    check_supported(config.to_dict())
    attention = config._attn_implementation  # noqa: SLF001 - transformers has no public name
    if attention not in ATTENTIONS:
        raise ModelError(
            f"the base model was loaded with attn_implementation {attention!r}; load it with "
            f"{' or '.join(ATTENTIONS)}"
        )
    most = fixed_positions(config.to_dict())
    if most is not None and max_context > most:
        raise ModelError(
            f"max_context is {max_context}, but beyond {most} tokens the base model's rotary "
            "embeddings depend on the longest sequence of a batch; "
            f"set max_context to at most {most}"
        )
    most = getattr(config, "max_position_embeddings", None)
    if most is not None and max_context > most:
        raise ModelError(
            f"max_context is {max_context}, the base model's max_position_embeddings is {most}; "
            f"set max_context to at most {most}"
        )


def wrap(model: PreTrainedModel, *, num_slots: int, max_rank: int) -> LoraStack:
    """Put slots around every linear layer, the embedding and the output projection."""
    modules = dict(model.named_modules())
    if any(isinstance(m, SlottedLinear) or n.endswith(".lora_A") for n, m in modules.items()):
        raise ModelError(
            "the base model carries adapters already, of PEFT or of another engine; "
            "load it again, or close the other engine first"
        )
    linears = {
        name: module
        for name, module in modules.items()
        if isinstance(module, nn.Linear) and module is not model.get_output_embeddings()
    }
    if not linears:
        raise ModelError("the base model has no linear layer to adapt; load a decoder")
    like = _adapter_like(model)
    project = _projections(list(linears.values()), model)
    layers = {}
    for name, module in linears.items():
        layers[name] = SlottedLinear(module, project(module), (num_slots, max_rank), like)
        model.set_submodule(name, layers[name])
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    tables = {n: SlottedTable(m) for n, m in modules.items() if any(m is end for end in ends)}
    for name, table in tables.items():
        model.set_submodule(name, table)
    return LoraStack(layers, tables)


def unwrap(model: PreTrainedModel, stack: LoraStack) -> None:
    """Undo `wrap`; what another one put there since stays."""
    slotted: dict[str, SlottedLinear | SlottedTable] = {**stack.layers, **stack.tables}
    for name, module in slotted.items():
        if model.get_submodule(name) is module:
            model.set_submodule(name, module.base)


def _adapter_like(model: PreTrainedModel) -> Tensor:
    """What adapters are kept like: float32 on the CPU, as PEFT does; there it is faster, too."""
    on_cpu = model.device.type == "cpu"
    return torch.empty(0, dtype=torch.float32 if on_cpu else model.dtype, device=model.device)


def _projections(
    linears: list[nn.Linear], model: PreTrainedModel
) -> Callable[[nn.Linear], Callable[[Tensor], Tensor]]:
    """How the layers compute x W + b: by their own forward, or faster where it is the same."""
    num_bytes = sum(m.in_features * m.out_features for m in linears) * model.dtype.itemsize
    unpacks = model.device.type == "cpu" and num_bytes <= MAX_UNPACKED_BYTES

    def project(module: nn.Linear) -> Callable[[Tensor], Tensor]:
        if type(module) is nn.Linear:
            return dense_projection(module.weight, module.bias)
        computes_in = getattr(module, "compute_dtype", None)
        if unpacks and computes_in == model.dtype and hasattr(module.weight, "quant_state"):
            return dense_projection(dense_weight(module).to(model.dtype), module.bias)
        return module.forward

    return project

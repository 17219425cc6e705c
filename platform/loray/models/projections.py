"""The linear layers of a model's decoder layers: what an adapter is put on."""

from collections.abc import Iterator
from difflib import get_close_matches

from torch import nn
from transformers import PreTrainedModel

from loray.errors import UnsupportedError
from loray.spec.train import LoraMethod


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The layers that follow one another in a model's decoder.

    Raises:
        UnsupportedError: it has none of that name.
    """
    layers = getattr(model.get_decoder(), "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise UnsupportedError(
            f"the decoder of a {model.config.model_type!r} model has no list of `layers`; use "
            "another base model"
        )
    return layers


def projections(model: PreTrainedModel) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The last parts of linear layers' names: those of the attention, and of all else (the MLP).

    The output projection is no part of a layer, and in neither.
    """
    attention: dict[str, None] = {}  # in the order in which they come
    mlp: dict[str, None] = {}
    for layer in decoder_layers(model):
        for block, name in _linears(layer):
            (attention if "att" in block else mlp)[name] = None
    return tuple(attention), tuple(mlp)


def target_names(model: PreTrainedModel, method: LoraMethod) -> list[str]:
    """What `method` puts an adapter on, by the last part of the names, sorted.

    Raises:
        UnsupportedError: the model has no linear layer of that name.
    """
    known = projections(model)
    found = method.target_modules(*known)
    every = (*known[0], *known[1])
    for name in found:
        if name not in every:
            near = get_close_matches(name, every, n=1)
            raise UnsupportedError(
                f"method.targets names {name!r}, which no linear layer of the base model is "
                f"called; {f'did you mean {near[0]}? ' if near else ''}its are {', '.join(every)}; "
                "correct it, or use all-linear"
            )
    return list(found)


def _linears(layer: nn.Module) -> Iterator[tuple[str, str]]:
    """The block that a linear layer is in, and the last part of its name."""
    for path, module in layer.named_modules():
        if isinstance(module, nn.Linear):
            block, _, name = path.rpartition(".")
            yield block, name

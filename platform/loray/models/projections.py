"""The linear layers of a model's decoder layers: what an adapter is put on."""

from collections.abc import Iterator

from torch import nn
from transformers import PreTrainedModel

from loray.errors import UnsupportedError


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


def _linears(layer: nn.Module) -> Iterator[tuple[str, str]]:
    """The block that a linear layer is in, and the last part of its name."""
    for path, module in layer.named_modules():
        if isinstance(module, nn.Linear):
            block, _, name = path.rpartition(".")
            yield block, name

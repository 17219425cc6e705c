"""A small random copy of an architecture, on which it is tried what loray computes with it.

It has the same config but for its sizes: as few layers as have every kind of them, a few heads, a
short window. Its weights are drawn anew, wide enough that a wrong mask or scale shows.
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from loray.errors import UnsupportedError

VOCABULARY, HIDDEN, INTERMEDIATE, POSITIONS, WINDOW = 97, 64, 96, 64, 7
SHORTEST = 2
"""Layers of a copy, at least."""
TOLERANCE = 1e-4
"""Largest difference of a copy's numbers in float32, as a share of the greatest of them."""


def small_copy(model: PreTrainedModel) -> PreTrainedModel:
    """A small random model of the same architecture, float32, on the CPU, in evaluation mode.

    Raises:
        UnsupportedError: transformers cannot make or run one.
    """
    attention = model.config._attn_implementation  # noqa: SLF001 - transformers has no public name
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            made: Any = AutoModelForCausalLM.from_config(
                small_config(model.config), attn_implementation=attention, dtype=torch.float32
            )
            for parameter in made.parameters():
                wide = parameter.dim() > 1
                drawn = torch.randn(parameter.shape) * (0.2 if wide else 0.1)
                parameter.data = drawn if wide else parameter + drawn
            made.eval()(torch.arange(3)[None])
    except Exception as error:  # whatever goes wrong in there says that it cannot be tried
        raise untried(model, f"{type(error).__name__}: {error!s:.200}") from error
    return made  # type: ignore[no-any-return]


def small_config(config: Any) -> Any:  # noqa: ANN401 (every model's class of config is another)
    """The same with small sizes; what is listed layer by layer is cut to as many layers."""
    small = copy.deepcopy(config)
    heads = config.num_attention_heads
    keys = getattr(config, "num_key_value_heads", None) or heads
    own_size = getattr(config, "head_dim", None)
    layers = _fewest_layers(config)
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 4 if keys == heads else 1 if keys == 1 else 2,
        "head_dim": 16 if own_size and own_size * heads == config.hidden_size else 24,
        "max_position_embeddings": POSITIONS,
        "sliding_window": WINDOW,
        "initializer_range": 0.2,
    }
    for name, size in sizes.items():
        is_own = not isinstance(getattr(type(config), name, None), property)
        if is_own and getattr(config, name, None) is not None:
            setattr(small, name, size)
    for name, values in _by_layer(config):
        setattr(small, name, values[:layers])
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(small, name, None)
    return small


def _fewest_layers(config: Any) -> int:  # noqa: ANN401
    """Layers until every kind has come, two at least."""
    most = int(config.num_hidden_layers)
    for count in range(min(SHORTEST, most), most):
        if all(set(map(str, v[:count])) == set(map(str, v)) for _, v in _by_layer(config)):
            return count
    return most


def _by_layer(config: Any) -> Iterator[tuple[str, list[Any]]]:  # noqa: ANN401
    """What a config lists layer by layer."""
    for name, values in vars(config).items():
        if isinstance(values, list) and len(values) == config.num_hidden_layers:
            yield name, values


def untried(model: PreTrainedModel, reason: str) -> UnsupportedError:
    """Why a type that is not tested is not taken."""
    return UnsupportedError(
        f"found a base model of type {model.config.model_type!r}, which is not in the tested list, "
        f"and a small random copy of it shows that it cannot be used: {reason}; use another base"
    )


def is_close(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Whether all numbers are finite and the same but for rounding."""
    if found.shape != wanted.shape or not bool(torch.isfinite(wanted).all()):
        return False
    return float((found - wanted).abs().max()) <= TOLERANCE * float(wanted.abs().max())

"""Values in a base model's `config.json` at which transformers would fail when it builds the model.

Sizes and tokens are looked at in `base_config`; here are the names of functions, the flags, and the
scaling of rotary positions. Each would else be a traceback after the data were prepared.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Config = Mapping[str, Any]

ACTIVATIONS = (
    "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python",
    "gelu_python_tanh", "gelu_pytorch_tanh", "hardswish", "laplace", "leaky_relu", "linear", "mish",
    "prelu", "quick_gelu", "relu", "relu2", "relu6", "sigmoid", "silu", "sqrtsoftplus", "swish",
    "tanh", "xielu",
)  # fmt: skip
"""Names of `transformers.activations.ACT2FN`."""
ROPE_KEYS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": ("factor",),
    "longrope": ("short_factor", "long_factor"),
    "llama3": (
        "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings",
    ),
    "proportional": (),
}  # fmt: skip
"""What each kind of rotary scaling needs. Source: `transformers.modeling_rope_utils`."""
_OLD_ROPES = ("su", "yarn")
"""What Phi-3's first files call longrope."""
_AGAIN = "correct config.json, or fetch it again"


def value_faults(config: Config) -> Iterator[str]:
    """Why a model of a tested type could not be built: found; wanted; what to do."""
    for name, (is_sound, wanted) in _VALUES.items():
        value = config.get(name)
        if name == "sliding_window" and config.get("use_sliding_window") is False:
            continue  # whatever it is, nothing reads it
        if value is not None and not is_sound(value):
            yield f"config.json has {name} {value!a:.40}; wanted {wanted}; {_AGAIN}"
    for name in ("rope_parameters", "rope_scaling"):
        yield from _rope_faults(name, config)


def _rope_faults(name: str, config: Config) -> Iterator[str]:
    given = config.get(name)
    if given is None or given == {}:
        return
    if not isinstance(given, Mapping):
        yield (
            f"config.json has {name} {given!a:.40}; wanted an object with a rope_type, or null; "
            f"{_AGAIN}"
        )
        return
    inner = [rope for rope in given.values() if isinstance(rope, Mapping)]
    for rope in inner or [given]:  # one for each kind of layer, or one for all
        kind = rope.get("rope_type", rope.get("type", "default"))
        if config.get("model_type") == "phi3" and kind in _OLD_ROPES:
            kind = "longrope"
        if not isinstance(kind, str) or kind not in ROPE_KEYS:
            yield (
                f"config.json has the rope_type {kind!a:.40} in {name}; wanted one of "
                f"{', '.join(ROPE_KEYS)}; {_AGAIN}"
            )
            continue
        for key in ROPE_KEYS[kind]:
            value = rope.get(key, config.get(key))
            if not _is_scale(value):
                yield (
                    f"config.json has {key} {value!a:.40} in {name} of type {kind}; wanted a "
                    f"number above 0, or a list of such for longrope; {_AGAIN}"
                )


def _is_scale(value: object) -> bool:
    """A number above 0, or a list of such, one for each frequency."""
    values: list[Any] = value if isinstance(value, list) and value else [value]
    return all(_is_number(one) and one > 0 for one in values)


def _is_number(value: Any) -> bool:  # noqa: ANN401 (as JSON has it)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_ACTIVATION = (ACTIVATIONS.__contains__, "an activation, such as silu or gelu_pytorch_tanh")
_FLAG = (lambda value: isinstance(value, bool), "true or false")
_VALUES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "hidden_act": _ACTIVATION,
    "hidden_activation": _ACTIVATION,
    "tie_word_embeddings": _FLAG,
    "attention_bias": _FLAG,
    "mlp_bias": _FLAG,
    "use_sliding_window": _FLAG,
    "use_qk_norm": _FLAG,
    "attention_dropout": (
        lambda value: _is_number(value) and 0 <= value < 1, "a number from 0 to below 1",
    ),
    "initializer_range": (lambda value: isinstance(value, float), "a number such as 0.02"),
    "sliding_window": (
        lambda value: type(value) is int and value >= 1, "positions, from 1 on, or null",
    ),
}  # fmt: skip
"""What a value must be where it is set, and in words."""

"""Values in a base model's `config.json` at which transformers would fail when it builds the model.

Sizes and tokens are looked at in `base_config`, rotary positions in `base_rope`; here are the names
of functions, numbers and flags. Each would else be a traceback after the data were prepared.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from loray.models.decoder_types import TESTED_TYPES

Config = Mapping[str, Any]

ACTIVATIONS = (
    "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python",
    "gelu_python_tanh", "gelu_pytorch_tanh", "hardswish", "laplace", "leaky_relu", "linear", "mish",
    "prelu", "quick_gelu", "relu", "relu2", "relu6", "sigmoid", "silu", "sqrtsoftplus", "swish",
    "tanh", "xielu",
)  # fmt: skip
"""Names of `transformers.activations.ACT2FN`."""
_AGAIN = "correct config.json, or fetch it again"


def value_faults(config: Config) -> Iterator[str]:
    """Why a model of a tested type could not be built: found; wanted; what to do."""
    kind = str(config.get("model_type"))
    no_nulls = [name for name, fine in _NO_NULLS.items() if kind not in fine]
    for name in (*no_nulls, *TESTED_TYPES[kind].no_nulls):
        if name in config and config[name] is None:
            yield f"config.json has {name} null; wanted a value, or no such key; {_AGAIN}"
    for name, (is_sound, wanted) in _VALUES.items():
        value = config.get(name)
        if name == "sliding_window" and config.get("use_sliding_window") is False:
            continue  # whatever it is, nothing reads it
        if value is not None and kind in _ONLY.get(name, (kind,)) and not is_sound(value):
            yield f"config.json has {name} {value!a:.40}; wanted {wanted}; {_AGAIN}"
    for name, item in _BY_LAYER.items():
        if config.get(name) is not None and kind in _ONLY[name]:
            yield from _list_faults(name, config[name], item, config["num_hidden_layers"])


def _list_faults(name: str, value: object, item: type, layers: int) -> Iterator[str]:
    if not isinstance(value, list) or any(type(one) is not item for one in value):
        yield f"config.json has {name} {value!a:.40}; wanted a list, one a layer; {_AGAIN}"
    elif len(value) != layers:
        yield (
            f"config.json has {len(value)} {name} for {layers} layers (num_hidden_layers); wanted "
            f"one for each; {_AGAIN}"
        )


def _is_number(value: Any) -> bool:  # noqa: ANN401 (as JSON has it)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_float(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, float) and math.isfinite(value)


_ACTIVATION = (ACTIVATIONS.__contains__, "an activation, such as silu or gelu_pytorch_tanh")
_FLAG = (lambda value: isinstance(value, bool), "true or false")
_NUMBER = (_is_number, "a number")
_POSITIVE = (lambda value: _is_number(value) and value > 0, "a number above 0")
_FLOAT = (_is_float, "a number with a point, such as 1.0")
_EPSILON = (lambda value: _is_float(value) and value > 0, "a number such as 1e-6")
_COUNT = (lambda value: type(value) is int and value >= 1, "a whole number from 1 on")
_SHARE = (lambda value: _is_number(value) and 0 <= value < 1, "a number from 0 to below 1")
_VALUES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "hidden_act": _ACTIVATION,
    "hidden_activation": _ACTIVATION,
    "tie_word_embeddings": _FLAG,
    "attention_bias": _FLAG,
    "mlp_bias": _FLAG,
    "use_cache": _FLAG,
    "use_sliding_window": _FLAG,
    "use_qk_norm": _FLAG,
    "attention_dropout": _SHARE,
    "embd_pdrop": _SHARE,
    "resid_pdrop": _SHARE,
    "initializer_range": (lambda value: _is_float(value) and value >= 0, "a number such as 0.02"),
    "use_bidirectional_attention": _FLAG,
    "rms_norm_eps": _EPSILON,
    "layer_norm_eps": _EPSILON,
    "logit_scale": _FLOAT,
    "attn_logit_softcapping": _EPSILON,
    "final_logit_softcapping": _EPSILON,
    "attention_multiplier": _NUMBER,
    "embedding_multiplier": _NUMBER,
    "residual_multiplier": _NUMBER,
    "logits_scaling": _POSITIVE,
    "max_window_layers": (lambda value: type(value) is int, "a whole number"),
    "no_rope_layer_interval": _COUNT,
    "original_max_position_embeddings": _COUNT,
    "pretraining_tp": _COUNT,
    "query_pre_attn_scalar": _COUNT,
    "partial_rotary_factor": (
        lambda value: _is_number(value) and 0 < value <= 1, "a number above 0, at most 1",
    ),
    "sliding_window": (
        lambda value: type(value) is int and value >= 1, "positions, from 1 on, or null",
    ),
}  # fmt: skip
"""What a value must be where it is set, and in words."""
_BY_LAYER: Mapping[str, type] = {"layer_types": str, "no_rope_layers": int}
_GEMMAS = ("gemma2", "gemma3_text")
_COHERES = ("cohere", "cohere2")
_ONLY: Mapping[str, tuple[str, ...]] = {
    "hidden_activation": _GEMMAS,
    "attn_logit_softcapping": _GEMMAS,
    "final_logit_softcapping": _GEMMAS,
    "query_pre_attn_scalar": _GEMMAS,
    "layer_norm_eps": _COHERES,
    "logit_scale": _COHERES,
    "attention_multiplier": ("granite",),
    "embedding_multiplier": ("granite",),
    "residual_multiplier": ("granite",),
    "logits_scaling": ("granite",),
    "max_window_layers": ("qwen2", "qwen3"),
    "no_rope_layer_interval": ("smollm3",),
    "no_rope_layers": ("smollm3",),
    "pretraining_tp": ("llama",),
    "embd_pdrop": ("phi3",),
    "resid_pdrop": ("phi3",),
    "layer_types": ("qwen2", "qwen3", *_GEMMAS, "smollm3", "cohere2"),
}
"""Types that read it; to the others it is nothing."""
_NO_NULLS: Mapping[str, tuple[str, ...]] = {
    "initializer_range": (),
    "max_position_embeddings": (),
    "rope_theta": (),
    "tie_word_embeddings": (),
    "use_cache": (),
    "attention_bias": ("mistral", "qwen2", "phi3"),
    "attention_dropout": ("llama", *_GEMMAS, "cohere"),
    "hidden_act": _GEMMAS,
    "rms_norm_eps": _COHERES,
    "mlp_bias": tuple(kind for kind in TESTED_TYPES if kind not in ("llama", "smollm3", "granite")),
    "use_sliding_window": tuple(k for k in TESTED_TYPES if k not in ("qwen2", "qwen3", "smollm3")),
    "original_max_position_embeddings": tuple(kind for kind in TESTED_TYPES if kind != "phi3"),
    **{
        name: tuple(kind for kind in TESTED_TYPES if kind not in kinds)
        for name, kinds in _ONLY.items()
        if name not in ("layer_types", "no_rope_layers", "pretraining_tp")
        and "logit_softcapping" not in name
    },
    "layer_norm_eps": tuple(kind for kind in TESTED_TYPES if kind != "cohere2"),
    "logit_scale": tuple(kind for kind in TESTED_TYPES if kind != "cohere2"),
}
"""What may be absent, but not null, and the types that do not mind."""

"""Which base models loray can train and serve, and why not the others; from a `config.json` alone.

Every type in `TESTED` computes in training and in the engine what plain transformers and PEFT do
(`tests/models/test_families_exact.py`). Of the other types that transformers builds as decoders
(`loray.models.decoder_types`), where nothing in the config speaks against one, a small random copy
is tried when it is loaded (`loray.models.exactness`); it is taken only if it computes the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loray.errors import UnsupportedError
from loray.models.decoder_types import DECODER_TYPES, TESTED_TYPES

Config = Mapping[str, Any]

TESTED = tuple(TESTED_TYPES)
"""`model_type` of the families that are tested against plain transformers and PEFT."""
KNOWN_LAYERS = ("full_attention", "sliding_attention")
"""Kinds of layers in `layer_types` that keep keys and values of every position."""
ALIKE = ("llama", "mistral", "gemma", "phi3", "olmo2", "granite", "cohere")
"""Tested types of which every layer has the same attention."""
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
"""What configs call their number of experts."""
PARTS = (
    "text_config", "vision_config", "audio_config", "llm_config", "language_config",
    "thinker_config",
)  # fmt: skip
"""Configs of parts, in the config of a model that has several."""
REFUSED = {
    "falcon": "its attention reaches across packed rows, so that they would learn from each other",
    "bloom": "its positions are biases of the attention, which know nothing of packed rows",
    "mpt": "its positions are biases of the attention, which know nothing of packed rows",
    "gpt2": "its weights are transposed (Conv1D), and no linear layer can be adapted as such",
    "gpt_neo": "its layers have names and masks of their own, which loray does not know",
    "opt": "its positions are counted from an attention mask, which packed rows do not have",
    "gemma3": "it has a vision part; only its text models, of type gemma3_text, can be used",
}
"""Types whose reason does not follow from their config."""


@dataclass(frozen=True)
class Support:
    """What loray can do with a base model."""

    trainable: bool
    servable: bool
    reasons: tuple[str, ...]
    """Why not, or what to know: a type that is not tested has one, and may still be sound."""
    is_tested: bool
    """Whether its type is one that the tests compare with plain transformers and PEFT."""


def support_of(config: Config) -> Support:
    """What loray can do with the base model that a `config.json` describes."""
    kind = config.get("model_type")
    against = tuple(_against(config)) or tuple(_against_type(kind))
    can = not against
    unproved = (
        f"type {kind!r} is not in the tested list ({', '.join(TESTED)}); it is verified on a "
        "random small copy when it is loaded"
    )
    reasons = (unproved,) if can and kind not in TESTED else against
    return Support(trainable=can, servable=can, reasons=reasons, is_tested=can and kind in TESTED)


def check_supported(config: Config) -> Support:
    """The same, for who cannot go on without.

    Raises:
        UnsupportedError: loray cannot train or serve such a model; with all reasons.
    """
    found = support_of(config)
    if not (found.trainable and found.servable):
        raise UnsupportedError(
            f"found a base model of type {config.get('model_type')!r}, which loray can neither "
            f"train nor serve: {'; '.join(found.reasons)}; use one of {', '.join(TESTED)}"
        )
    return found


def fixed_positions(config: Config) -> int | None:
    """Up to how many positions rotary embeddings do not depend on the rest of a batch.

    None where they never do. With `longrope` (Phi-3 of 128k) and `dynamic`, transformers takes
    other frequencies for all rows of a batch as soon as one of them is longer.
    """
    given = config.get("rope_parameters") or config.get("rope_scaling")
    given = given if isinstance(given, Mapping) else {}
    ropes = [rope for rope in given.values() if isinstance(rope, Mapping)] or [given]
    limits = [limit for rope in ropes if (limit := _fixed_in(rope, config)) is not None]
    return min(limits, default=None)


def _fixed_in(rope: Config, config: Config) -> int | None:
    kind = str(rope.get("rope_type", rope.get("type", "default")))
    longest = config.get("max_position_embeddings")
    if kind == "longrope" or (config.get("model_type") == "phi3" and kind in ("su", "yarn")):
        own = rope.get("original_max_position_embeddings")
        found = own or config.get("original_max_position_embeddings") or longest
    elif "dynamic" in kind:
        found = longest
    else:
        return None
    return int(found) if found else 0


def _against_type(kind: object) -> Iterator[str]:
    if kind not in DECODER_TYPES:
        yield (
            "transformers builds no decoder of this type that loray can adapt, or takes sizes "
            "of its own in place of those in config.json; if the files are those of another type, "
            "correct model_type"
        )


def _against(config: Config) -> Iterator[str]:
    """Why a model cannot be used."""
    kind = config.get("model_type")
    if not isinstance(kind, str):
        yield "its config.json names no model_type"
        return
    if kind in REFUSED:
        yield REFUSED[kind]
    elif any(part in config for part in PARTS):
        yield (
            "it has parts for images or sound; loray knows decoders of text alone: save its "
            "language model by itself, with the type that its text_config names"
        )
    if config.get("is_encoder_decoder"):
        yield "it has an encoder; loray knows decoders alone"
    if kind not in TESTED and "auto_map" in config:
        yield "it brings code of its own, which loray never runs (trust_remote_code)"
    stored = config.get("quantization_config")
    if isinstance(stored, Mapping) and not stored.get("load_in_4bit"):
        yield (
            f"its weights are stored quantized ({stored.get('quant_method', 'unknown')}), and no "
            "linear layer of torch holds them; use the base that they were made from"
        )
    yield from _against_layers(config)


def _against_layers(config: Config) -> Iterator[str]:
    if any(isinstance(config.get(n), int) and config[n] > 1 for n in EXPERTS):
        yield (
            "it has experts (MoE), which are no linear layers of their own: targets would leave "
            "most of its weights out"
        )
    if config.get("kv_lora_rank"):
        yield "it compresses keys and values (MLA), which the engine's cache does not hold"
    if config.get("use_bidirectional_attention") or config.get("is_causal") is False:
        yield "its attention looks ahead; loray knows causal decoders"
    given = config.get("layer_types") or config.get("layers_block_type") or ()
    kinds = set(map(str, given)) if isinstance(given, (list, tuple)) else {str(given)}
    others = sorted(kinds - {*KNOWN_LAYERS, "attention"})
    if others or any("ssm" in name or "mamba" in name for name in config):
        named = f" ({', '.join(others)})" if others else ""
        yield f"it has layers that do not keep keys of every position{named}"
    if "sliding_attention" in kinds and config.get("model_type") in ALIKE:
        yield "its layer_types name sliding ones, and transformers treats all layers alike in it"

"""What is wrong with the rotary positions in a base model's `config.json`.

transformers ignores a scaling that it cannot read: without a type it computes unscaled positions,
which no error tells, and a model then writes worse the longer its texts are. So whatever a config
says of its positions must be used, or the base is refused.
Source: transformers 5.23, `modeling_rope_utils` and `configuration_<type>.convert_rope_params...`.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

Config = Mapping[str, Any]

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
"""What each kind of rotary scaling needs."""
MAY_HAVE: Mapping[str, tuple[str, ...]] = {
    "yarn": (
        "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate",
        "original_max_position_embeddings",
    ),
    "longrope": ("attention_factor", "factor", "original_max_position_embeddings"),
    "proportional": ("factor",),
}  # fmt: skip
"""What each kind reads beside."""
BY_LAYER = ("gemma3_text", "olmo3")
"""Types that have one rope for full attention and one for sliding windows."""
LAYERS = ("full_attention", "sliding_attention")
_COMMON = ("type", "rope_type", "rope_theta", "partial_rotary_factor")
_OLD_ROPES = ("su", "yarn")
"""What Phi-3's first files call longrope."""
_NEEDS_HEAD = ("dynamic", "yarn", "longrope")
"""Kinds that fail at a `head_dim` of null, except where the config's class works it out."""
_AGAIN = "correct config.json, or fetch it again"


def rope_faults(config: Config) -> Iterator[str]:
    """Why positions would be other than the config says: found; wanted; what to do."""
    given: dict[str, Any] = {n: config.get(n) for n in ("rope_parameters", "rope_scaling")}
    given = {name: value for name, value in given.items() if value not in (None, {})}
    for name, value in given.items():
        if not isinstance(value, Mapping):
            yield (
                f"config.json has {name} {value!a:.40}; wanted an object with a rope_type, or "
                f"null; {_AGAIN}"
            )
            return
    if len(given) == 2 and given["rope_parameters"] != given["rope_scaling"]:
        yield (
            "config.json has both rope_scaling and rope_parameters, and they differ: transformers "
            "would take the first alone; wanted rope_parameters with all of it; correct config.json"
        )
        return
    for name, value in given.items():
        yield from _faults_of(name, value, config)


def rope_notes(config: Config) -> Iterator[str]:
    """What transformers leaves out, or fills in, of sound ropes."""
    for name in ("rope_parameters", "rope_scaling"):
        for rope in _ropes(config.get(name)):
            kind = _kind(rope, config)
            known = {*_COMMON, *ROPE_KEYS.get(kind, ()), *MAY_HAVE.get(kind, ())}
            if more := sorted(str(key) for key in rope.keys() - known):
                yield f"config.json has {', '.join(more)!a:.90} in {name}, which no {kind} rope has"
            longest = "original_max_position_embeddings"
            if kind == "yarn" and longest not in rope and longest not in config:
                yield (
                    f"the yarn rope in {name} has no {longest}; transformers takes "
                    f"max_position_embeddings ({config.get('max_position_embeddings')})"
                )


def _faults_of(name: str, given: Mapping[str, Any], config: Config) -> Iterator[str]:
    kind = config.get("model_type")
    is_nested = any(isinstance(rope, Mapping) for rope in given.values())
    if is_nested and (kind not in BY_LAYER or name == "rope_scaling"):
        yield (
            f"config.json has {name} by kind of layer, which transformers would leave out for a "
            f"model of type {kind!a}; wanted one object with a rope_type; {_AGAIN}"
        )
        return
    if kind in BY_LAYER and name == "rope_parameters":
        others = sorted(str(key) for key in given.keys() - set(LAYERS))
        if others:
            yield (
                f"config.json has {', '.join(others)!a:.60} in {name}; wanted "
                f"{' and '.join(LAYERS)} for type {kind}, or they are left out; {_AGAIN}"
            )
            return
        odd = [key for key, rope in given.items() if not isinstance(rope, Mapping | None)]
        if odd:
            yield f"config.json has {name}.{odd[0]} that is not an object; {_AGAIN}"
            return
    if kind in BY_LAYER and "type" in given and "rope_type" not in given:
        yield (
            f"config.json has a type, but no rope_type in {name}: transformers would leave it out "
            f"for a model of type {kind}; wanted rope_type; correct config.json"
        )
    for rope in _ropes(given):
        yield from _kind_faults(name, rope, config)


def _ropes(given: object) -> list[Mapping[str, Any]]:
    """One for each kind of layer, or one for all."""
    if not isinstance(given, Mapping) or not given:
        return []
    inner = [rope for rope in given.values() if isinstance(rope, Mapping)]
    return inner or ([given] if not set(given) <= set(LAYERS) else [])


def _kind(rope: Mapping[str, Any], config: Config) -> Any:  # noqa: ANN401 (as JSON has it)
    kind = rope.get("rope_type", rope.get("type", "default"))
    return "longrope" if config.get("model_type") == "phi3" and kind in _OLD_ROPES else kind


def _kind_faults(name: str, rope: Mapping[str, Any], config: Config) -> Iterator[str]:
    kind = _kind(rope, config)
    known = ("default", "longrope") if config.get("model_type") == "phi3" else tuple(ROPE_KEYS)
    if not isinstance(kind, str) or kind not in known:
        yield (
            f"config.json has the rope_type {kind!a:.40} in {name}; wanted one of "
            f"{', '.join(known)}; {_AGAIN}"
        )
        return
    if "type" in rope and _kind({"type": rope["type"]}, config) != kind:
        yield (
            f"config.json has type {rope['type']!a:.40} beside rope_type {kind!a} in {name}; "
            "wanted one of them; correct config.json"
        )
    longest = "original_max_position_embeddings"
    if "su" in (rope.get("rope_type"), rope.get("type")) and longest not in rope:
        yield (
            f"config.json has type su in {name} without {longest}, at which transformers fails; "
            "wanted rope_type longrope; correct config.json"
        )
    more = sorted(str(key) for key, value in rope.items() if key not in _COMMON and value)
    if kind == "default" and more:
        has = "the rope_type 'default'" if rope.keys() & {"type", "rope_type"} else "no rope_type"
        yield (
            f"config.json has {', '.join(more)!a:.90} in {name}, but {has} there, so that "
            "transformers would leave it out; wanted a rope_type, such as "
            f"{_likely(rope)}; {_AGAIN}"
        )
    for key in ROPE_KEYS[kind]:
        value = rope.get(key, config.get(key))
        is_list = key in ("short_factor", "long_factor")
        if not (_are_scales(value) if is_list else _is_number(value) and value > 0):
            wanted = "a list of numbers" if is_list else "a number"
            yield (
                f"config.json has {key} {value!a:.40} in {name} of type {kind}; wanted {wanted} "
                f"above 0; {_AGAIN}"
            )
        elif is_list and (size := _rotated(rope, config)) not in (None, len(value)):
            yield (
                f"config.json has {len(value)} numbers in {key} of {name}; wanted {size}, one for "
                f"each frequency of a head; {_AGAIN}"
            )
    yield from _number_faults(name, kind, rope, config)


def _number_faults(name: str, kind: str, rope: Mapping[str, Any], config: Config) -> Iterator[str]:
    optional = [key for key in MAY_HAVE.get(kind, ()) if key != "truncate"]
    for key in (*optional, "rope_theta", "partial_rotary_factor"):
        may_be_null = key in (
            "attention_factor",
            "beta_fast",
            "beta_slow",
            "mscale",
            "mscale_all_dim",
        )
        value: Any = rope.get(key)
        is_sound = (_is_number(value) and value > 0) or (value is None and may_be_null)
        if key in rope and not is_sound:
            yield (
                f"config.json has {key} {value!a:.40} in {name}; wanted a number above 0; {_AGAIN}"
            )
    low: Any = rope.get("low_freq_factor")
    high: Any = rope.get("high_freq_factor")
    if kind == "llama3" and _is_number(low) and _is_number(high) and not low < high:
        yield (
            f"config.json has low_freq_factor {low} and high_freq_factor {high} in {name}; wanted "
            f"the second one above the first; {_AGAIN}"
        )
    for key in ("rope_theta", "original_max_position_embeddings"):
        default = 4096 if config.get("model_type") == "phi3" and key != "rope_theta" else None
        outside = config.get(key, default)
        if key in rope and outside is not None and rope[key] != outside:
            yield (
                f"config.json has {key} {outside!a:.40}, and {rope[key]!a:.40} in {name}; wanted "
                f"the same in both; {_AGAIN}"
            )
    is_null = "head_dim" in config and config["head_dim"] is None
    if is_null and kind in _NEEDS_HEAD and config.get("model_type") not in ("llama", "mistral"):
        yield f"config.json has head_dim null beside a {kind} rope; wanted a number; {_AGAIN}"


def _likely(rope: Mapping[str, Any]) -> str:
    """The kind that has most of the keys."""
    return max(ROPE_KEYS, key=lambda kind: len({*ROPE_KEYS[kind]} & rope.keys()))


def _rotated(rope: Mapping[str, Any], config: Config) -> int | None:
    """Frequencies of a head; None where its size is not to be told."""
    part = rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))
    hidden, heads = config.get("hidden_size"), config.get("num_attention_heads")
    size = config.get("head_dim") if config.get("model_type") != "phi3" else None
    if size is None and type(hidden) is int and type(heads) is int and heads:
        size = hidden // heads
    return int(size * part) // 2 if type(size) is int and _is_number(part) else None


def _are_scales(value: object) -> bool:
    """A list of numbers above 0."""
    return isinstance(value, list) and bool(value) and all(_is_number(n) and n > 0 for n in value)


def _is_number(value: Any) -> bool:  # noqa: ANN401 (as JSON has it)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

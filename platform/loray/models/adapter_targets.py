"""Which modules of a base an adapter is on, by PEFT's rules, as plain names.

PEFT takes regular expressions in four places, and layer numbers beside a name of the layers' list.
Held against a base, each stands for a list of names; those are what the registry keeps.
Source: `peft.tuners.tuners_utils.check_target_module_exists`, `peft.utils.other.get_pattern_key`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from loray.errors import AdapterError
from loray.models.adapter_config import PATTERN_KEY, AdapterConfig
from loray.models.base_modules import BaseModules
from loray.models.expressions import Expression, hits

PATTERNS = ("rank_pattern", "alpha_pattern")
ALL_LINEAR = "all-linear"


def needs_base(document: Mapping[str, Any]) -> list[str]:
    """Keys of a configuration whose meaning depends on the base's module names."""
    found = [k for k in ("target_modules", "exclude_modules") if isinstance(document.get(k), str)]
    if document.get("layers_pattern") and _layers(document) is not None:
        found.append("layers_pattern")
    found += [
        key
        for key in PATTERNS
        if any(re.fullmatch(PATTERN_KEY, name) is None for name in document.get(key) or ())
    ]
    return found


def in_plain_names(document: Mapping[str, Any], base: BaseModules) -> dict[str, Any]:
    """`document` with the names that its targets and patterns stand for over `base`.

    Raises:
        AdapterError: an expression is not one, matches nothing, or matches what LoRA cannot adapt.
    """
    targets = _targets(document, base)
    plain = dict(document) | {"target_modules": targets}
    plain |= dict.fromkeys(("exclude_modules", "layers_to_transform", "layers_pattern"))
    for key in PATTERNS:
        plain[key] = _by_name(key, document.get(key) or {}, targets)
    return plain


def _targets(document: Mapping[str, Any], base: BaseModules) -> list[str]:
    names, wanted = base.names, document["target_modules"]
    if isinstance(wanted, str):
        if wanted.lower() == ALL_LINEAR:
            found = sorted(base.linears)
        else:
            (where,) = hits([Expression("fullmatch", wanted, "target_modules")], names)
            found = [name for name, hit in zip(names, where, strict=True) if hit is not None]
    else:
        found = _in_layers(document, [n for n in names if _ends_with(n, wanted)], wanted)
    found = _without(document, found)
    odd = [name for name in found if name not in base.linears and name not in base.tables]
    if odd or not found:
        what = f"matches {odd[0]}, which is not a linear layer" if odd else "matches no module"
        raise AdapterError(
            f"target_modules is {ascii(wanted)[:120]}, which {what} of the base model; import the "
            "adapter for the base that it was trained on"
        )
    return found


def _without(document: Mapping[str, Any], names: list[str]) -> list[str]:
    """`names` but for those that are excluded, or in the file in full."""
    excluded = document.get("exclude_modules") or ()
    if isinstance(excluded, str):
        (where,) = hits([Expression("fullmatch", excluded, "exclude_modules")], names)
        names = [name for name, hit in zip(names, where, strict=True) if hit is None]
    else:
        names = [name for name in names if not _ends_with(name, excluded)]
    in_full = document.get("modules_to_save") or ()
    return [name for name in names if not any(f".{part}." in f".{name}." for part in in_full)]


def _in_layers(document: Mapping[str, Any], names: list[str], wanted: Sequence[str]) -> list[str]:
    """Those of the layers to transform; a name that is listed in whole is taken in any layer."""
    layers = _layers(document)
    if layers is None:
        return names
    patterns = document.get("layers_pattern") or []
    patterns = [patterns] if isinstance(patterns, str) else patterns
    lists = [rf"(?:^|.*?\.){pattern}" for pattern in patterns] or [r".*?\.[^.]*"]
    asked = [Expression("match", rf"{text}\.(?P<idx>\d+)\.", "layers_pattern") for text in lists]
    places = hits(asked, names)
    found = []
    for at, name in enumerate(names):
        number = next((place[at] for place in places if place[at] is not None), None)
        if name in wanted or (number and int(number) in layers):
            found.append(name)
    return found


def _layers(document: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The numbers in `layers_to_transform`; None for all layers."""
    layers = document.get("layers_to_transform")
    if layers is None or layers == []:
        return None
    return (layers,) if isinstance(layers, int) else tuple(layers)


def _by_name(key: str, patterns: Mapping[str, Any], targets: list[str]) -> dict[str, Any]:
    """The value of each target that a pattern names; the first pattern that matches counts."""
    asked = [Expression("match", rf"(.*\.)?({name})$", key) for name in patterns]
    places, found = hits(asked, targets), {}
    for at, target in enumerate(targets):
        for value, place in zip(patterns.values(), places, strict=True):
            if place[at] is not None:
                found[target] = value
                break
    return found


def _ends_with(name: str, wanted: Sequence[str]) -> bool:
    return any(name == word or name.endswith(f".{word}") for word in wanted)


def same_targets(config: AdapterConfig, base: BaseModules) -> list[str]:
    """The modules of `base` that a checked configuration puts an adapter on."""
    return [
        name
        for name in (*sorted(base.linears), *base.tables)
        if config.is_target(name) and not config.is_in_full(name)
    ]

"""From what pydantic refuses to what a person can act on: found; wanted; do."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from loray.spec import shape
from loray.spec.base import NAME_PATTERN, Finding, RuleError
from loray.spec.faults import Path, did_you_mean, quoted, shown
from loray.spec.fields import INSTEAD

Details = Any
"""One entry of `ValidationError.errors()`; `ctx` holds what its `type` says."""

MAX_REMEDY = 1e15
"""Beyond, a number in digits helps nobody, and is out of every field's range."""

_Entry = tuple[Path, shape.Node, Details]


class Refusal(NamedTuple):
    """A refused value: where it is, whether its key is to blame, and the words for it."""

    path: Path
    message: str | None
    """None when another refusal says it better."""
    is_key: bool = False


def refusals(errors: Iterable[Details]) -> Iterator[Refusal]:
    """What pydantic refused, each place once, rules over several fields left out.

    Each member of a union complains; what is said deepest inside the value is what helps.
    """
    entries = [(*shape.follow(error["loc"]), error) for error in errors if not _is_rule(error)]
    told: set[Path] = set()
    for path, node, error in entries:
        is_echo = error["type"] in {"too_short", "literal_error"} and any(
            len(deeper) > len(path) and deeper[: len(path)] == path for deeper, _, _ in entries
        )
        if not is_echo and path not in told:
            told.add(path)
            is_said = _is_misspelt(path, error, entries)
            yield Refusal(path, None) if is_said else _refusal(path, node, error)


def _is_misspelt(path: Path, error: Details, entries: list[_Entry]) -> bool:
    """Whether a missing field is there under a name that an unknown field's fault corrects."""
    return error["type"] == "missing" and any(
        other["type"] == "extra_forbidden"
        and unknown[:-1] == path[:-1]
        and did_you_mean(unknown[-1], _fields_around(other)) == path[-1]
        for unknown, _, other in entries
    )


def rule_findings(errors: Iterable[Details]) -> Iterator[tuple[Path, Finding]]:
    """What rules over several fields found, with the path of the model whose rule it is."""
    for error in errors:
        if _is_rule(error):
            path, _ = shape.follow(error["loc"])
            yield from ((path, finding) for finding in error["ctx"]["error"].findings)


def _is_rule(error: Details) -> bool:
    return isinstance(error.get("ctx", {}).get("error"), RuleError)


def _refusal(path: Path, node: shape.Node, error: Details) -> Refusal:
    match error["type"]:
        case "extra_forbidden":
            return Refusal(path, _unknown_field(error), is_key=True)
        case "missing":
            return Refusal(path, f"missing; wanted {shape.in_words(node)}; add it", is_key=True)
        case "union_tag_invalid":
            words = _wrong_word(error["input"]["kind"], shape.tags(node))
            return Refusal((*path, "kind"), words)
        case "union_tag_not_found":
            kinds = shape.choice(shape.tags(node))
            return Refusal(path, f"found no `kind`; wanted {kinds}; add `kind:`")
        case _:
            return Refusal(path, _wrong_value(error, node))


def _unknown_field(error: Details) -> str:
    known = _fields_around(error)
    if "completion" in known and error["loc"][-1] in INSTEAD:
        return f"unknown field; {INSTEAD[error['loc'][-1]]}"
    near = did_you_mean(error["loc"][-1], known)
    remedy = f"did you mean `{near}`?" if near else f"the fields here are {', '.join(known)}"
    return f"unknown field; {remedy}"


def _fields_around(error: Details) -> list[str]:
    """The fields of the block that an error's last step is in."""
    _, parent = shape.follow(error["loc"][:-1])
    return list(parent.get("properties", ()))


def _wrong_word(value: object, known: list[str]) -> str:
    near = did_you_mean(value, known)
    remedy = f"did you mean {near}?" if near else "use one of these"
    return f"found {shown(value)}; wanted {shape.choice(known)}; {remedy}"


def _wrong_value(error: Details, node: shape.Node) -> str:
    value = error["input"]
    match error["type"]:
        case "literal_error":
            return _wrong_word(value, list(map(str, node.get("enum", [node.get("const")]))))
        case "value_error":
            return str(error["ctx"]["error"])
        case "too_short":
            return f"found {shown(value)}; wanted {shape.in_words(node)}; add what is missing"
        case "string_pattern_mismatch" | "string_too_long" if "pattern" in node:
            return _wrong_text(value, node["pattern"])
        case "tuple_type" | "model_type" | "model_attributes_type" if not isinstance(value, dict):
            return _wrong_block(value, node)
        case _:
            return f"found {shown(value)}; wanted {shape.in_words(node)}; {_remedy(value, node)}"


def _wrong_text(value: str, pattern: str) -> str:
    if pattern != NAME_PATTERN:
        return f"found {quoted(value)}; wanted text like {pattern}; correct it"
    near = re.sub(r"[^a-z0-9._-]+", "-", value.lower()).strip("-._")[:64].rstrip("-._")
    return (
        f"found {quoted(value)}; wanted 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter "
        f"or digit; use {near or 'my-adapter'}"
    )


def _wrong_block(value: object, node: shape.Node) -> str:
    kinds = shape.tags(node)
    if isinstance(value, str) and (near := did_you_mean(value, kinds)):
        return f"found {shown(value)}; wanted a block; write {{kind: {near}}}"
    if kinds:
        return f"found {shown(value)}; wanted a block with kind: {shape.choice(kinds)}; write one"
    if node.get("type") == "array" and isinstance(value, str | int | float):
        return f"found {shown(value)}; wanted {shape.in_words(node)}; write [{value}]"
    return f"found {shown(value)}; wanted {shape.in_words(node)}; write one, or remove the key"


def _remedy(value: object, node: shape.Node) -> str:
    kind = shape.members(node)[0]
    wanted = kind.get("type")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted == "string" and isinstance(value, bool | int | float):
        return f'put it in quotes: "{shown(value)}"'
    if wanted == "integer" and isinstance(value, float) and value.is_integer():
        is_within = kind.get("minimum", value) <= value <= kind.get("maximum", value)
        is_small = abs(value) < MAX_REMEDY
        return f"write {value:.0f}" if is_within and is_small else "choose one within the range"
    if wanted in {"integer", "number"} and isinstance(value, str):
        plain = value.replace("_", "").replace(",", "")
        is_text_of_one = re.fullmatch(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?", plain, re.IGNORECASE)
        return f"write {plain} without quotes" if is_text_of_one else "write a number"
    return "choose one within the range" if is_number else "write one"

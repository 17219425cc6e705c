"""Definitions and calls of tools, in one form: OpenAI's, arguments as an object.

OpenAI's API writes arguments as JSON text, sets of Hugging Face as an object. Templates that write
what they are given as JSON would write such a text a second time, as a text, so it is decoded for
all of them. Numbers keep their spelling, and nulls of JSON stay.

Many sets define a tool as `{"name", "description", "parameters"}` alone. Clients send it within
`{"type": "function", "function": ...}`, and templates write what they get, so it is put into that.

Reasons: `bad_tools`, `bad_arguments`, `duplicate_key`, `malformed_json`, `unknown_message_field`.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from loray.data.sources.decoding import (
    FaultError,
    NotANumber,
    Number,
    Twice,
    kind_of,
    parse_json,
    there_are,
    value_of,
)

CALL_KEYS = frozenset({"id", "type", "index", "function", "name", "arguments"})
_WANTED = (
    'wanted {"type": "function", "function": {"name", "description", "parameters"}}, or the inner '
    "object alone, its parameters a JSON schema"
)
FUNCTION_KEYS = frozenset({"name", "arguments"})


def calls_of(message: Mapping[str, Any], blocks: Sequence[Any]) -> list[dict[str, Any]]:
    """What an assistant's message calls.

    Args:
        blocks: calls that its content holds.

    Raises:
        FaultError: a call that is none, or calls in two places.
    """
    listed = _from_json(value_of(message, "tool_calls"), "bad_tools", "'tool_calls'")
    older = value_of(message, "function_call")
    found = [listed, [] if says_nothing(older) else [older], list(blocks)]
    given = [calls for calls in found if not says_nothing(calls)]
    if not given:
        return []
    if len(given) > 1:
        raise FaultError("bad_tools", "calls in two places; wanted 'tool_calls' alone")
    if not isinstance(given[0], list):
        raise FaultError("bad_tools", f"'tool_calls' is {kind_of(given[0])}; wanted a list")
    return [_call(entry) for entry in given[0]]


class Tools(NamedTuple):
    """The definitions of a row."""

    text: str
    """JSON of the list."""
    is_wrapped: bool
    """Whether one of them came without `{"type": "function", "function": ...}` around it."""


def tools_of(tools: object) -> Tools | None:
    """The definitions of a row as clients send them; None where it has none.

    Raises:
        FaultError: they are no list of definitions, nor its JSON text.
    """
    tools = _from_json(tools, "bad_tools", "tools")
    if says_nothing(tools):
        return None
    if not isinstance(tools, list):
        raise FaultError("bad_tools", f"tools are {kind_of(tools)}; wanted a list of objects")
    found = [_definition(tool, number) for number, tool in enumerate(tools, start=1)]
    is_wrapped = any(whole is not tool for whole, tool in zip(found, tools, strict=True))
    return Tools(as_json(found), is_wrapped)


def _definition(tool: object, number: int) -> dict[str, Any]:
    """A definition in OpenAI's form: as it came, or put into it."""
    if not isinstance(tool, dict):
        raise FaultError("bad_tools", f"tool {number} is {kind_of(tool)}; wanted an object")
    kind = value_of(tool, "type")
    function = value_of(tool, "function")
    if kind not in (None, "function") or not (function is None or isinstance(function, dict)):
        what = "function" if kind in (None, "function") else "type"
        raise FaultError(
            "bad_tools", f"tool {number} has a {what} of {kind_of(tool[what])}; {_WANTED}"
        )
    own = tool if function is None else function
    name = value_of(own, "name")
    if not isinstance(name, str) or isinstance(name, Number) or not name:
        raise FaultError("bad_tools", f"tool {number} has no name; {there_are(own)}; {_WANTED}")
    given = value_of(own, "parameters")
    if not (given is None or isinstance(given, dict)) or "input_schema" in own:
        found = "an input_schema" if "input_schema" in own else f"parameters of {kind_of(given)}"
        raise FaultError("bad_tools", f"tool {number} ({name[:64]}) has {found}; {_WANTED}")
    if function is None:
        return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}
    return tool if kind else {"type": "function", **tool}


def as_json(value: Any) -> str:  # noqa: ANN401 (JSON)
    """JSON of a decoded value, its numbers as they were spelled.

    Raises:
        FaultError: a key in it stands twice, or it holds what JSON does not have.
    """
    match value:
        case Number():
            return str(value)
        case Twice():
            raise FaultError("duplicate_key", "a key of an object stands twice; wanted it once")
        case NotANumber():
            raise FaultError("malformed_json", "NaN or Infinity, which JSON does not have")
        case float() if not math.isfinite(value):
            raise FaultError("malformed_json", "NaN or Infinity, which JSON does not have")
        case dict():
            pairs = (f"{as_json(str(key))}: {as_json(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case list() | tuple():
            return f"[{', '.join(map(as_json, value))}]"
        case str() | bool() | int() | float() | None:
            return json.dumps(value, ensure_ascii=False)
        case _:
            raise FaultError("bad_tools", f"found {type(value).__name__}, which JSON does not have")


def says_nothing(value: object) -> bool:
    """Whether a value is null or empty."""
    return value is None or (isinstance(value, str | list | dict | tuple) and not value)


def check_keys(found: Mapping[str, Any], known: Collection[str], where: str = "") -> None:
    """Refuse what nobody would learn.

    Args:
        where: what stands before the names of its keys.

    Raises:
        FaultError: a key that is not known says something.
    """
    unknown = [key for key, value in found.items() if key not in known and not says_nothing(value)]
    if unknown:
        names = ", ".join(repr(where + key[:64]) for key in unknown[:8])
        raise FaultError(
            "unknown_message_field",
            f"found {names}, which loray does not learn; take it out of the rows, or name it in "
            "fields.keys.leave_out",
        )


def _call(entry: object) -> dict[str, Any]:
    """A call as OpenAI writes it, its arguments as an object."""
    if not isinstance(entry, dict):
        raise FaultError("bad_tools", f"a call is {kind_of(entry)}; wanted an object")
    check_keys(entry, CALL_KEYS, "tool_calls.")
    kind = value_of(entry, "type")
    if kind not in (None, "function"):
        raise FaultError("bad_tools", f"a call of type {str(kind)[:64]!r}; wanted 'function'")
    function = value_of(entry, "function")
    if function is None:
        function = {key: value_of(entry, key) for key in ("name", "arguments")}
    if not isinstance(function, dict):
        raise FaultError("bad_tools", f"a call's function is {kind_of(function)}; wanted an object")
    check_keys(function, FUNCTION_KEYS, "tool_calls.function.")
    name = value_of(function, "name")
    if not isinstance(name, str) or isinstance(name, Number) or not name:
        raise FaultError("bad_tools", f"a call's name is {kind_of(name)}; wanted text")
    called = {"name": name, "arguments": _arguments(value_of(function, "arguments"), name)}
    if "function" not in entry:
        entry = {**entry, "type": "function"}
    named = {key: entry[key] for key in ("id", "type") if not says_nothing(value_of(entry, key))}
    return {**named, "function": called}


def _arguments(given: object, name: str) -> dict[str, Any]:
    """Arguments as an object; a call without any has an empty one."""
    found = _from_json(given, "bad_arguments", f"the arguments of {name[:64]!r}")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise FaultError(
            "bad_arguments",
            f"the arguments of {name[:64]!r} are {kind_of(found)}; wanted an object",
        )
    return found


def _from_json(value: object, reason: str, what: str) -> Any:  # noqa: ANN401
    """A value, or what its JSON text holds; None for a blank one."""
    if not isinstance(value, str) or isinstance(value, Number):
        return value
    if not value.strip():
        return None
    try:
        return parse_json(value)
    except ValueError as error:
        raise FaultError(reason, f"{what} are text that is not JSON ({error})") from error

"""The shape of a RunSpec as JSON Schema: which fields stand where, and what each may hold.

One description serves three readers: editors (the exported schema), the words of a fault (what was
wanted, what was probably meant), and the stand-ins that let rules over several fields be checked
while another field is wrong.
"""

from functools import cache
from typing import Any, cast

from loray.spec.faults import Path
from loray.spec.run import RunSpec

Node = dict[str, Any]

Location = tuple[str | int, ...]
"""Where pydantic says an error is: a path, with the members of unions named in between."""


@cache
def root() -> Node:
    """The JSON Schema of a whole spec, as pydantic makes it."""
    return RunSpec.model_json_schema()


def resolved(node: Node) -> Node:
    """`node` itself, or what it refers to."""
    if "$ref" not in node:
        return node
    name = node["$ref"].rpartition("/")[2]
    return cast("Node", root()["$defs"][name]) | {k: v for k, v in node.items() if k != "$ref"}


def members(node: Node) -> list[Node]:
    """The alternatives of a union, nothing left out but null; the node alone if it is none."""
    node = resolved(node)
    for union in ("oneOf", "anyOf"):
        if union in node:
            return [m for m in map(resolved, node[union]) if m.get("type") != "null"]
    return [node]


def tags(node: Node) -> list[str]:
    """What `kind` may be, in a union that `kind` decides."""
    node = resolved(node)
    named = {ref: tag for tag, ref in node.get("discriminator", {}).get("mapping", {}).items()}
    return [named[member["$ref"]] for member in node.get("oneOf", ()) if named]


def follow(location: Location) -> tuple[Path, Node]:
    """The path that `location` means, and the schema node it leads to.

    The node is empty where the spec has no such field.
    """
    path: list[str | int] = []
    node = root()
    for step in location:
        node = resolved(node)
        if "discriminator" in node and step in node["discriminator"]["mapping"]:
            node = resolved({"$ref": node["discriminator"]["mapping"][step]})
        elif len(alternatives := members(node)) > 1:
            node = _member_named(alternatives, str(step))
        else:
            path.append(step)
            node = _child(alternatives[0], step)
    return tuple(path), resolved(node)


def node_at(data: object, path: Path) -> Node:
    """The schema node that `path` leads to in `data`; empty where the spec has no such field."""
    node = root()
    for step in path:
        node = _child(_chosen(node, data), step)
        data = _inside(data, step)
    return resolved(node)


def _inside(data: object, step: str | int) -> object:
    if isinstance(data, dict):
        return data.get(step)
    return data[step] if isinstance(data, tuple) and isinstance(step, int) else None


def _chosen(node: Node, data: object) -> Node:
    """The member of a union that `data` is, by its `kind` or by being a list."""
    mapping = resolved(node).get("discriminator", {}).get("mapping", {})
    kind = data.get("kind") if isinstance(data, dict) else None
    if isinstance(kind, str) and kind in mapping:
        return resolved({"$ref": mapping[kind]})
    wanted = "array" if isinstance(data, tuple) else "object"
    alternatives = members(node)
    return next((m for m in alternatives if m.get("type") == wanted), alternatives[0])


def _member_named(alternatives: list[Node], label: str) -> Node:
    """Pydantic labels a member `literal[...]` or `tuple[...]`."""
    wanted = "array" if label.startswith("tuple[") else "string"
    return next((m for m in alternatives if m.get("type") == wanted), {})


def _child(node: Node, step: str | int) -> Node:
    if isinstance(step, int):
        return cast("Node", node.get("items", {}))
    return cast("Node", node.get("properties", {}).get(step, {}))


def stand_in(node: Node) -> object:
    """A value that `node` accepts, for use in the place of one that it refuses."""
    if "default" in (whole := resolved(node)):
        return _as_spec_value(whole["default"])
    node = members(node)[0]
    match node:
        case {"const": given} | {"enum": [given, *_]}:
            value = given
        case {"examples": [given, *_]}:
            value = _as_spec_value(given)
        case {"type": "object", "properties": fields}:
            needed = [n for n in fields if n in node.get("required", ()) or "const" in fields[n]]
            value = {name: stand_in(fields[name]) for name in needed}
        case {"type": "array", "items": item}:
            value = tuple(stand_in(item) for _ in range(node.get("minItems", 0)))
        case {"type": "integer" | "number"}:
            value = _smallest(node)
        case {"type": "boolean"}:
            value = False
        case _:
            value = "x"
    return value


def _smallest(node: Node) -> float | int:
    """The least number allowed, 0 when nothing bounds it."""
    if "exclusiveMinimum" in node:
        return cast("float", node.get("maximum", node["exclusiveMinimum"] + 1))
    return cast("float", node.get("minimum", 0))


def _as_spec_value(value: object) -> object:
    """JSON's lists are a spec's tuples."""
    if isinstance(value, list):
        return tuple(map(_as_spec_value, value))
    if isinstance(value, dict):
        return {key: _as_spec_value(each) for key, each in value.items()}
    return value


def in_words(node: Node) -> str:
    """What a schema node accepts, in words."""
    node = members(node)[0]
    match node:
        case {"enum": [*words]}:
            wanted = choice(list(map(str, words)))
        case {"const": word}:
            wanted = str(word)
        case {"type": "integer" | "number" as number}:
            wanted = f"a {'whole ' if number == 'integer' else ''}number{_range(node)}"
        case {"type": "boolean"}:
            wanted = "true or false"
        case {"type": "array", "minItems": least}:
            wanted = f"a list of at least {least}"
        case {"type": "array"}:
            wanted = "a list"
        case {"type": "object", "properties": fields}:
            wanted = f"a block of {', '.join(fields)}"
        case _:
            wanted = "text"
    return wanted


def _range(node: Node) -> str:
    low = node.get("minimum", node.get("exclusiveMinimum"))
    high = node.get("maximum", node.get("exclusiveMaximum"))
    if "minimum" in node and "maximum" in node:
        return f" from {low:.12g} to {high:.12g}"
    words = []
    if low is not None:
        words.append(f"{'of at least' if 'minimum' in node else 'above'} {low:.12g}")
    if high is not None:
        words.append(f"{'at most' if 'maximum' in node else 'below'} {high:.12g}")
    return " " + " and ".join(words) if words else ""


def choice(words: list[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))

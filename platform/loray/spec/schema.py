"""The spec's JSON Schema for editors, and its reference page for people."""

import json
from collections.abc import Iterator
from typing import Any

from loray.spec import shape

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"

_OPENING = """\
# The run spec

Generated from the models in `platform/loray/spec/` by `loray schema --markdown`; a test compares.

A spec is YAML 1.2 data: no interpolation, no environment variables, no includes, no tags, no
aliases. `loray init FILE` writes a commented starter, `loray validate FILE` lists every fault with
its line, `--set path=value` overrides a value for one command, and `loray schema` prints the JSON
Schema that editors complete from.

Blocks and fields without a default must be given. Where `kind` decides what else a block may hold,
each kind has a section of its own. `resources`, `storage` and `tracking` say where a run happens
and who hears of it: they never change what it makes, and are not part of any fingerprint."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a run spec, descriptions included.

    Lists are arrays and unions are told apart by `kind`, so that an editor completes both. Rules
    over several fields are beyond JSON Schema; `loray validate` checks them.
    """
    body = {key: value for key, value in shape.root().items() if key != "title"}
    return {"$schema": SCHEMA_ID, "title": "loray run spec"} | body


def reference_page() -> str:
    """The text of `docs/reference/spec.md`: every field, its values, its default, its meaning."""
    return "\n".join([_OPENING, *_sections("", shape.root(), {})]) + "\n"


def _sections(path: str, node: shape.Node, told: dict[str, str]) -> Iterator[str]:
    """A table for the block `node`, then those of the blocks within it.

    Args:
        told: the models that have a table already, and the path it stands under.
    """
    fields = {name: field for name, field in node["properties"].items() if "const" not in field}
    kinds = [field["const"] for field in node["properties"].values() if "const" in field]
    title = f"`{path}` with `kind: {kinds[0]}`" if kinds else f"`{path}`" if path else "The whole"
    if node["title"] in told:
        yield f"\n## {title}\n\nAs `{told[node['title']]}`."
        return
    told[node["title"]] = path
    model = shape.root()["$defs"].get(node["title"], node)  # a field's words hide its model's
    yield f"\n## {title}\n\n{model['description']}"
    if fields:
        yield "\n| field | value | default | meaning |\n|---|---|---|---|"
        for name, field in fields.items():
            yield _row(name, field, is_required=name in node.get("required", ()))
    for name, field in fields.items():
        for inner, is_list in _blocks_in(field):
            yield from _sections(
                f"{path}.{name}".lstrip(".") + ("[]" if is_list else ""), inner, told
            )


def _blocks_in(field: shape.Node) -> Iterator[tuple[shape.Node, bool]]:
    """The blocks that a field holds, and whether it holds a list of them."""
    for member in shape.members(field):
        items = shape.members(member["items"]) if member.get("type") == "array" else []
        for block in items or [member]:
            if block.get("type") == "object":
                yield block, bool(items)


def _row(name: str, field: shape.Node, *, is_required: bool) -> str:
    holds_block = any(True for _ in _blocks_in(field))
    if is_required:
        default = "required"
    elif holds_block:
        default = "none" if not field.get("default") else "as below"
    else:
        default = f"`{json.dumps(field.get('default'))}`".replace("`null`", "none")
    own = shape.resolved(field) if not holds_block else field
    meaning = " ".join(own.get("description", "").split()).replace("|", "\\|")
    return f"| `{name}` | {_values(field).replace('|', chr(92) + '|')} | {default} | {meaning} |"


def _values(field: shape.Node) -> str:
    """What a field may be, in words."""
    words = []
    for member in shape.members(field):
        if member.get("type") == "object":
            words.append("block")
        elif member.get("type") == "array":
            words.append(f"list of {_values(member['items'])}")
        else:
            words.append(shape.in_words(member))
    return ", or ".join(dict.fromkeys(words))

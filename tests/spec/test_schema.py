import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from loray.cli.initial import starter
from loray.spec import yaml12
from loray.spec.load import parse_run_spec
from loray.spec.schema import json_schema, reference_page
from tests.spec.conftest import SOUND


def as_json(text: str):
    """A YAML text as the JSON that an editor would check."""
    return json.loads(json.dumps(yaml12.read(text, "spec.yaml").data))


def test_the_schema_is_sound_and_accepts_the_starter():
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(as_json(starter("bot", "base", None)), json_schema())


@pytest.mark.parametrize(
    "line", ["seed: -1", "sed: 1", "method: {kind: lora, rank: 0}", "gates: [{metric: blue}]"]
)
def test_the_schema_refuses_what_the_loader_refuses_field_by_field(line: str):
    jsonschema.validate(as_json(SOUND), json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(as_json(f"{SOUND}{line}\n"), json_schema())


def _fields(node: object) -> Iterator[tuple[str, dict[str, object]]]:
    if isinstance(node, dict):
        yield from node.get("properties", {}).items()
        for inner in node.get("$defs", {}).values():
            yield from _fields(inner)


def test_every_field_says_what_it_is():
    silent = [
        name
        for name, field in _fields(json_schema())
        if "description" not in field and "const" not in field
    ]
    assert silent == []


def test_the_reference_page_is_what_the_models_say(repository: Path):
    page = (repository / "docs" / "reference" / "spec.md").read_text(encoding="utf-8")
    assert page == reference_page(), "run: loray schema --markdown > docs/reference/spec.md"


def test_the_reference_page_has_a_row_for_every_field():
    page = reference_page()
    assert [name for name, _ in _fields(json_schema()) if f"`{name}`" not in page] == []


def test_defaults_on_the_page_are_those_of_the_models():
    spec = parse_run_spec(
        "name: x\nbase_model: {path: x}\ntrain: {steps: 1}\n"
        "data: {sources: [{kind: jsonl, uri: x, fields: {text: t}}]}\n"
    )
    assert f"| `global_size` | a whole number from 1 to 1000000000 | `{16}` |" in reference_page()
    assert spec.train.batch.global_size == 16

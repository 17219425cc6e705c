import pytest
from pydantic import ValidationError

from loray.errors import SpecError
from loray.spec.column_templates import template_of
from loray.spec.fields import FieldsSpec
from loray.spec.load import parse_run_spec

SPEC = """\
name: x
base_model: {{path: base}}
data: {{sources: [{{kind: jsonl, uri: a.jsonl, fields: {fields}}}]}}
train: {{steps: 1}}
"""


def parts(value: str) -> list[tuple[bool, list[tuple[str, bool]]]]:
    found = template_of(value).parts
    return [(part.is_optional, [tuple(piece) for piece in part.pieces]) for part in found]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("question", [(False, [("question", True)])]),
        ("my column: 1?", [(False, [("my column: 1?", True)])]),
        ("{question}", [(False, [("question", True)])]),
        ("{a}{b}", [(False, [("a", True), ("b", True)])]),
        ("Q: {a}\n{b}.", [(False, [("Q: ", False), ("a", True), ("\n", False), ("b", True),
                                   (".", False)])]),
        ("{a}{?\n\n{b}}", [(False, [("a", True)]), (True, [("\n\n", False), ("b", True)])]),
        ("{?{a}: }{b}", [(True, [("a", True), (": ", False)]), (False, [("b", True)])]),
        ("{{{a}}}", [(False, [("{", False), ("a", True), ("}", False)])]),
        ("{a}{?, {b}}{?, {c}}", [(False, [("a", True)]), (True, [(", ", False), ("b", True)]),
                                 (True, [(", ", False), ("c", True)])]),
    ],
)  # fmt: skip
def test_a_template_has_its_parts(value, wanted):
    assert parts(value) == wanted


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{a", "brace at character 1 belongs to no column"),
        ("a}", "brace at character 2"),
        ("{}", "brace at character 1"),
        ("{a {b}}", "brace at character 1"),
        ("{{a}}", "names no column"),
        ("{a}{?x}", "optional part names no column"),
        ("{a}{?x{b}", "is never closed"),
        ("{?a{?{b}}}", "brace at character 4"),
    ],
)
def test_a_template_with_a_fault_is_refused_and_says_where(value, message):
    with pytest.raises(ValueError, match=message):
        template_of(value)
    with pytest.raises(ValidationError):
        FieldsSpec(text=value)


def test_the_columns_of_a_template_are_those_that_are_read():
    fields = FieldsSpec(prompt="{a}{?{b}}", completion="c", system="s", group="g", history="h")
    assert fields.columns == ("a", "b", "c", "g", "h", "s")
    assert fields.optional == ("b",)


@pytest.mark.parametrize(
    "fields",
    [
        "{prompt: a}",
        "{prompt: a, completion: b, text: c}",
        "{text: a, system: b}",
        "{text: a, tools: b}",
        "{text: a, format: sharegpt}",
        "{messages: a, history: b}",
        "{messages: a, prompt: b, completion: c}",
        "{}",
    ],
)
def test_fields_of_no_one_shape_are_refused(fields):
    with pytest.raises(SpecError, match="exactly one shape of row"):
        parse_run_spec(SPEC.format(fields=fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("{prompt: a, chosen: b, rejected: c}", "loray learns answers, it does not compare two"),
        ("{prompt: a, input: b, completion: c}", "join it to the question"),
        ("{conversations: a}", "format: sharegpt"),
        ("{messages: a, format: sharegtp}", "did you mean sharegpt"),
        ("{messages: a, roles: {user: [x], tool: [x]}}", "`roles` has 'x' for two roles"),
        ("{messages: a, keys: {role: x, content: x}}", "`keys` has 'x' for role and content"),
        ("{messages: a, roles: {user: x}}", "wanted a list"),
        ("{messages: a, roles: {human: [x]}}", "unknown field"),
        ('{prompt: "{a", completion: b}', "belongs to no column"),
    ],
)
def test_a_fault_of_the_fields_says_what_to_write(fields, message):
    with pytest.raises(SpecError) as refusal:
        parse_run_spec(SPEC.format(fields=fields))
    assert message in str(refusal.value)


def test_a_role_of_ones_own_takes_the_place_of_the_formats():
    fields = parse_run_spec(
        SPEC.format(fields="{messages: a, format: sharegpt, roles: {calls: [tool]}}")
    )
    (source,) = fields.data.sources
    assert source.fields.role_of["tool"] == "calls"
    assert source.fields.role_of["human"] == "user"
    assert source.fields.message_keys == ("from", "value")

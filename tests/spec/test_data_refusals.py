"""What the `data` block refuses, and in which words."""

from pathlib import Path

import pytest

from loray.errors import SpecError
from loray.spec.load import load_checked
from loray.spec.sources import Source
from loray.spec.steps import Step
from tests.spec.spec_kinds import models_in

PAIR = "{prompt: q, completion: a}"


def fault_of(*overrides: str) -> str:
    """The one fault of a sound spec under `overrides`."""
    with pytest.raises(SpecError) as refusal:
        load_checked("spec.yaml", overrides)
    (fault,) = refusal.value.faults
    return f"{fault.path}: {fault.message}"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            f"{{kind: csv, uri: rows/a.jsonl, fields: {PAIR}, delimiter: ;;}}",
            "data.sources.0.delimiter: found ';;'; wanted one character",
        ),
        (
            "{kind: csv, uri: rows/a.jsonl, fields: {messages: m}}",
            "data.sources.0: a CSV field holds text, not a list of messages",
        ),
        (
            "{kind: text, uri: rows/a.jsonl, per: word}",
            "data.sources.0.per: found text 'word'; wanted file, paragraph or line",
        ),
        (
            "{kind: jsonl, uri: rows/a.jsonl, fields: {text: t, tools: u}}",
            "data.sources.0.fields: name the columns of exactly one shape of row",
        ),
        (
            f"{{kind: jsonl, uri: s3://b/k, fields: {PAIR}, s3: {{stall_seconds: 0}}}}",
            "data.sources.0.s3.stall_seconds: found 0; wanted a number",
        ),
    ],
)
def test_a_source_says_what_it_wants(workplace: Path, source: str, words: str):
    assert fault_of(f"data.sources=[{source}]").startswith(words)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("{kind: near_duplicates, threshold: 0.2}", "threshold: found 0.2; wanted a number from 0"),
        ("{kind: language, keep: [en, germ]}", "keep.1: found 'germ'; wanted a code of ISO 639"),
        ("{kind: language, keep: []}", "keep: found a list of 0; wanted a list of at least 1"),
        (
            "{kind: own, function: cleaning.f}",
            "function: found 'cleaning.f'; wanted",
        ),
        ("{kind: pii, entities: [emial]}", "entities.0: found text 'emial'; wanted email, ip"),
        ("{kind: credentials, formats: [githib]}", "formats.0: found text 'githib'; wanted aws"),
        ("{kind: toxicity, words: gone.txt}", "words: found no file gone.txt under"),
        (
            f"{{kind: decontamination, against: [{{kind: jsonl, uri: gone, fields: {PAIR}}}]}}",
            "against.0.uri: found no file gone under",
        ),
    ],
)
def test_a_step_says_what_it_wants(workplace: Path, step: str, words: str):
    assert fault_of(f"data.steps=[{step}]").startswith(f"data.steps.0.{words}")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("data.sequence.too_long=drop", "data.sequence.too_long: found text 'drop'; wanted"),
        ("data.chat.template=llama", "data.chat.template: found text 'llama'; wanted base, plain"),
        (
            "data.readmit=[{reason: Bad}]",
            "data.readmit.0.reason: found 'Bad'; wanted text like",
        ),
    ],
)
def test_a_setting_says_what_it_wants(workplace: Path, block: str, words: str):
    assert fault_of(block).startswith(words)


FIELDS = [
    (model.model_fields["kind"].annotation.__args__[0], list_at, name)
    for union, list_at in ((Step, "data.steps"), (Source, "data.sources"))
    for model in models_in(union)
    for name in model.model_fields
    if name != "kind"
]


@pytest.mark.parametrize(("kind", "list_at", "name"), FIELDS)
@pytest.mark.parametrize("value", ["?!", "[?!]", "{a: 1}"])
def test_a_wrong_value_is_a_fault_and_never_a_crash(
    workplace: Path, kind: str, list_at: str, name: str, value: str
):
    with pytest.raises(SpecError):
        load_checked("spec.yaml", [f"{list_at}=[{{kind: {kind}, {name}: {value}}}]", "seed=-1"])

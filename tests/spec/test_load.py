import copy
from pathlib import Path

import pytest
import yaml

from loray.errors import SpecError
from loray.spec import shape
from loray.spec.faults import MAX_SHOWN, dotted
from loray.spec.faults import Path as SpecPath
from loray.spec.load import load_checked, load_run_spec, parse_run_spec
from loray.spec.run import RunSpec
from tests.spec.conftest import SOUND

MANY = """\
name: My Bot
seed: 0123
base_model: {path: nowhere, quantisation: nf4}
data:
  sources:
    - {kind: jsonl, uri: "rows/*.jsonl", fields: {prompt: q, completion: a}}
    - {kind: jsonnl, uri: x}
  steps: [unicode, {kind: exact_duplicate}]
  split: {validation: 0.6, test: 0.6}
method: {rank: -4}
train:
  steps: "200"
  batch: {global_size: 30, micro_size: 4}
gates:
  - {metric: bleu, at_least: 3, at_most: 4}
  - {metric: rouge1, at_least: 3}
  - {metric: bleu, suite: general, at_least: 3}
  - {metrics: bleu}
resources: {workers: 2}
"""


def faults(text: str, *overrides: str) -> dict[str, str]:
    """Messages by line and path."""
    with pytest.raises(SpecError) as refusal:
        parse_run_spec(text, "spec.yaml", overrides)
    return {
        f"{fault.place.line or fault.place.source} {fault.path}": fault.message
        for fault in refusal.value.faults
    }


def one_fault(text: str, *overrides: str) -> str:
    (fault,) = faults(text, *overrides).items()
    return ": ".join(fault)


def test_the_sound_spec_is_sound():
    spec = parse_run_spec(SOUND)
    assert spec.name == "my-bot"
    assert spec.data.sources[0].fields.prompt == "question"


def test_every_fault_is_told_at_once_rules_over_several_fields_included(workplace: Path):
    (workplace / "many.yaml").write_text(MANY)
    with pytest.raises(SpecError) as refusal:
        load_checked("many.yaml")
    found = {(fault.place.line, fault.path) for fault in refusal.value.faults}
    assert found == {
        (1, "name"),
        (2, "seed"),
        (3, "base_model.path"),
        (3, "base_model.quantisation"),
        (7, "data.sources.1.kind"),
        (7, "data.sources.1.uri"),
        (8, "data.steps.0"),
        (8, "data.steps.1.kind"),
        (9, "data.split.validation"),
        (10, "method"),
        (12, "train.steps"),
        (13, "train.batch.global_size"),
        (15, "gates.0"),
        (16, "gates.1.metric"),
        (17, "gates.2.suite"),
        (18, "gates.3.metrics"),
    }
    lines = [fault.place.line for fault in refusal.value.faults]
    assert lines == sorted(lines)


def leaves(data: object, path: SpecPath = ()) -> list[SpecPath]:
    """Paths of everything in a spec's data but the whole."""
    if isinstance(data, dict):
        inside = [leaf for key, value in data.items() for leaf in leaves(value, (*path, key))]
    elif isinstance(data, tuple):
        inside = [leaf for i, value in enumerate(data) for leaf in leaves(value, (*path, i))]
    else:
        inside = []
    return [path, *inside] if path else inside


WHOLE = parse_run_spec(
    SOUND
    + "gates: [{metric: perplexity, at_most: 2.0}]\n"
    + "method: {kind: lora, targets: [q_proj]}\n"
).model_dump()
WHOLE["data"]["replay"] = {"source": copy.deepcopy(WHOLE["data"]["sources"][0]), "fraction": 0.1}
WHOLE["data"]["steps"] = ({"kind": "pii", "entities": ("email",)},)


@pytest.mark.parametrize(
    "path", [p for p in leaves(WHOLE) if p[0] not in {"resources", "serve"}], ids=dotted
)
def test_a_wrong_value_hides_no_fault_elsewhere(path: SpecPath):
    broken = {"serve": {"max_rank": 1, "max_context": 64, "max_new_tokens": 64}}
    text = yaml.safe_dump(_as_lists(_replaced(WHOLE, path) | broken), sort_keys=False)
    found = faults(text)
    touched = [name.split(" ", 1)[1] for name in found]
    assert "serve.max_new_tokens" in touched
    assert any(name.startswith(dotted(path)) or dotted(path).startswith(name) for name in touched)


def _replaced(data: object, path: SpecPath) -> object:
    if not path:
        return {"nonsense": 1} if not isinstance(data, dict) else "nonsense"
    if isinstance(data, tuple):
        changed = list(data)
        changed[path[0]] = _replaced(data[path[0]], path[1:])
        return tuple(changed)
    return data | {path[0]: _replaced(data[path[0]], path[1:])}


def _as_lists(value: object) -> object:
    if isinstance(value, dict):
        return {key: _as_lists(each) for key, each in value.items()}
    return [_as_lists(each) for each in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (
            "seed: 1e99",
            "wanted a whole number from 0 to 2147483647; choose one within the range",
        ),
        ("seed: 1.0", "10 seed: found 1.0; wanted a whole number from 0 to 2147483647; write 1"),
        ("seed: true", "found true; wanted a whole number"),
        ("seed:", "found nothing; wanted a whole number"),
        ("seed: 1_000", "write 1000 without quotes"),
        ("seed: 9999999999", "choose one within the range"),
        ("gates: {metric: bleu}", "found a block of metric; wanted a list; write one"),
        ("method: lora", "found text 'lora'; wanted a block; write {kind: lora}"),
        ("method: 3", "wanted a block with kind: lora or full; write one"),
        ("method: {kind: lroa}", "wanted lora or full; did you mean lora?"),
        ("method: {kind: lora, targets: all_linear}", "did you mean all-linear?"),
        ("method: {kind: lora, targets: [q-proj]}", "targets.0: found 'q-proj'"),
        ("method: {kind: lora, targets: []}", "targets is empty"),
        ("method: {kind: lora, rank: 16, alpha: 32, r: 8}", "unknown field; the fields here are"),
        ("evaluate: {metrics: [bleu], select_by: rouge1}", "evaluate.select_by: found 'rouge1'"),
        ("evaluate: {metrics: bleu}", "wanted a list of at least 1; write [bleu]"),
        ("storage: {root: 's3://'}", "wanted a local path or s3://bucket/key"),
        ("storage: {root: 'http://169.254.169.254/x'}", "found the scheme http://"),
        ("storage: {root: 'file:///etc'}", "found the scheme file://"),
        ('storage: {root: "a\\0b"}', "without control characters"),
        ("storage: {registry: mysql://host/db}", "wanted sqlite:///PATH or postgresql://"),
        ("serve: {alias: '3'}", "reads as a version number; use a word"),
        ("serve: {alias: a..b}", "wanted a name without '..'"),
        ("serve: {max_rank: 8}", "serve.max_rank: found 8, less than method.rank 16"),
        ("resources: {gpus_per_worker: 2}", "wanted a whole number from 0 to 1"),
        ("method: {kind: full}", "base_model.quantization: found nf4, but method.kind is full"),
    ],
)
def test_a_fault_says_what_was_found_what_was_wanted_and_what_to_do(line: str, fault: str):
    assert fault in one_fault(f"{SOUND}{line}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "found nothing; wanted a spec"),
        ("# only a comment\n", "found nothing; wanted a spec"),
        ("- a\n- b\n", "found a list of 2; wanted a block of name, seed, base_model"),
        ("just text", "found text 'just text'; wanted a block of name"),
    ],
)
def test_a_file_that_holds_no_block_is_refused_as_a_whole(text: str, words: str):
    assert words in one_fault(text)


def test_what_is_missing_is_placed_at_the_block_that_lacks_it():
    found = faults("name: x\nbase_model: {}\ndata:\n  sources:\n    - kind: jsonl\n")
    assert found["2 base_model.path"].startswith("missing; wanted text")
    assert "5 data.sources.0.uri" in found
    assert "1 train" in found


SECRET = "hunter2"


@pytest.mark.parametrize(
    "line",
    [
        f"storage: {{root: 's3://me:{SECRET}@bucket/x'}}",
        f"storage: {{registry: 'postgresql://me:{SECRET}@host/db'}}",
        f"aws_secret_access_key: {SECRET}",
    ],
)
def test_credentials_are_refused_and_never_repeated(line: str):
    assert SECRET not in one_fault(f"{SOUND}{line}\n")


def test_a_base_model_is_no_url_and_its_password_is_not_repeated():
    told = one_fault(SOUND, f"base_model.path=https://me:{SECRET}@host/model")
    assert "wanted a local folder, or a hub id" in told
    assert SECRET not in told


def test_credentials_in_an_override_are_never_repeated():
    uri = f"data.sources.0.uri=s3://me:{SECRET}@bucket/x"
    with pytest.raises(SpecError) as refusal:
        parse_run_spec(SOUND, overrides=[uri])
    assert "take them out" in str(refusal.value)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("seed=3", lambda spec: spec.seed == 3),
        ("train.batch.global_size=32", lambda spec: spec.train.batch.global_size == 32),
        ("train.optimizer.learning_rate=1e-3", lambda s: s.train.optimizer.learning_rate == 1e-3),
        ("data.sources.0.fields.group=book", lambda s: s.data.sources[0].fields.group == "book"),
        ("evaluate.metrics=[perplexity]", lambda spec: spec.evaluate.metrics == ("perplexity",)),
        ("method={kind: lora, rank: 4}", lambda spec: spec.method.rank == 4),
        ("base_model.revision=", lambda spec: spec.base_model.revision is None),
        (" seed =4", lambda spec: spec.seed == 4),
    ],
)
def test_an_override_is_read_as_the_file_is(override: str, read):
    assert read(parse_run_spec(SOUND, overrides=[override]))


def test_the_later_override_wins():
    assert parse_run_spec(SOUND, overrides=["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("seed", "wanted --set path=value, such as --set train.steps=200"),
        ("=3", "wanted --set path=value"),
        ("a..b=3", "wanted --set path=value"),
        ("seed=[1", "--set seed seed: not YAML"),
        ("seed=0123", "write 123"),
        ("train.steps=0", "--set train.steps train.steps: found 0"),
        ("data.sources.7.uri=x", "found a list of 1, and no item 7 in it"),
        ("data.sources.uri=x", "no item 'uri' in it; items count from 0"),
        ("name.first=x", "found text 'my-bot' where a block would have to be"),
        ("train.batch.globl_size=3", "did you mean `global_size`?"),
    ],
)
def test_a_fault_of_an_override_names_its_flag(override: str, fault: str):
    told = one_fault(SOUND, override)
    assert told.startswith(f"--set {override.partition('=')[0]}")
    assert fault in told


def test_a_rule_over_a_field_of_the_file_and_one_of_a_flag_is_told_where_the_file_has_it():
    told = one_fault(f"{SOUND}  batch: {{global_size: 16}}\n", "resources.workers=3")
    assert told.startswith("10 train.batch.global_size: found 16, but 3 worker(s)")


def test_a_file_that_is_no_utf8_is_refused_with_its_line(workplace: Path):
    Path("latin.yaml").write_bytes(b"name: x\n# \xe4\n")
    with pytest.raises(SpecError, match=r"latin.yaml:2:1: found byte 0xe4; wanted UTF-8"):
        load_run_spec("latin.yaml")


def test_a_byte_order_mark_is_no_fault(workplace: Path):
    Path("marked.yaml").write_bytes(b"\xef\xbb\xbf" + SOUND.encode())
    assert load_run_spec("marked.yaml").name == "my-bot"


def test_a_folder_is_no_spec(workplace: Path):
    with pytest.raises(SpecError, match="is a directory"):
        load_run_spec("base")


def test_only_the_first_of_very_many_faults_are_shown():
    text = SOUND + "".join(f"unknown_{number}: 1\n" for number in range(300))
    with pytest.raises(SpecError) as refusal:
        parse_run_spec(text)
    assert len(refusal.value.faults) == 300
    assert str(refusal.value).count("\n") == MAX_SHOWN + 1
    assert f"and {300 - MAX_SHOWN} more" in str(refusal.value)


def test_the_stand_in_of_a_whole_spec_is_sound():
    assert RunSpec.model_validate(shape.stand_in(shape.root()))


def test_a_context_that_the_default_answer_fills_names_both_ways_out():
    fault = one_fault(SOUND, "serve.max_context=256")
    assert "max_new_tokens: found 256, which leaves no room" in fault
    assert "set it below that, or raise serve.max_context" in fault

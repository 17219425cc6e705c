import json
import shlex

import pytest

from loray.pipeline.serving import MAX_NAMES, ready_lines, served_words
from loray.spec.load import parse_run_spec
from tests.spec.conftest import SOUND

ADDRESS = "http://127.0.0.1:8000"


def test_few_references_are_named_and_many_are_counted() -> None:
    assert served_words([]) == "no adapter yet"
    assert served_words(["call", "call@1"]) == "the adapters call, call@1"
    refs = sorted(f"bot{n:03}{end}" for n in range(200) for end in ("", "@1", "@champion"))
    said = served_words(refs)
    assert said == (
        "the adapters "
        + ", ".join(f"bot{n:03}" for n in range(MAX_NAMES))
        + " and 192 more (600 references; GET /v1/models lists them)"
    )


@pytest.mark.parametrize("refs", [[], ["call", "call@1"]])
@pytest.mark.parametrize(
    ("kind", "path", "asked"),
    [("chat", "chat/completions", "messages"), ("text", "completions", "prompt")],
)
def test_the_ready_lines_say_what_is_served_and_how_to_ask_it(refs, kind, path, asked) -> None:
    columns = "      fields: {prompt: question, completion: answer}\n"
    text = SOUND.replace("kind: jsonl", "kind: text").replace(columns, "")
    spec = parse_run_spec(text if kind == "text" else SOUND)
    base = spec.base_model.path
    where, how = ready_lines(spec, ADDRESS, refs)
    assert where.startswith(f"serving on {ADDRESS}/v1: the base {base}, and ")
    words = shlex.split(how.removeprefix("ask it: "))
    assert words[:2] == ["curl", f"{ADDRESS}/v1/{path}"]
    body = json.loads(words[-1])
    assert body["model"] == (refs[0] if refs else base)
    assert asked in body

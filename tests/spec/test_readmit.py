from pathlib import Path

import pytest

from loray.errors import SpecError
from loray.spec.load import parse_run_spec
from loray.spec.readmit import REASONS, UNREADABLE, refusal_of
from tests.spec.conftest import SOUND


def with_rule(rule: str, steps: str = "[{kind: quality}]"):
    block = f"data:\n  steps: {steps}\n  readmit: [{rule}]\n"
    return parse_run_spec(SOUND.replace("data:\n", block))


def test_a_rule_names_a_reason_and_may_name_a_source_and_rows():
    data = with_rule("{reason: truncated, source: 'sources.0/*', ids: ['00000000000000ff']}").data
    (rule,) = data.readmit
    assert (rule.reason, rule.source, rule.ids) == (
        "truncated", "sources.0/*", ("00000000000000ff",),
    )  # fmt: skip
    assert with_rule("{reason: truncated}").data.readmit[0].ids is None


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("too_long", "raise data.sequence.max_tokens"),
        ("exact_duplicate", "another row is kept in its stead"),
        ("near_duplicate", "another row is kept in its stead"),
        ("malformed_json", "no turns could be read"),
        ("empty_completion", "nothing is left to learn from"),
        ("not_drawn", "raise data.replay.fraction"),
    ],
)
def test_what_no_step_judged_cannot_be_brought_back(reason: str, why: str):
    with pytest.raises(SpecError, match=r"data\.readmit\.0\.reason") as caught:
        with_rule(f"{{reason: {reason}}}")
    assert f"found {reason!r}, which no rule brings back: " in str(caught.value)
    assert why in str(caught.value)


def test_a_reason_of_a_step_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(SpecError, match=r"wanted a reason among: .*encoded_blob.*truncated"):
        with_rule("{reason: toxicity}")
    with pytest.raises(SpecError, match=r"no step of data\.steps rejects by judgement"):
        with_rule("{reason: toxicity}", steps="[{kind: unicode}]")


def test_a_step_of_ones_own_gives_any_reason():
    steps = "[{kind: own, function: 'cleaning:check'}]"
    assert with_rule("{reason: greeting}", steps=steps).data.readmit[0].reason == "greeting"
    with pytest.raises(SpecError, match="which no rule brings back"):
        with_rule("{reason: too_long}", steps=steps)


@pytest.mark.parametrize("rule", ["{reason: truncated, ids: []}", "{reason: truncated, ids: [7]}"])
def test_rows_are_named_by_their_ids_or_not_at_all(rule: str):
    with pytest.raises(SpecError, match=r"data\.readmit\.0\.ids"):
        with_rule(rule)


def test_the_reasons_are_those_that_the_steps_give(repository: Path):
    rooms = repository / "platform" / "loray" / "data"
    steps = "".join(path.read_text(encoding="utf-8") for path in (rooms / "steps").glob("*.py"))
    sources = "".join(path.read_text(encoding="utf-8") for path in (rooms / "sources").glob("*.py"))
    given = {reason for reasons in REASONS.values() for reason in reasons}
    assert [reason for reason in sorted(given) if f'"{reason}"' not in steps] == []
    assert [reason for reason in UNREADABLE if f'"{reason}"' not in sources] == []
    assert refusal_of("truncated", ()) is not None

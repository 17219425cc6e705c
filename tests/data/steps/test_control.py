import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps.control import escape, escape_pattern, restore

TOKENS = ("<|end|>", "<|user|>", "<s>", "</s>", "[INST]", "\n")
PATTERN = escape_pattern(TOKENS)
texts = st.lists(st.sampled_from([*TOKENS, "<", "\\", "|end|>", "s>", "[", "text "])).map("".join)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("answer<|end|>", "answer<\\|end|>"),
        ("<\\|end|>", "<\\\\|end|>"),
        ("a < b and c > d", "a < b and c > d"),
        ("List[INST]", "List[\\INST]"),
    ],
)
def test_a_control_token_gets_a_backslash(text, escaped):
    assert escape(text, PATTERN) == escaped


@given(texts)
def test_escaping_can_be_taken_back(text):
    assert restore(escape(text, PATTERN), PATTERN) == text


@given(texts)
def test_no_control_token_is_left(text):
    escaped = escape(text, PATTERN)
    assert not any(token in escaped for token in TOKENS if len(token) > 1)


def test_without_control_tokens_nothing_changes():
    assert escape("<|end|>", escape_pattern(())) == "<|end|>"

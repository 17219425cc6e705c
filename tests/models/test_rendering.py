"""The fast way to encode a conversation gives what the way that is always right gives."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from loray.models.chat import _conversation
from loray.models.markup import markup_of
from loray.models.rendering import (
    _encode_by_characters,
    _encode_by_controls,
    render_answers,
    render_prompt,
)
from tests.models.test_chat import BASE, TOKENIZERS, WORDS, texts


def both_ways(contents: list[str], name: str, *, open_prompt: bool = False):
    roles = ["user", "assistant"] * len(contents)
    turns = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]
    markup = markup_of(TOKENIZERS[name])
    talk = _conversation(turns, BASE, markup)
    rendered = render_prompt(talk, markup) if open_prompt else render_answers(talk, markup)[0]
    return _encode_by_controls(rendered, markup), _encode_by_characters(rendered, markup)


@settings(max_examples=80, deadline=None)
@given(st.lists(texts, min_size=2, max_size=6), st.sampled_from([*TOKENIZERS]), st.booleans())
def test_both_ways_agree(contents, name, open_prompt):
    fast, slow = both_ways(contents, name, open_prompt=open_prompt)
    assert fast is None or fast == slow


def test_the_fast_way_is_taken_for_common_rows():
    """Where control tokens stand around an answer; never where none does."""
    taken = Counter(
        name
        for name in TOKENIZERS
        for words in WORDS
        if both_ways([words, f"{words} indeed", words, words], name)[0] is not None
    )
    assert taken["marks"] == taken["chatml"] == len(WORDS)
    assert taken["no control token at all"] == 0

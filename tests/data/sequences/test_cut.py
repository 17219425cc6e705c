import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.sequences import cut
from loray.data.sequences.cut import cut_text
from loray.models.markup import Markup, markup_of
from loray.quickstart.initialise import train_tokenizer

WORDS = [f"a word or two\nand {n} more  words, don't" for n in range(40)]
MARKUP = markup_of(train_tokenizer(WORDS, 400, 512))
EOS = MARKUP.eos

pieces_of_text = st.sampled_from(
    ["a word", "\n", "  more", "\U0001f600", "\u00e9", "<|end|>", "xyzxyz"]
)
long_texts = st.lists(pieces_of_text, min_size=1, max_size=60).map("".join)


@given(long_texts, st.integers(16, 40))
def test_pieces_are_the_text_in_tokens_that_fit(text, max_tokens):
    pieces = cut_text(text, MARKUP, max_tokens)
    assert "".join(piece.text for piece in pieces) == text
    assert all(len(piece.input_ids) <= max_tokens for piece in pieces)
    assert [i for piece in pieces for i in piece.input_ids] == [*MARKUP.plain(text).ids, EOS]
    assert [piece.is_last for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@given(long_texts, st.integers(16, 40))
def test_a_piece_by_itself_still_fits(text, max_tokens):
    for piece in cut_text(text, MARKUP, max_tokens):
        assert len(MARKUP.plain(piece.text).ids) + 1 <= max_tokens


def test_a_text_that_fits_is_one_piece():
    (piece,) = cut_text("a word", MARKUP, 64)
    assert piece.input_ids == [*MARKUP.plain("a word").ids, EOS]


def test_a_text_is_cut_at_line_ends_and_else_between_words():
    lines = "".join(f"line {n} of it\n" for n in range(50))
    assert all(piece.text.endswith("\n") for piece in cut_text(lines, MARKUP, 100))
    words = " ".join("word" for _ in range(200))
    assert all(piece.text.strip().split("word") for piece in cut_text(words, MARKUP, 50))
    assert all(set(piece.text.split()) == {"word"} for piece in cut_text(words, MARKUP, 50))


@pytest.mark.parametrize("newline", ["\n", " "])
def test_a_very_long_text_is_tokenized_in_chunks(monkeypatch, newline):
    text = newline.join(WORDS)
    whole = cut_text(text, MARKUP, 64)
    monkeypatch.setattr(cut, "CHUNK_CHARS", 100)
    chunked = cut_text(text, MARKUP, 64)
    assert "".join(piece.text for piece in chunked) == "".join(p.text for p in whole) == text
    assert sum(piece.is_last for piece in chunked) == 1


def test_every_piece_starts_as_every_text_does():
    from tokenizers.processors import TemplateProcessing

    tokenizer = train_tokenizer(WORDS, 400, 512)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    pieces = cut_text("word " * 100, Markup(tokenizer), 32)
    assert {piece.input_ids[0] for piece in pieces} == {0}
    assert max(len(piece.input_ids) for piece in pieces) <= 32

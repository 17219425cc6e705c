import random

import pytest

from loray.inference.text import TextStream
from tests.inference.worlds import EOS, ByteTokenizer

ACUTE, EURO, GRIN = "\u00e9", "\u20ac", "\U0001f600"


def pieces(ids, stop=()):
    stream = TextStream(ByteTokenizer(), stop)
    return [*(stream.push([i]) for i in ids), stream.finish()]


def test_a_character_of_several_bytes_comes_out_whole():
    text = f"a{ACUTE}{EURO}{GRIN}b"  # of 1, 2, 3, 4 and 1 bytes
    wanted = ["a", "", ACUTE, "", "", EURO, "", "", "", GRIN, "b", ""]
    assert pieces(text.encode()) == wanted


def test_an_unfinished_character_comes_out_at_the_end():
    assert pieces(f"a{EURO}".encode()[:-1]) == ["a", "", "", "\ufffd"]


def test_special_tokens_bring_no_text():
    assert "".join(pieces([97, EOS, 98])) == "ab"


@pytest.mark.parametrize("seed", range(20))
def test_pieces_together_are_the_whole_text_whatever_the_bytes(seed):
    chosen = random.Random(seed)
    ids = [chosen.choice([97, 0x80, 0xE2, 0x82, 0xAC, 0xF0, 0x9F, EOS]) for _ in range(60)]
    assert "".join(pieces(ids)) == ByteTokenizer().decode(ids, skip_special_tokens=True)


def test_pieces_together_are_the_whole_text_of_a_real_tokenizer():
    from loray.quickstart.initialise import train_tokenizer

    text = f"na{ACUTE}ve {GRIN} co{ACUTE}peration, {EURO}{EURO}!"
    tokenizer = train_tokenizer([text] * 9, 400, 512)
    ids = tokenizer(text)["input_ids"]
    stream = TextStream(tokenizer)
    assert [*(stream.push([i]) for i in ids), stream.finish()] != [text]
    stream = TextStream(tokenizer)
    assert "".join([*(stream.push([i]) for i in ids), stream.finish()]) == text


def test_what_may_become_a_stop_string_is_kept_back():
    assert pieces(b"a\nb\n\nc", ("\n\n",)) == ["a", "", "\nb", "", "", "", ""]


def test_what_did_not_become_a_stop_string_comes_out_at_the_end():
    assert pieces(b"ab\n", ("\n\n",)) == ["a", "b", "", "\n"]


def test_the_first_of_several_stop_strings_ends_the_text():
    stream = TextStream(ByteTokenizer(), ("STOP", "TOP", "xyz"))
    assert stream.push(b"some text STOP and more") == "some text "
    assert stream.stopped
    assert stream.push(b"more") == ""


def test_a_stop_string_of_many_bytes_is_found_across_tokens():
    assert "".join(pieces(f"before {EURO}{GRIN} after".encode(), (EURO + GRIN,))) == "before "

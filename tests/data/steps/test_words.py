import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps.words import runs_of, words_of


def texts_of(words):
    return [words.joined[a:b] for a, b in zip(words.start, words.end, strict=True)]


def split(text: str, *, with_symbols: bool = False) -> list[str]:
    return texts_of(words_of([text], with_symbols=with_symbols))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!  it's", ["hello", "world", "it", "s"]),
        ("na\u00efve Stra\u00dfe \ufb01ne", ["na\u00efve", "strasse", "fine"]),
        ("cafe\u0301", ["caf\u00e9"]),
        ("\u4f60\u597d world", ["\u4f60", "\u597d", "world"]),
        ("\u0e01\u0e33", ["\u0e01", "\u0e4d", "\u0e32"]),
        ("\u0928\u092e\u0938\u094d\u0924\u0947", ["\u0928\u092e\u0938\u094d\u0924\u0947"]),
        ("snake_case x2", ["snake_case", "x2"]),
        ("... !?", []),
        ("", []),
        ("\U0001f600 a \ud83d b", ["a", "b"]),
    ],
)
def test_words_are_runs_of_letters_in_normal_form(text, words):
    assert split(text) == words


def test_symbols_are_words_where_they_are_asked_for():
    assert split("a + b-c; $x", with_symbols=True) == ["a", "+", "b", "-", "c", "$", "x"]
    assert split("a + b-c; $x") == ["a", "b", "c", "x"]


@given(st.lists(st.text(alphabet="aB1_ \n.,+-\x00", max_size=40), max_size=6))
def test_every_word_is_found_in_its_text(texts):
    words = words_of(texts, with_symbols=False)
    plain = [(at, w) for at, text in enumerate(texts) for w in re.findall(r"\w+", text.lower())]
    assert list(zip(words.text, texts_of(words), strict=True)) == plain


@given(st.lists(st.text(max_size=20), max_size=8))
def test_a_hash_depends_on_the_word_alone(texts):
    words = words_of(texts, with_symbols=True)
    by_word = dict(zip(texts_of(words), words.hashes.tolist(), strict=True))
    assert [by_word[word] for word in texts_of(words)] == words.hashes.tolist()
    assert len(set(by_word.values())) == len(by_word)
    for word, found in by_word.items():
        assert words_of([word], with_symbols=True).hashes.tolist() == [found]


def test_hashes_stay_what_they_are():
    assert words_of(["lora"], with_symbols=False).hashes.tolist() == [1212844247594458755]


@given(st.lists(st.integers(0, 30)), st.integers(1, 40))
def test_runs_cover_all_items_in_order(sizes, limit):
    runs = list(runs_of(np.array(sizes, dtype=np.int64), limit))
    assert [at for a, b in runs for at in range(a, b)] == list(range(len(sizes)))
    assert all(sum(sizes[a : b - 1]) < limit for a, b in runs)

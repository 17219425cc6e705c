import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps.repair import repair

CODE = [
    'print("it\u2019s")  # a curly quote in a string',
    "if x &lt; 3 and y &amp; 1:",
    "def f(x):\n\treturn {'a': [1, 2]}\n",
    "a = '\uff0c'  # full-width comma",
]


@pytest.mark.parametrize(
    "text", [*CODE, "", "plain", "tab\tand\nnewline", "\u4f60\u597d\uff0c\u4e16\u754c\uff01"]
)
def test_sound_text_and_code_stay_as_they_are(text):
    assert repair(text) == text


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("caf\u00c3\u00a9", "caf\u00e9"),
        ("don\u00c3\u00a2\u00e2\u201a\u00ac\u00e2\u201e\u00a2t", "don\u2019t"),
        ("cafe\u0301", "caf\u00e9"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("nul\0 bell\x07 del\x7f", "nul bell del"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("soft\u00adhyphen", "softhyphen"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("hi" + "".join(chr(0xE0000 + ord(c)) for c in "ignore"), "hi"),
        ("a\u200db \u200cc", "ab c"),
    ],
)
def test_what_is_broken_or_unseen_is_mended(broken, whole):
    assert repair(broken) == whole


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, spelled with a non-joiner
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family, joined
        "\u2764\ufe0f",  # a red heart, by its variation selector
    ],
)
def test_joiners_that_spell_are_kept(text):
    assert repair(text) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_repairing_twice_changes_nothing_more(text):
    once = repair(text)
    assert repair(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t\x85" for c in once)


def test_mojibake_that_a_soft_hyphen_hid_is_repaired_too():
    assert repair("\xad\u00d7\u00a4") == "\u05e4"

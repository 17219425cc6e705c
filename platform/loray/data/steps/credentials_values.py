"""Whether a value is a real secret or what a tutorial puts in its place."""

import base64
import binascii
import math
import re
from collections import Counter

from loray.data.steps.credentials_words import ALGORITHMS, MADE_UP, UNDISGUISED, WORDS

TEMPLATE = re.compile(
    r"[<>{}]|%[(sd]|\$[({A-Z]|^\$|\[.*\]|\(.*\)|^(?:os|process|env|config|settings|self|ENV)\b[.\[]"
)
"""A value that another program fills in, or an expression."""
WHOLE_TEMPLATE = re.compile(
    r"\$\{.*|\{\{.*|\{[\w.]*\}|<[\w .:/-]*>|\[[\w .:-]*\]|%\(.*|%[A-Z_]+%|\$[A-Z_]+|\$\(.*|"
    r"[A-Za-z_][\w.]*(?:\(.*\)|\[.*\])",
    re.S,
)
"""A template even where its characters are as mixed as a key's."""
RUN = re.compile("[a-z]+|[A-Z]+|[0-9]+")
DENSE_RUN = re.compile(r"[a-z]+|[A-Z]+|[0-9]+|[^a-zA-Z0-9]")
IDENTIFIER = re.compile(
    r"[A-Za-z]+(?:[_.:/ -][A-Za-z]+)*|[a-z]+(?:[A-Z][a-z]+)+|[A-Z][a-z]+(?:[A-Z][a-z]+)*", re.A
)
KEBAB = re.compile(r"[A-Za-z]+[0-9]{0,4}(?:[_-][a-z]+[0-9]{0,2})+", re.A)
"""Words with a digit here and there, such as `sha256-hash`."""
CLASS_NAME = re.compile(r"_?(?:[A-Z]{1,6}[a-z]{2,}[0-9_]{0,3}){2,}\(?", re.A)
"""A class whose name has digits, such as `Qwen2_5OmniToken2WavConfig`."""
CODES = re.compile(r"[A-Z]{2,8}-[0-9]{1,6}(?:[/,][A-Z]{2,8}-[0-9]{1,6})*", re.A)
NUMBERED_NAME = re.compile(r"[A-Za-z]+[0-9]{0,4}(?:_[A-Za-z0-9]*)+", re.A)
KINDS_OF_CHARACTERS = ("[a-z]", "[A-Z]", "[0-9]", r"[^A-Za-z0-9\s]")


def is_made_up(value: str) -> bool:
    """Whether nobody's secret could read like this: a template or a tutorial's word."""
    return (
        MADE_UP.search(value) is not None
        or WORDS.fullmatch(value) is not None
        or WORDS.fullmatch(value.translate(UNDISGUISED)) is not None
        or is_template(value)
        or len(set(value)) < min(5, len(value))
    )


def is_template(value: str) -> bool:
    """Whether another program fills a value in. Keys of all characters hold brackets by chance."""
    if WHOLE_TEMPLATE.fullmatch(value) is not None:
        return True
    return not is_dense(value) and TEMPLATE.search(value) is not None


def is_dense(value: str) -> bool:
    """Whether the kinds of characters change as often as in random ones, and brackets are some."""
    num_kinds = sum(bool(re.search(kind, value)) for kind in KINDS_OF_CHARACTERS)
    return (
        len(value) >= 24 and num_kinds >= 3 and len(DENSE_RUN.findall(value)) >= 0.55 * len(value)
    )


def is_url_password(value: str) -> bool:
    """Whether what stands between `user:` and `@` in a URL is no tutorial's word or short name."""
    return not is_made_up(value) and re.fullmatch("[a-z]{1,7}", value) is None


def is_password(value: str) -> bool:
    """Whether a value where only a password stands is one: random, or chosen, and not made up."""
    if is_made_up(value) or is_name(value):
        return False
    return looks_random(value) or looks_chosen(value)


def looks_random(value: str) -> bool:
    """Whether the characters of a value without known format are as mixed as a key's."""
    if len(value) < 16 or re.search("[A-Za-z]", value) is None or re.search("[0-9]", value) is None:
        return False
    # A name has a digit or two, in one place, and changes its case once a word.
    is_mixed = len(re.findall("[0-9]+", value)) >= 3 or len(RUN.findall(value)) >= 0.5 * len(value)
    return (is_mixed or is_dense(value)) and bits_per_character(value) >= 3.0


def looks_chosen(value: str) -> bool:
    """Whether a value is a password as people choose them.

    That is three kinds of characters, as rules for passwords want them, or a word and two digits.
    """
    num_kinds = sum(bool(re.search(kind, value)) for kind in KINDS_OF_CHARACTERS)
    if ALGORITHMS.fullmatch(value) is not None or num_kinds < 2 or len(value) < 6:
        return False
    if num_kinds >= 3:
        return True
    num_digits = sum(character.isdigit() for character in value)
    is_word = re.search("[A-Za-z]{2}", value) is not None
    return len(value) >= 8 and num_digits >= 2 and is_word and not NUMBERED_NAME.fullmatch(value)


def has_random_cases(value: str) -> bool:
    """Whether letters change their case as random ones do. Words have a capital each at most."""
    num_capitals = sum(character.isupper() for character in value)
    is_even = 0.25 * len(value) <= num_capitals <= 0.75 * len(value)
    return is_even and len(RUN.findall(value)) >= 0.35 * len(value)


def decoded(value: str) -> str | None:
    """The printable text that a value in base64 stands for, if it does."""
    if len(value) % 4 or re.fullmatch(r"[A-Za-z0-9+/]{4,4096}={0,2}", value) is None:
        return None
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if text.rstrip("\n").isprintable() else None


def bits_per_character(value: str) -> float:
    """Shannon's entropy of the characters of `value`."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)


def is_name(value: str) -> bool:
    """Whether a value reads as a name in code or as words: `db_password`, `UserToken`, `a/b.c`."""
    return IDENTIFIER.fullmatch(value) is not None

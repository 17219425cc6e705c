"""Whether a value is a real secret or what a tutorial puts in its place."""

import math
import re
from collections import Counter

MADE_UP = re.compile(
    r"example|xxxx|\*\*\*|\.\.\.|your|changeme|change[_-]?(?:it|this)|placeholder|redacted|dummy|"
    r"insert|replace|sample|todo|fixme|hidden|abcdef|uvwxyz|12345678|qwerty|deadbeef|0{6}",
    re.I,
)
"""No secret of ten or more random characters holds one of these by chance."""
WORDS = re.compile(
    r"(?:my|the|some|any|user|root|admin|test(?:ing)?|demo|fake|mock|foo|bar|baz|secret|pass(?:word|wd|phrase)?|"
    r"pwd|token|api|key|auth|value|string|none|null|nil|undefined|true|false|default|empty|scott|tiger|"
    r"postgres|mysql|redis|mongo|rabbitmq|guest|login|private|public|access|client|db|database|"
    r"hunter2|letmein|welcome|here|goes|super|very|strong|secure|long|random|enter|type|provide|"
    r"[0-9]{1,4}|[\W_])+",
    re.I,
)
"""A value made of nothing but these is a tutorial's. Bare digits count as padding."""
_UNDISGUISED = str.maketrans("@4310$57", "aaeiosst")
"""`P4$$w0rd` is a word too."""
TEMPLATE = re.compile(
    r"[<>{}]|%[(sd]|\$[({A-Z]|^\$|\[.*\]|\(.*\)|^(?:os|process|env|config|settings|self|ENV)\b[.\[]"
)
"""A value that another program fills in, or an expression."""
RUN = re.compile("[a-z]+|[A-Z]+|[0-9]+")
IDENTIFIER = re.compile(
    r"[A-Za-z]+(?:[_.:/ -][A-Za-z]+)*|[a-z]+(?:[A-Z][a-z]+)+|[A-Z][a-z]+(?:[A-Z][a-z]+)*", re.A
)


def is_made_up(value: str) -> bool:
    """Whether nobody's secret could read like this: a template or a tutorial's word."""
    return (
        MADE_UP.search(value) is not None
        or WORDS.fullmatch(value) is not None
        or WORDS.fullmatch(value.translate(_UNDISGUISED)) is not None
        or TEMPLATE.search(value) is not None
        or len(set(value)) < min(5, len(value))
    )


def is_url_password(value: str) -> bool:
    """Whether what stands between `user:` and `@` in a URL is no tutorial's word or short name."""
    return not is_made_up(value) and re.fullmatch("[a-z]{1,7}", value) is None


def looks_random(value: str) -> bool:
    """Whether the characters of a value without known format are as mixed as a key's."""
    if len(value) < 16 or re.search("[A-Za-z]", value) is None or re.search("[0-9]", value) is None:
        return False
    # A name has a digit or two, in one place, and changes its case once a word.
    is_mixed = len(re.findall("[0-9]+", value)) >= 3 or len(RUN.findall(value)) >= 0.5 * len(value)
    return is_mixed and bits_per_character(value) >= 3.0


def looks_chosen(value: str) -> bool:
    """Whether a value is a password as rules for passwords want them: three kinds of characters."""
    kinds = ("[a-z]", "[A-Z]", "[0-9]", r"[^A-Za-z0-9\s]")
    return len(value) >= 8 and sum(bool(re.search(kind, value)) for kind in kinds) >= 3


def bits_per_character(value: str) -> float:
    """Shannon's entropy of the characters of `value`."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)


def is_name(value: str) -> bool:
    """Whether a value reads as a name in code or as words: `db_password`, `UserToken`, `a/b.c`."""
    return IDENTIFIER.fullmatch(value) is not None

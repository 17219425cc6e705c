"""Texts on which careless patterns and loops take time that grows with the square of the text."""

import random
from collections.abc import Callable

PIECES = {
    "private key headers": "-----BEGIN RSA PRIVATE KEY-----\n",
    "certificate headers": "-----BEGIN CERTIFICATE-----",
    "dashes": "-",
    "dots": ".",
    "blanks": " ",
    "tabs and line ends": "\t\n",
    "line ends": "\n",
    "carriage returns": "\r\n",
    "letters": "a",
    "capitals and digits": "A1",
    "digits": "7",
    "digits in groups": "123 456 ",
    "digits with dots": "1.",
    "digits with dashes": "555-",
    "card groups": "4111 1111 ",
    "hexadecimal": "deadbeef",
    "hexadecimal with colons": "de:ad:",
    "at signs": "a@",
    "mail without an end": "a.b-c_d@e.",
    "urls": "http://",
    "logins": "http://a:b",
    "assignments": "password = ",
    "quoted assignments": "api_key: '",
    "json": '{"a": "',
    "backslashes": "\\",
    "brackets": "([{",
    "tags": "<a ",
    "inline code": "` a",
    "fences": "```\n",
    "fences of many kinds": "```a\n~~~\n",
    "formulas": "$ x",
    "placeholders": "{{a ",
    "options": " --a-b",
    "bullets": "- * > # ",
    "apostrophes": "d'",
    "accents": "\u00e9 \u00c3\u00a9",
    "mojibake": "\u00e2\u20ac",
    "chinese": "\u4f60\u597d",
    "lines of marks": "-" * 119 + "\n",
    "drawn out": "aaab!$",
    "groups attacked": "women should kill all gay people, not deserve ",
    "short sentences": "It is so. ",
    "sorry": "sorry, i am afraid i ",
    "control tokens": "<\\\\|",
}
"""What a text is made of by saying it again and again."""


def repeated(piece: str) -> Callable[[int], str]:
    return lambda size: (piece * (size // len(piece) + 1))[:size] + "!x"


def random_words(size: int) -> str:
    draw = random.Random(size)
    return " ".join(f"w{draw.randrange(10**6)}" for _ in range(size // 8))


def all_marks(size: int) -> str:
    draw = random.Random(size)
    return "".join(draw.choices("aB1 .,:;!?'\"()[]{}<>@#$%^&*-_=+/\\|~`\n", k=size))


KINDS: dict[str, Callable[[int], str]] = {
    **{name: repeated(piece) for name, piece in PIECES.items()},
    "random words": random_words,
    "all marks": all_marks,
}

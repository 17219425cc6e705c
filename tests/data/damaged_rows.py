"""Rows with one fault each, by the reason under which they must be found, and values to replace.

A maker takes a `Writer` and the row's number, and gives a record, or a line as it is written.
"""

import json
import re
import string
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tests.data.prose import Writer
from tests.data.steps import credential_rows, pii_rows
from tests.data.steps.sentences import SENTENCES

Made: TypeAlias = dict[str, Any] | list[Any] | str | bytes
Maker: TypeAlias = Callable[[Writer, int], Made]

MARKED = re.compile("~~(.+?)~~", re.S)
LOST = "\ufffd"
SLUR = "snerg"
"""A word that only the list of the corpus knows."""
FOREIGN = ("de", "fr", "es", "it", "pt", "nl", "pl")
BASE64 = string.ascii_letters + string.digits + "+/"
LENGTH = {"kind": "length", "min_chars": 8, "max_chars": 2000}
MAX_TOKENS = 1024
"""A byte-level tokenizer gives sound rows fewer; those of 12 sentences more, in 2000 characters."""


def pair(writer: Writer, number: int, reply: str) -> dict[str, str]:
    return {"ask": writer.question(number), "reply": reply}


def _answer(make: Callable[[Writer], str]) -> Maker:
    return lambda writer, number: pair(writer, number, make(writer))


def _foreign(_: Writer, number: int) -> dict[str, str]:
    first, second = SENTENCES[FOREIGN[number % len(FOREIGN)]][:2]
    return {"ask": f"{second} {number}", "reply": f"{first} {second}"}


def _echo(writer: Writer, number: int) -> dict[str, str]:
    asked = writer.question(number)
    return {"ask": asked, "reply": asked}


def _with(name: str, value: object) -> Maker:
    return lambda writer, number: pair(writer, number, writer.sentence()) | {name: value}


PAIR_FAULTS: dict[str, tuple[Maker, ...]] = {
    "malformed_json": (
        lambda w, n: json.dumps(pair(w, n, w.sentence()))[:-20],
        lambda w, n: "{'ask': 'a', 'reply': 'b'}",
        lambda w, n: '{"ask": NaN, "reply": "b"}',
    ),
    "not_an_object": (lambda w, n: [w.question(n), w.sentence()], lambda w, n: '"text alone"'),
    "duplicate_key": (lambda w, n: f'{{"ask": "a {n}", "ask": "b", "reply": "c"}}',),
    "invalid_utf8": (lambda w, n: b'{"ask": "caf\xe9 %d", "reply": "x"}' % n,),
    "lone_surrogate": (lambda w, n: f'{{"ask": "\\ud83d {n}", "reply": "x"}}',),
    "missing_field": (lambda w, n: {"ask": w.question(n)}, _with("reply", None)),
    "field_not_text": (_with("reply", 7), _with("ask", ["a"]), _with("reply", True)),
    "empty_prompt": (_with("ask", ""), _with("ask", "\u200b")),
    "empty_completion": (_with("reply", " \n"), _with("reply", "\u200b\u2060")),
    "too_few_chars": (lambda w, n: {"ask": "a?", "reply": "b"},),
    "too_many_chars": (_answer(lambda w: w.prose(25)),),
    "too_long": (_answer(lambda w: w.prose(12)),),
    "mojibake": (_answer(lambda w: w.prose(2) + LOST * 40),),
    "too_few_letters": (_answer(lambda w: "?! #$ %& *; " * 15 + "end"),),
    "encoded_blob": (_answer(lambda w: f"{w.sentence()} {w.word(BASE64, 700)}"),),
    "long_word": (_answer(lambda w: w.word(string.ascii_lowercase, 600)),),
    "truncated": (_answer(lambda w: f"{w.sentence()}\n```\nmake all\nmake check"),),
    "answer_echoes_prompt": (_echo,),
    "refusal": (_answer(lambda w: "I'm sorry, but I cannot help you with that request."),),
    "repeated_characters": (_answer(lambda w: f"{w.sentence()} {'ha' * 80} {w.sentence()}"),),
    "looping_end": (_answer(lambda w: w.sentence() + " and so it goes on and on," * 9),),
    "repeated_lines": (_answer(lambda w: "the same line once more\n" * 50 + w.sentence()),),
    "repeated_ngrams": (_answer(lambda w: f"{w.sentence()} " * 10 + w.sentence()),),
    "language": (_foreign,),
    "toxicity": (_answer(lambda w: f"{w.sentence()} It is a {SLUR}."),),
}  # fmt: skip
MESSAGE_FAULTS: dict[str, tuple[Maker, ...]] = {
    "bad_messages": (
        lambda w, n: {"chat": [w.question(n), w.sentence()]},
        lambda w, n: {"chat": w.sentence()},
    ),
    "unknown_role": (lambda w, n: {"chat": [{"role": "narrator", "content": w.question(n)}]},),
    "no_answer": (lambda w, n: {"chat": [{"role": "user", "content": w.question(n)}]},),
    "empty_completion": (lambda w, n: {"chat": chat(pair(w, n, ""))},),
}
CSV_FAULTS: dict[str, tuple[Maker, ...]] = {
    "malformed_csv": (
        lambda w, n: f'case {n},"{w.sentence()}" and more',
        lambda w, n: f'case {n},"{w.sentence()} and no end',
    ),
    "wrong_number_of_fields": (lambda w, n: f"case {n},one,two", lambda w, n: f"case {n} alone"),
    "invalid_utf8": (lambda w, n: b"case %d,caf\xe9" % n,),
    "empty_completion": (lambda w, n: f"case {n},",),
}
TEXT_FAULTS: dict[str, tuple[Maker, ...]] = {"empty_text": (lambda w, n: "\u3000",)}


def chat(row: dict[str, str]) -> list[dict[str, str]]:
    """A row's turns as a list of messages."""
    return [
        {"role": "user", "content": row["ask"]},
        {"role": "assistant", "content": row["reply"]},
    ]


def near_copy(row: dict[str, str]) -> dict[str, str]:
    """The row with one word more in the midst of its answer."""
    words = row["reply"].split(" ")
    words.insert(len(words) // 2, "indeed")
    return {**row, "reply": " ".join(words)}


def values(round_number: int) -> Iterator[tuple[str, str]]:
    """For each kind of value its name in the statistics, and a text with the value marked ~~.

    A login in a URL is told as a password first, so connection strings are those without a URL.
    """
    for kind, texts in pii_rows.FOUND.items():
        yield f"pii.{kind}", texts[round_number % len(texts)].strip()
    for kind in (*credential_rows.TOKENS, "azure", "connection_string", "http_auth", "assignment"):
        texts = credential_rows.found(kind, round_number)
        texts = [text for text in texts if "://" not in text]
        yield f"credentials.{kind}", texts[round_number % len(texts)].strip()

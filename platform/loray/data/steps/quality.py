"""Signs that a row of instruction data is damaged, each with a reason of its own.

Rules made for crawled pages (stop words, line ends, word lengths, braces) reject two rows in three
of sound instruction data: commands, labels, sums and tables are good answers. So a rule here fires
on damage alone, and its threshold lies far from what sound corpora hold. Reasons, in the order in
which they are looked for:

    mojibake               characters that stand for bytes read wrongly, anywhere in the row
    too_few_letters        an answer of marks, outside of fenced blocks
    encoded_blob           an answer that carries base64 or hexadecimal data
    long_word              an answer with letters and digits that nothing divides
    truncated              an answer whose fenced block never ends
    answer_echoes_prompt   an answer that is its prompt
    refusal                an answer that declines; looked for only when asked
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from loray.data.steps.whitespace import OPENING, fence_end, fenced_parts
from loray.models.markup import Turn
from loray.spec.steps import QualityStep

ANSWER_ROLES = frozenset({"assistant", "text"})
"""Whose turns are learned."""
MOJIBAKE = re.compile("\ufffd|[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac[\u0080-\u2122]?")
"""The replacement character; two and three bytes of UTF-8 read as Latin-1 or Windows-1252."""
FEWEST_MOJIBAKE = 3
"""A row may speak of such a character, and name one."""
FEWEST_VISIBLE = 80
"""Visible characters below which marks alone may be an answer: a regex, a formula, emoji."""
SHORTEST_ENCODED = 40
"""Characters of a word that may be encoded data: a SHA-1 in hexadecimal has as many."""
SHORTEST_ECHO = 20
"""Characters below which an answer may be its prompt: greetings, names."""
NO_LETTERS = bytes(b for b in range(128) if not chr(b).isalnum())
ENCODED_ALPHABET = re.compile(rf"[A-Za-z0-9+/=]{{{SHORTEST_ENCODED},}}")
HEXADECIMAL = re.compile(r"(?=.*\d)(?=.*[a-fA-F])(?:0x)?[0-9a-fA-F]+")
CLASS_CHANGE = re.compile("[a-z](?=[A-Z0-9])|[A-Z](?=[a-z0-9])|[0-9](?=[A-Za-z])")
_CANNOT = (
    r"(?:can['\u2019]?t|cannot|can not|won['\u2019]t|am unable|am not able|do not|don['\u2019]t)\b"
)
_OTHERS = (
    (
        (
            r"(?:es )?tut mir (?:sehr |wirklich )?leid|entschuldigung|leider|"
            r"als (?:eine? )?(?:ki|k\u00fcnstliche intelligenz|(?:gro\u00dfes )?sprachmodell)"
        ),
        r"(?:kann|darf|werde) (?:ich|ihnen|dir|dabei)|(?:ich|wir) (?:kann|k\u00f6nnen|darf|werde)",
    ),
    (
        (
            r"(?:je suis )?(?:vraiment )?d\u00e9sol\u00e9e?|je (?:m['\u2019]excuse|regrette)|"
            r"en tant qu(?:e|['\u2019])\s?(?:ia|intelligence artificielle|mod\u00e8le de langage)"
        ),
        r"je ne (?:peux|puis|suis pas)",
    ),
    (
        (
            r"lo siento(?: mucho)?|lamento|perd\u00f3n|disculp[ae]|"
            r"como (?:una? )?(?:ia|inteligencia artificial|modelo de lenguaje)"
        ),
        r"no (?:puedo|podemos|me es posible|soy capaz|tengo la capacidad)",
    ),
    (
        (
            r"mi (?:dispiace|scuso)(?: molto)?|spiacente|"
            r"(?:come|in quanto) (?:una? )?(?:ia|intelligenza artificiale|modello linguistico)"
        ),
        r"non (?:posso|possiamo|sono in grado)",
    ),
    (
        (
            r"sinto muito|(?:me )?desculpe|lamento|"
            r"como (?:uma? )?(?:ia|intelig\u00eancia artificial|modelo de linguagem)"
        ),
        r"n\u00e3o (?:posso|podemos|consigo|sou capaz)",
    ),
    (
        r"(?:het )?spijt me|sorry|helaas|als (?:een )?(?:ai|taalmodel)",
        r"(?:kan|mag) ik|ik (?:kan|mag)",
    ),
)
"""How refusals open, and how they go on, in German, French, Spanish, Italian, Portuguese, Dutch."""
_DENIED = r"[^.\n]{0,60}?\b(?:nicht|kein\w*|niet|geen)\b"
REFUSAL = re.compile(
    r"(?:i['\u2019]m |i am |we are |we['\u2019]re )?(?:very |really |so )?"
    rf"(?:sorry|afraid|apologi[sz]e)\b[^.\n]{{0,60}}?\b(?:i|we) {_CANNOT}"
    r"|as an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    rf"[^.\n]{{0,60}}?\b(?:i|it) {_CANNOT}"
    rf"|i {_CANNOT}(?: to)? (?:assist|help|comply|fulfill?|do that|provide|engage|answer)\b"
    + "".join(
        rf"|(?:{opening})\b[^.\n]{{0,60}}?\b(?:{declined})\b"
        + (_DENIED if "ik" in declined or "ich" in declined else "")
        for opening, declined in _OTHERS
    ),
    re.IGNORECASE,
)
"""Boilerplate that opens an answer and declines."""


def find_damage(turns: Sequence[Turn], rules: QualityStep) -> str | None:
    """The first reason for which a row is rejected; None for a sound one."""
    if _has_mojibake(turns, rules.max_mojibake):
        return "mojibake"
    for answer in answers(turns):
        if (reason := _damage_of(answer, rules)) is not None:
            return reason
    if not rules.keep_echoes and _has_echo(turns):
        return "answer_echoes_prompt"
    return None


def answers(turns: Sequence[Turn]) -> Iterator[str]:
    """The texts that are learned."""
    return (turn["content"] for turn in turns if turn["role"] in ANSWER_ROLES)


def _damage_of(answer: str, rules: QualityStep) -> str | None:
    if _is_soup(answer, rules.min_letters):
        return "too_few_letters"
    longest = max(map(len, answer.split()), default=0)
    if longest >= SHORTEST_ENCODED and _num_encoded(answer) > rules.max_encoded_chars:
        return "encoded_blob"
    if longest > rules.max_word_chars and _has_long_word(answer, rules.max_word_chars):
        return "long_word"
    if not rules.keep_open_fences and _has_open_fence(answer):
        return "truncated"
    if not rules.keep_refusals and REFUSAL.match(answer.lstrip()[:200]):
        return "refusal"
    return None


def _has_mojibake(turns: Sequence[Turn], max_share: float) -> bool:
    texts = [turn["content"] for turn in turns if not turn["content"].isascii()]
    found = sum(len(match) for text in texts for match in MOJIBAKE.findall(text))
    if found < FEWEST_MOJIBAKE:
        return False
    return found > max_share * sum(len(turn["content"]) for turn in turns)


def _is_soup(text: str, min_share: float) -> bool:
    if len(text) < FEWEST_VISIBLE or _num_ascii_letters(text) >= min_share * len(text):
        return False
    prose = "".join(part for part, is_code in fenced_parts(text) if not is_code)
    num_visible = sum(map(len, prose.split()))
    return num_visible >= FEWEST_VISIBLE and sum(map(_spells, prose)) < min_share * num_visible


def _num_ascii_letters(text: str) -> int:
    data = text.encode("ascii", "ignore")
    return len(data.translate(None, NO_LETTERS))


def _spells(char: str) -> bool:
    return char.isalnum()


def _num_encoded(text: str) -> int:
    """Characters in words that look encoded."""
    return sum(len(word) for word in ENCODED_ALPHABET.findall(text) if _is_encoded(word))


def _is_encoded(word: str) -> bool:
    """Whether a word is hexadecimal, or changes between cases and digits as random letters do.

    Base64 changes at about six places in ten, names in camel case at two.
    """
    if HEXADECIMAL.fullmatch(word):
        return True
    return len(CLASS_CHANGE.findall(word)) > 0.35 * len(word)


def _has_long_word(text: str, max_chars: int) -> bool:
    return re.search(rf"[A-Za-z0-9]{{{max_chars + 1}}}", text) is not None


def _has_open_fence(text: str) -> bool:
    """Whether the last fenced block never ends; a fence opened within a line counts as well."""
    if text.count("```") % 2 == 0:
        return False
    at: int | None = 0
    while at is not None and (opening := OPENING.search(text, at)) is not None:
        at = fence_end(text, opening)
    return at is None


def _has_echo(turns: Sequence[Turn]) -> bool:
    return any(
        answer["role"] == "assistant" and prompt["role"] == "user"
        and _is_echo(prompt["content"], answer["content"])
        for prompt, answer in pairwise(turns)
    )  # fmt: skip


def _is_echo(prompt: str, answer: str) -> bool:
    if len(answer) < SHORTEST_ECHO or answer.lstrip()[:1].lower() != prompt.lstrip()[:1].lower():
        return False
    return answer.casefold().split() == prompt.casefold().split()

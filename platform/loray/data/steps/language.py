"""The language of a row, judged by all of its turns together.

Most English rows are known by their function words, in a fiftieth of a millisecond. The others are
scored by py3langid over words of prose: what is code, markup or an address names no language, and
neither counts for nor against a row. A row with too little else is kept, and so is one of which
less than `LEAST_PROSE` of the words that are left are prose. So is a row that the model is unsure
about, since commands, chemistry and lists of names look like no language at all.

The model knows 139 languages, takes 3 s to load and 150 MB, once a process. Its probability
of English is below 0.001 for a sentence in any of the languages of the tests, and seldom below 0.1
for English, so the threshold lies low.
"""

import re
from collections.abc import Collection, Sequence
from functools import cache

import numpy as np
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from loray.data.steps.whitespace import fenced_parts
from loray.models.markup import Turn
from loray.models.tool_use import JSON_ROLES
from loray.spec.steps import LanguageStep

REASON = "language"
SAMPLE_CHARS = 1000
"""Characters of a row that are judged, shared out among its turns."""
FIRST_WORDS = 40
"""Words from all over the sample that settle the matter when they leave no doubt."""
NO_DOUBT = 0.9
NO_HOPE = 0.001
_FUNCTION_WORDS = """
    the and that with this which from are you what how will would they their been has your were
    should could when there these about where who does did many much if it's into than then have
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words that hold sentences together, without those that are common in other languages."""
FEWEST_FUNCTION_WORDS = 4
LEAST_SHARE = 0.1
"""Share of function words that tells English; prose has 0.2, other languages less than 0.02."""
LEAST_PROSE = 0.6
"""Share of a text's words that are words of prose; below it, the text is taken for code."""
NOT_PROSE = re.compile(
    r"`[^`\n]+`|[a-zA-Z]{2,10}://\S+|\{\{[^{}\n]*\}\}|</?[A-Za-z][^<>\n]{0,200}>|\$[^$\n]+\$"
    r"|\\\w+|(?<!\S)-{1,2}[A-Za-z][\w=.-]*"
)
"""Inline code, addresses, placeholders, tags, formulas, options of commands."""
NAME = re.compile("[a-z]+(?:-[a-z]+)+")
"""`apt-get` as well as `well-known`: such a word counts neither as prose nor as code."""
JOINT = re.compile("['-]")
"""What joins the parts of a word: `d'un`, `Android-Werkzeug`."""
ASCII_MARK = re.compile(r"[!-&(-,./0-@\[-`{-~]")
"""Any mark or digit of ASCII but the apostrophe and the hyphen."""
LONGEST_WORD = 30
"""Letters of ASCII beyond which a word is a scream, a name of code or a formula of chemistry."""
EDGES = ".,;:!?\"'()[]*_-<>|#=+~/&\u00ab\u00bb\u2013\u2014\u2018\u201c\u201d\u201e\u2026\u2022"
NO_LANGUAGE = "zxx"
"""The model's label for what is none. Source: ISO 639-2."""


def find_language(turns: Sequence[Turn], rules: LanguageStep) -> str | None:
    """The reason for which a row in another language is rejected; None for one that is kept."""
    sample = sample_of([turn["content"] for turn in turns if turn["role"] not in JSON_ROLES])
    if "en" in rules.keep and _is_plainly_english(sample):
        return None
    written = _words_of(sample)
    words = [word for word in written if _is_prose(word)]
    if not _can_be_judged(words, len(written), rules.min_letters):
        return None
    first = probability_of(rules.keep, " ".join(words[:: len(words) // FIRST_WORDS or 1]))
    if not NO_HOPE < first < NO_DOUBT:
        return None if first >= NO_DOUBT else REASON
    return None if probability_of(rules.keep, " ".join(words)) >= rules.min_probability else REASON


def sample_of(texts: Sequence[str]) -> str:
    """The turns without fenced blocks, each cut to its share of `SAMPLE_CHARS`."""
    prose = [_without_blocks(text) if "```" in text else text for text in texts]
    if sum(map(len, prose)) <= SAMPLE_CHARS:
        return "\n".join(prose)
    share = max(SAMPLE_CHARS // len(prose), 20)
    return "\n".join(text[:share] for text in prose)


def words_of_prose(text: str) -> list[str]:
    """The words of `text` that are neither code nor numbers, without marks around them."""
    return [word for word in _words_of(text) if _is_prose(word)]


def probability_of(languages: Collection[str], text: str) -> float:
    """How probable the model finds `languages` together, given that `text` is in a language."""
    with np.errstate(all="ignore"):
        found: dict[str, float] = dict(_identifier().rank(text))
    in_some = 1.0 - found.get(NO_LANGUAGE, 0.0)
    return sum(found[code] for code in languages) / in_some if in_some > 0.05 else 1.0


def _without_blocks(text: str) -> str:
    return "".join(part for part, is_code in fenced_parts(text) if not is_code)


def _is_plainly_english(text: str) -> bool:
    words = text.lower().split()
    num_found = sum(map(FUNCTION_WORDS.__contains__, words))
    return num_found >= FEWEST_FUNCTION_WORDS and num_found >= LEAST_SHARE * len(words)


def _words_of(text: str) -> list[str]:
    """What blanks divide, without inline code and without marks around words; no lone marks."""
    if text.isupper():
        text = text.lower()
    text = NOT_PROSE.sub(" ", text).replace("\u2019", "'")
    words = [word.strip(EDGES) for word in text.split()]
    return [word for word in words if word and not ("-" in word and NAME.fullmatch(word))]


def _is_prose(word: str) -> bool:
    """Whether a word has letters only, and no capital within; vowel signs of Indic scripts pass.

    Its parts may be joined by apostrophes and hyphens.
    """
    if word.isascii():
        parts = JOINT.split(word) if "'" in word or "-" in word else [word]
        return len(word) <= LONGEST_WORD and all(map(_is_plain, parts))
    has_letter = any(char.isalpha() for char in word if char > "\x7f")
    return has_letter and word[0].isalpha() and ASCII_MARK.search(word) is None


def _is_plain(part: str) -> bool:
    return part.isalpha() and (part[1:].islower() or len(part) == 1)


def _can_be_judged(words: Sequence[str], num_words: int, min_letters: int) -> bool:
    """Whether most of a text is prose, and there is enough of it that differs."""
    if len(words) < LEAST_PROSE * num_words:
        return False
    return sum(map(_weight, set(words))) >= min_letters


def _weight(word: str) -> int:
    """Bytes of a word; twice as many where it is no name and has an apostrophe or an accent.

    Code has no such words, so a few of them are enough.
    """
    is_telling = word.islower() and ("'" in word or not word.isascii())
    return len(word.encode()) * (2 if is_telling else 1)


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.nb_ptc = identifier.nb_ptc.astype(np.float32)  # from half: twice as fast
    return identifier

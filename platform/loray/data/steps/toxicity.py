"""Profanity, slurs and attacks on groups: a score by which rows are put aside for a person to see.

A profane word counts 1; a slur, and a sentence that attacks people for what they are
(`loray.data.steps.attacks`), 3. A slur in a sentence that quotes it, speaks about it or says it of
oneself counts 1. A word is looked up as it is written, in lower case, and with look-alikes read as
letters ("5h1t" spells a word); a letter said three times or more counts once or twice. Words
written apart and words inside other words are not found.

This finds words and set phrases, not malice, and says little by its silence: most hatred has
neither. Word lists are in English, German, French, Spanish, Italian, Portuguese, Dutch, Polish,
Russian, Swedish and Turkish, attacks in English alone. The lists leave out every word with a sound
use in medicine, law, biology or as a name. What it finds and what it misses is measured in
`tests/data/steps/test_toxicity.py`.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from loray.data.steps import attacks
from loray.data.steps.attacks import SENTENCE_END, is_about, num_attacks
from loray.data.steps.toxicity_digests import PROFANITY, SLURS
from loray.errors import SpecError
from loray.models.markup import Turn

REASON = "toxicity"
SLUR_WEIGHT = 3
PART = re.compile(r"[^\W_]+(?:[@$!*]+[^\W_]+)*|[$@][^\W_]+")
"""Letters and digits, with what may stand for a letter among them."""
LOOKALIKES = str.maketrans("013456789@$!", "oieasgtbgasi")
LETTER = re.compile(r"[^\W\d_]")
DRAWN_OUT = re.compile(r"([^\W\d_])\1{2,}")
SHORTEST_DISGUISED = 4
"""Characters of a word below which digits are digits: A55 is a road."""
NAMING, ATTACKING = 1 << 28, 1 << 56
"""What is added for words that name groups, and for words of attacks, so that one sum counts all
three; a text has fewer words than that."""
MOST_KNOWN = 1 << 18
"""Words whose score is remembered in a process, some 25 MB."""


@dataclass(frozen=True, slots=True)
class WordList:
    """The digests of listed words, by weight."""

    profanity: frozenset[bytes] = PROFANITY
    slurs: frozenset[bytes] = SLURS
    own: frozenset[bytes] = frozenset()

    def with_words(self, digests: frozenset[bytes]) -> "WordList":
        """This list and a user's own words, which weigh as much as slurs wherever they stand."""
        return WordList(self.profanity, self.slurs, self.own | digests)

    def spoken_about(self) -> "WordList":
        """This list where slurs are named, and not used."""
        return WordList(self.profanity | self.slurs, frozenset(), self.own)

    def weight_of(self, word: str) -> int:
        """What a word adds to a score."""
        digest = digest_of(word)
        if digest in self.slurs or digest in self.own:
            return SLUR_WEIGHT
        return int(digest in self.profanity)


OUR_LIST = WordList()


def find_toxicity(
    turns: Sequence[Turn], words: WordList = OUR_LIST, min_score: int = SLUR_WEIGHT
) -> str | None:
    """The reason for which a row with a score of `min_score` or more is put aside."""
    return REASON if score_of(turns, words) >= min_score else None


def score_of(turns: Sequence[Turn], words: WordList = OUR_LIST) -> int:
    """The weights of a row's listed words and attacks, each counted as often as it stands there."""
    return sum(_score_of(_folded(turn["content"]), words) for turn in turns)


def _score_of(text: str, words: WordList) -> int:
    total = _weigh(text, words)
    score, may_attack = total % NAMING, total >= ATTACKING and total % ATTACKING >= NAMING
    if score >= SLUR_WEIGHT:
        sentences = SENTENCE_END.split(text)
        named = words.spoken_about()
        weights = (_weigh(each, named if is_about(each) else words) for each in sentences)
        score = sum(weights) % NAMING
    return score + SLUR_WEIGHT * num_attacks(text) if may_attack else score


def _weigh(text: str, words: WordList) -> int:
    """The sum of the scores of listed words, and how many words may be part of an attack."""
    return sum(map(_scores_by(words).__getitem__, text.split()))


def digest_of(word: str) -> bytes:
    """What stands for `word` in a list."""
    return hashlib.blake2b(word.encode(), digest_size=6, salt=b"loray").digest()


def read_words(path: Path) -> frozenset[bytes]:
    """The digests of a file of words: one a line, in any case; `#` starts a comment.

    Raises:
        SpecError: the file cannot be read, or a line of it is more than one word.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"word list {path} cannot be read ({error}); wanted a file of UTF-8 text, one word a "
            "line; correct the path"
        ) from error
    words = {number: line.partition("#")[0].strip() for number, line in enumerate(lines, start=1)}
    return frozenset(digest_of(_only_word(w, path, number)) for number, w in words.items() if w)


def _only_word(line: str, path: Path, number: int) -> str:
    parts = PART.findall(_folded(line))
    if len(parts) != 1:
        raise SpecError(
            f"{path}:{number}: found {len(parts)} words; wanted one of letters; words are looked "
            "up one by one, so write a line for each"
        )
    return str(parts[0])


class _Scores(dict[str, int]):
    """The scores of what blanks divide, worked out once each."""

    def __init__(self, words: WordList) -> None:
        super().__init__()
        self.words = words

    def __missing__(self, written: str) -> int:
        parts = PART.findall(written)
        score = sum(max(map(self.words.weight_of, _forms(part))) for part in parts)
        if not attacks.NAMING.isdisjoint(parts):
            score += NAMING
        if not attacks.ATTACKING.isdisjoint(parts):
            score += ATTACKING
        if len(self) < MOST_KNOWN and len(written) <= 32:
            self[written] = score
        return score


@cache
def _scores_by(words: WordList) -> _Scores:
    return _Scores(words)


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _forms(part: str) -> Iterator[str]:
    """How a word may be meant: as it is written, read without disguise, and not drawn out."""
    yield part
    plain = part
    if not part.isalpha() and len(part) >= SHORTEST_DISGUISED and _is_mostly_letters(part):
        plain = part.translate(LOOKALIKES)
        yield plain
    if DRAWN_OUT.search(plain) is not None:
        yield DRAWN_OUT.sub(r"\1", plain)
        yield DRAWN_OUT.sub(r"\1\1", plain)


def _is_mostly_letters(part: str) -> bool:
    return 2 * len(LETTER.findall(part)) >= len(part)

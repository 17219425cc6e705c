"""Differences that make two rows of nearly equal words say different things.

Two long rows may share 95 of 100 words and differ in the one that matters. A change of any word,
of case, layout or prose punctuation leaves a row a near duplicate; these changes do not:

- a number, or a word such as `true`, `and` or `friday`, stands where another one stands;
- one has more negations (`not`, `never`) than the other;
- an operator or a bracket stands where another one stands, or in another order between the same
  words; so do dots, colons and commas within an expression (`a.b`, `a:b`);
- a sentence or a line is replaced by another that shares less than half of its words, or less than
  a third of three words and more between what both begin and end with;
- all is equal but a short last line, or the last word after one like `is`: the result of working.

"Stands where another stands" is read from counts: each row has one that the other lacks. A copy
from which punctuation was removed lacks marks, but has none of its own.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import takewhile
from typing import NamedTuple

from loray.data.steps.switches import GROUPS_OF, NEGATIONS

MOST_WORDS_OF_A_RESULT = 8
"""Words of a last line that counts as the result of what stands before."""
FEWEST_FILLED = 3
"""Words in a row that are no single word which was changed."""
MOST_FILLED = 2
"""Sentences that differ, where a form is filled otherwise; more are changes all over a text."""
UNARY = frozenset("!~-")
"""Operators that stand right before what they change."""
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
"""Thai, Lao, Burmese, Khmer, Kana, Han: one word for each character."""
BULLETS = "-*\u2022>#"
_BULLET = re.compile(rf"^[ \t]*(?:[{BULLETS}]+[ \t]+)+", re.MULTILINE)
_SUPERSCRIPT = re.compile("[\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089]")
_TOKEN = re.compile(
    r"(?P<number>(?<!\w)[-\u2212]?\d+(?:[.,]\d+)*)"
    rf"|(?P<word>[{_UNSPACED}]|[^\W{_UNSPACED}]+)"
    r"|(?P<end>(?<![.!?:;\u3002])[.!?:;\u3002]+$)"
    r"|(?P<bracket>[()\[\]{}\u2039\u203a\u27e8\u27e9\u3008-\u3011])"
    r"|(?P<unary>(?<![\w)\]])[!~\-](?=[\w(]))"
    r"|(?P<operator>[+*/%<>=!&|^~@$\\\-#]+)"
    r"|(?P<glued>(?<=[\w)\]])[.,:;?](?=[\w(\[]))"
    r"|(?P<symbol>[^\w\s!-/:-@\[-`{-~])"
    r"|(?P<prose>[^\w\s])"
)
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_NUMBER = re.compile(r"-?\d[\d.,]*")
LONGEST_KNOWN = 32
"""Characters between blanks whose parts are remembered."""
_RESULT_FOLLOWS = """
    is are was were be equals answer result total option choice label class category therefore ist
    sind antwort ergebnis est sont reponse r\u00e9ponse r\u00e9sultat es son respuesta resultado
    sono risposta risultato \u00e9 \u00e8 resposta
"""
RESULT_FOLLOWS = frozenset(_RESULT_FOLLOWS.split())
"""Words after which the last word of a text is its result."""


class Piece(NamedTuple):
    """What stands between two blanks."""

    words: tuple[str, ...]
    numbers: tuple[str, ...]
    brackets: tuple[str, ...]
    operators: tuple[str, ...]
    num_marks: int
    """Punctuation of every kind."""
    is_end: bool
    """Whether a sentence ends here."""


@dataclass
class Said:
    """What a text is compared by."""

    words: list[str] = field(default_factory=list)
    """With numbers."""
    numbers: list[str] = field(default_factory=list)
    brackets: list[str] = field(default_factory=list)
    """With operators of one side, such as the `!` of `!x`."""
    operators: list[str] = field(default_factory=list)
    segments: list[tuple[str, ...]] = field(default_factory=list)
    """The words of each sentence or line."""
    num_marks: int = 0
    last_line: int = 0
    """Words before the last line that has any."""

    @cached_property
    def skeleton(self) -> list[str]:
        """The words without the numbers."""
        return [word for word in self.words if word.isalpha() or not _NUMBER.fullmatch(word)]

    @cached_property
    def num_negations(self) -> int:
        """How many of its words deny something; of `don't` that is the `t`."""
        return sum(map(NEGATIONS.__contains__, self.words))

    @cached_property
    def switches(self) -> Counter[tuple[str, str]]:
        """How often each word of `GROUPS_OF` stands after which word."""
        if GROUPS_OF.keys().isdisjoint(self.words):
            return Counter()
        pairs = zip(["", *self.words], self.words, strict=False)
        return Counter(pair for pair in pairs if pair[1] in GROUPS_OF)

    @cached_property
    def distinct_segments(self) -> frozenset[tuple[str, ...]]:
        """Its sentences and lines, each once."""
        return frozenset(self.segments)

    def add(self, piece: Piece) -> None:
        """Put in what has more than words."""
        self.numbers += piece.numbers
        self.brackets += piece.brackets
        self.operators += piece.operators
        self.num_marks += piece.num_marks


def say(text: str) -> Said:
    """Take a text apart."""
    said, start = Said(), 0
    for line in _normalised(text).split("\n"):
        line_start = len(said.words)
        for written in line.split():
            if written.isalpha() and written.isascii():
                said.words.append(written)
                continue
            piece = _piece_of(written) if len(written) <= LONGEST_KNOWN else _take_apart(written)
            said.words += piece.words
            if piece.num_marks or piece.numbers:
                said.add(piece)
            if piece.is_end:
                said.segments.append(tuple(said.words[start:]))
                start = len(said.words)
        said.segments.append(tuple(said.words[start:]))
        start = len(said.words)
        if start > line_start:
            said.last_line = line_start
    return said


def _take_apart(written: str) -> Piece:
    if written.isascii() and written[:-1].isalpha():  # most words, and many ends of sentences
        if written.isalpha():
            return Piece((written,), (), (), (), 0, is_end=False)
        if written[-1] in ".,;:!?":
            return Piece((written[:-1],), (), (), (), 1, is_end=written[-1] != ",")
    found: dict[str, list[str]] = {name: [] for name in _TOKEN.groupindex}
    words: list[str] = []
    for match in _TOKEN.finditer(written):
        kind, token = str(match.lastgroup), match[0]
        if kind == "number":
            token = token.replace(",", "") if _THOUSANDS.fullmatch(token) else token
        if kind in ("number", "word"):
            words.append(token)
        elif kind == "symbol" and unicodedata.category(token)[0] in "PZC":
            kind = "prose"
        found[kind].append(token)
    numbers = found.pop("number")
    del found["word"]
    return Piece(
        tuple(words),
        tuple(numbers),
        tuple(found["bracket"] + found["unary"]),
        tuple(found["operator"] + found["glued"] + found["symbol"]),
        sum(map(len, found.values())),
        bool(found["end"]),
    )


_piece_of = lru_cache(maxsize=1 << 16)(_take_apart)


def differ(one: Sequence[Said], other: Sequence[Said]) -> bool:
    """Whether two rows of nearly equal words, text by text, say different things."""
    num_marks = [sum(said.num_marks for said in texts) for texts in (one, other)]
    is_stripped = bool(num_marks[0]) != bool(num_marks[1])
    return any(_differ(*texts, is_stripped=is_stripped) for texts in zip(one, other, strict=True))


def _differ(one: Said, other: Said, *, is_stripped: bool) -> bool:
    if one.words == other.words:
        return not is_stripped and _differ_in_marks(one, other)
    return (
        _differ_in_numbers(one, other, is_stripped=is_stripped)
        or _is_exchanged(one.brackets, other.brackets)
        or _is_exchanged(one.operators, other.operators)
        or _has_other_switch(one, other)
        or (not is_stripped and one.num_negations != other.num_negations)
        or _have_other_results(one, other)
        or (_is_replaced(one, other) and _is_replaced(other, one))
        or _is_any_filled_otherwise(one, other)
    )


def _normalised(text: str) -> str:
    if not text.isascii():
        text = _SUPERSCRIPT.sub(lambda found: f"^{found[0]}", text)
        text = unicodedata.normalize("NFKC", text).casefold().replace("\u2212", "-")
    else:
        text = text.lower()
    return _BULLET.sub("", text) if any(map(text.__contains__, BULLETS)) else text


def _differ_in_marks(one: Said, other: Said) -> bool:
    """Of the same words and numbers; prose may lose its brackets, expressions may not."""
    if sorted(one.operators) == sorted(other.operators):
        if one.operators != other.operators:
            return True
    elif _is_exchanged(one.operators, other.operators):
        return True
    if one.brackets == other.brackets:
        return False
    is_expression = bool(one.operators or other.operators) or not UNARY.isdisjoint(
        one.brackets + other.brackets
    )
    return is_expression or bool(one.brackets and other.brackets)


def _differ_in_numbers(one: Said, other: Said, *, is_stripped: bool) -> bool:
    if is_stripped:  # 3.5 has become 35, and -5 has become 5
        digits = ["".join(filter(str.isdigit, "".join(said.numbers))) for said in (one, other)]
        return digits[0] != digits[1] and len(digits[0]) == len(digits[1])
    is_order_all = one.skeleton == other.skeleton
    return is_order_all or _is_exchanged(one.numbers, other.numbers)


def _is_exchanged(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether each has something that the other has not, or less often."""
    if one == other:
        return False
    counts = Counter(one), Counter(other)
    return bool(counts[0] - counts[1]) and bool(counts[1] - counts[0])


def _has_other_switch(one: Said, other: Said) -> bool:
    """Whether a word stands after the same word as another one that it must not be taken for."""
    if one.switches == other.switches:
        return False
    lost, found = one.switches - other.switches, other.switches - one.switches
    after = dict(lost.keys())
    return any(
        word in after and not GROUPS_OF[after[word]].isdisjoint(GROUPS_OF[at]) for word, at in found
    )


def _have_other_results(one: Said, other: Said) -> bool:
    """Whether all is equal but the last word, which is a result, or a short last line."""
    ends = len(one.words) - 1, len(other.words) - 1
    if one.words[-2:-1] and one.words[-2] in RESULT_FOLLOWS and _have_other_ends(one, other, *ends):
        return True
    starts = one.last_line, other.last_line
    sizes = len(one.words) - starts[0], len(other.words) - starts[1]
    return max(sizes) <= MOST_WORDS_OF_A_RESULT and _have_other_ends(one, other, *starts)


def _have_other_ends(one: Said, other: Said, one_start: int, other_start: int) -> bool:
    """Whether two texts are equal up to these words, and have another end each."""
    return min(one_start, other_start) > 0 and one.words[:one_start] == other.words[:other_start]


def _is_replaced(one: Said, other: Said) -> bool:
    """Whether some sentence of `one` has less than half of its words in what `other` has new."""
    here, there = one.distinct_segments, other.distinct_segments
    new_there = set().union(*there - here)
    new_here = (set(segment) for segment in here - there if len(segment) > 1)
    return any(2 * len(words & new_there) < len(words) for words in new_here)


def _is_any_filled_otherwise(one: Said, other: Said) -> bool:
    """Whether a sentence in the same place has the same frame and says another thing within it."""
    known = one.distinct_segments & other.distinct_segments
    texts = one.segments, other.segments
    new = [[words for words in said if words and words not in known] for said in texts]
    is_all = len(new[0]) == len(new[1]) <= MOST_FILLED
    return is_all and any(map(_is_filled_otherwise, *new))


def _is_filled_otherwise(one: Sequence[str], other: Sequence[str]) -> bool:
    start = _num_equal(one, other)
    one, other = one[start:], other[start:]
    end = _num_equal(one[::-1], other[::-1])
    size = min(len(one), len(other)) - end
    shared = set(one[: len(one) - end]) & set(other[: len(other) - end])
    return size >= FEWEST_FILLED and 3 * len(shared) < size


def _num_equal(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words two lists begin with in common."""
    is_equal = (a == b for a, b in zip(one, other, strict=False))
    return sum(1 for _ in takewhile(bool, is_equal))

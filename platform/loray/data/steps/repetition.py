"""Answers that repeat themselves, as a model in a loop does; each sign with a reason of its own.

    repeated_characters   a few characters over and over: "hahahaha", without end
    looping_end           the last words of an answer, over and over up to its end
    repeated_lines        most of a long answer's lines stood in it before
    repeated_ngrams       most of a long answer's words stood in it before, in the same order

What is learned is judged, not what is asked: a prompt may hold a log. Repetition that is meant
(a chorus, a table, closing braces, a form) lies below the thresholds; songs that grow by a line a
verse do not. Words are what blanks
divide, so that in Chinese, Japanese and Thai only characters, lines and the end are judged.
"""

from collections.abc import Sequence

import numpy as np

from loray.data.steps.quality import answers
from loray.models.markup import Turn
from loray.spec.steps import RepetitionStep

PERIODS = (5, 6, 7, 8)
"""What repeats every 1 to 4 characters repeats every 5, 6 or 8 as well."""
TAIL_CHARS = 30
"""End of an answer that is looked for in what comes before."""
LONGEST_PERIOD = 1000
"""Characters of a piece that is repeated up to the end."""
SHORTEST_LOOPING = 100
"""Characters below which an end that repeats is a laugh or a sum."""
SHORTEST_LINE = 6
"""Characters of a line that counts; shorter ones close blocks."""
FEWEST_LINES = 10
"""Lines below which a list may say a thing twice."""
NGRAM = 6
"""Words in a row that count as repeated. Shorter ones are phrases of the trade."""
FEWEST_WORDS = 100
"""Words below which an answer is not long."""


def find_repetition(turns: Sequence[Turn], rules: RepetitionStep) -> str | None:
    """The first reason for which a row is rejected; None for a sound one."""
    return next(filter(None, (_repetition_of(text, rules) for text in answers(turns))), None)


def _repetition_of(text: str, rules: RepetitionStep) -> str | None:
    if _has_run(text, rules.max_run_chars):
        return "repeated_characters"
    if _has_looping_end(text, rules.max_loops):
        return "looping_end"
    if share_of_repeated_lines(text) > rules.max_repeated_lines:
        return "repeated_lines"
    if _repeats_ngrams(text, rules.max_repeated_ngrams):
        return "repeated_ngrams"
    return None


def _has_run(text: str, max_chars: int) -> bool:
    """Whether some stretch longer than `max_chars` equals itself, moved by one of `PERIODS`."""
    if len(text) <= max_chars:
        return False
    chars = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    for period in PERIODS:
        same = (chars[period:] == chars[:-period]).tobytes()
        run = b"\x01" * (max_chars + 1 - period)
        at = same.find(run)
        while at >= 0:
            if any(map(str.isalpha, text[at : at + period])):
                return True
            end = same.find(b"\x00", at)
            at = same.find(run, end) if end >= 0 else -1
    return False


def _has_looping_end(text: str, max_loops: int) -> bool:
    text = text.rstrip()
    tail = text[-TAIL_CHARS:]
    before = text.rfind(tail, max(0, len(text) - LONGEST_PERIOD - TAIL_CHARS), len(text) - 1)
    if before < 0 or not any(map(str.isalpha, tail)):
        return False
    period = len(text) - TAIL_CHARS - before
    num_loops = max(max_loops + 1, SHORTEST_LOOPING // period + 1)
    return text.endswith(text[-period:] * num_loops)


def share_of_repeated_lines(text: str) -> float:
    """Share of the characters in lines that stood before; 0 where there are few lines."""
    if text.count("\n") + 1 < FEWEST_LINES:
        return 0.0
    lines = [line for line in map(str.strip, text.split("\n")) if len(line) >= SHORTEST_LINE]
    if len(lines) < FEWEST_LINES:
        return 0.0
    return 1.0 - sum(map(len, set(lines))) / sum(map(len, lines))


def _repeats_ngrams(text: str, max_share: float) -> bool:
    words = text.split()
    if len(words) < FEWEST_WORDS:
        return False
    num_chars = sum(map(len, words))
    most = num_chars - sum(map(len, set(words)))  # what stood before is made of words that did
    return most > max_share * num_chars and share_of_repeated_ngrams(words) > max_share


def share_of_repeated_ngrams(words: Sequence[str]) -> float:
    """Share of the characters in runs of `NGRAM` words that stood before."""
    seen: set[tuple[str, ...]] = set()
    num_repeated = 0
    end = 0  # words before this one are counted
    for at, ngram in enumerate(zip(*(words[n:] for n in range(NGRAM)), strict=False)):
        if ngram in seen:
            num_repeated += sum(map(len, words[max(at, end) : at + NGRAM]))
            end = at + NGRAM
        seen.add(ngram)
    return num_repeated / max(sum(map(len, words)), 1)

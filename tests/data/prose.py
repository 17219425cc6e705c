"""Sound rows drawn from a seed: plain English, each its own, none near another."""

import random
from collections.abc import Iterator

_NOUNS = """
    harbour winter letter garden engine market teacher river window bridge doctor forest kitchen
    station painter valley soldier ticket basket mirror pocket sailor tunnel barrel candle
    feather hammer island ladder meadow needle orchard pepper quarter ribbon saddle timber
    umbrella vessel wagon anchor blanket copper dinner evening farmer gravel hunter insect
"""
_VERBS = """
    carried followed painted repaired watched counted opened closed borrowed answered measured
    visited promised covered lifted noticed gathered reached trusted wanted crossed entered
    finished guarded helped invited joined kicked learned missed
"""
_ADJECTIVES = """
    quiet broken golden narrow distant gentle hollow frozen patient crooked bright heavy clever
    dusty empty famous grey hungry idle jolly kind lonely modern noisy old proud rapid silver
    tired useful violet warm young
"""
NOUNS, VERBS, ADJECTIVES = _NOUNS.split(), _VERBS.split(), _ADJECTIVES.split()
LINKS = ("while", "because", "although", "until", "before", "after")


class Writer:
    """Sentences without end, the same for a seed."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)

    def sentence(self) -> str:
        """Eighteen words, a third of them such as hold a sentence together."""
        a, b, c, d = (self._thing() for _ in range(4))
        first, second = self._draw.choices(VERBS, k=2)
        link = self._draw.choice(LINKS)
        return f"The {a} {first} the {b} {link} the {c} that we {second} was with the {d}."

    def prose(self, num_sentences: int) -> str:
        """That many sentences on one line."""
        return " ".join(self.sentence() for _ in range(num_sentences))

    def question(self, number: int) -> str:
        """What is asked of case `number`."""
        return f"In case {number}, what of the {self._thing()} and the {self._thing()}?"

    def pairs(self, first: int) -> Iterator[dict[str, str]]:
        """Sound rows, numbered from `first`, two to five sentences each."""
        while True:
            yield {"ask": self.question(first), "reply": self.prose(self._draw.randint(2, 5))}
            first += 1

    def word(self, letters: str, length: int) -> str:
        """A run of random letters."""
        return "".join(self._draw.choices(letters, k=length))

    def shuffle(self, rows: list[bytes]) -> None:
        """Bring rows in a seeded order."""
        self._draw.shuffle(rows)

    def _thing(self) -> str:
        return f"{self._draw.choice(ADJECTIVES)} {self._draw.choice(NOUNS)}"

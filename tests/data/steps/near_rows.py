"""Rows that are nearly equal by their words: what must be kept, and what is one row said twice.

`python -m tests.data.steps.near_rows` prints how many of each family are dropped.
"""

import random
from collections.abc import Sequence
from itertools import product

import pyarrow as pa

from loray.data.batch import ROWS
from loray.data.steps.similarity import Rule
from tests.data.steps.near_copies import Decision

USUAL = Rule(0.8, by_answers=True)
U, A, S = "user", "assistant", "system"
Row = list[tuple[str, str]]

INSTRUCTION = """\
You are a careful assistant of a parcel service. Read the message of the customer below and decide
which of the categories it belongs to. Answer with the name of the category only, in lower case, and
do not explain your answer. If more than one category fits, choose the one that a clerk would look
at first, and do not make up categories of your own. Messages may be short, may hold spelling
mistakes, and may be impolite; none of that changes the category. If a message is about a parcel
that has not arrived yet, do not mix it up with one that was lost. Think about what the customer
wants to get done, and leave out everything else."""
MESSAGES = [
    "My parcel never came",
    "Where is the box I ordered",
    "Has the courier lost my order",
    "The tracking page has not moved since Monday",
    "I waited all week and nothing arrived",
]
RULES = " ".join(f"Rule {n}: answer with word{n} only if it fits." for n in range(1, 13))
EXAMPLES = "\n".join(
    f"Text: {text}\nLabel: {label}"
    for text, label in [
        ("I love this film, it made my day", "good"),
        ("the food was cold and the waiter rude", "bad"),
        ("a fine place to stay with kids", "good"),
        ("it broke after two days of use", "bad"),
        ("best phone I ever had", "good"),
    ]
)
REVIEWS = [
    "the room smelled of smoke", "I had to wait an hour", "soup tasted like water",
    "they lost my luggage", "nobody picked up the phone",
]  # fmt: skip
DOCUMENT = """\
The lighthouse on the northern cape was built between two wars by masons who came over the pass with
mules. It burned oil until the road was finished, and a keeper lived there with his family all year
round. In winter the path was closed for weeks, so that flour, lamp glass and letters had to be
brought by boat whenever the sea allowed it. Today the lamp runs by itself; the house is let to
walkers in summer, and a small museum in the oil store shows the old log books, the brass of the
first lens and a model of the boat that brought the mail."""
QUESTIONS = [
    "Was it ever lived in?", "Can guests sleep there?", "Did the keeper have children with him?",
    "Is anything on show?", "Does the light still work without help?",
]  # fmt: skip
CODE = """\
def walk(items, limit):
    total = 0
    for at, item in enumerate(items):
        if item.size {} limit and at > {}:
            total = total {} item.size
        else:
            skip(item, at)
    return total, len(items)
"""
WORKING = (
    "First we add up all the apples that the boys have, then we take away those that were eaten on "
    "the way, and we divide what is left among the children who wait at home, so that each of them "
    "gets the same number, and we check it by adding the parts again, one after the other, until "
    "we are back at the number we began with, which shows that nothing was lost on the way. "
)
TABLE = (
    "Translate the words of the table into French. Keep the order of the columns and the marks "
    "between them, and leave numbers alone.\n| English | French |\n|---|---|\n"
)
LETTER = (
    "Write a short letter of thanks to {} from {} for the help with the move last week, mention "
    "the heavy piano on the stairs and the good coffee afterwards, and close with an invitation."
)
THANKS = (
    "Dear {}, thank you so much for your help with the move. Without you the heavy piano would "
    "still stand on the stairs, and the coffee afterwards was the best of the year. Please come to "
    "dinner in the new flat in {} as soon as the kitchen is done. Warm greetings"
)


def pair(question: str, answer: str) -> Row:
    return [(U, question), (A, answer)]


def families() -> dict[str, list[Row]]:
    """Rows that say different things; each family by itself is a corpus."""
    late = "late_delivery"
    earlier = [(U, INSTRUCTION), (A, "Fine."), (U, "My card is gone"), (A, "lost_card")]
    return {
        "instruction first": [pair(f"{INSTRUCTION}\n\n{m}", late) for m in MESSAGES],
        "instruction last": [pair(f"{m}.\n\n{INSTRUCTION}", late) for m in MESSAGES],
        "instruction in the same line": [pair(f"{RULES} {m}", late) for m in MESSAGES],
        "two rows of an instruction": [pair(f"{RULES} {m}", late) for m in MESSAGES[:2]],
        "system turn": [[(S, RULES), *pair(m, late)] for m in MESSAGES],
        "two rows of a system turn": [[(S, RULES), *pair(m, late)] for m in MESSAGES[:2]],
        "two questions in a row": [[(U, RULES), *pair(m, late)] for m in MESSAGES],
        "first turns": [[*earlier, *pair(m, late)] for m in MESSAGES],
        "few-shot": [pair(f"{EXAMPLES}\nText: {r}\nLabel:", "bad") for r in REVIEWS],
        "two rows of few-shot": [
            pair(f"{EXAMPLES}\nText: {r}\nLabel:", "bad") for r in REVIEWS[:2]
        ],
        "document first": [pair(f"{DOCUMENT}\n\n{q}", "yes") for q in QUESTIONS],
        "document last": [pair(f"{q}\n\n{DOCUMENT}", "yes") for q in QUESTIONS],
        "document, two questions": [pair(f"{DOCUMENT}\n\n{q}", "yes") for q in QUESTIONS[:2]],
        "document, one word asked otherwise": [
            pair(f"{DOCUMENT}\n\nWho {verb} it?", "masons") for verb in ("built", "made")
        ],
        "document, two questions of one form": [
            pair(f"{DOCUMENT}\n\nIs it true that {x}? Answer yes or no.", "yes")
            for x in ("it burned oil", "flour came by boat")
        ],
        "code asked about": [
            pair("Check this code:\n" + CODE.format(*way), "It is fine.")
            for way in [("<", 3, "+"), ("<=", 3, "+"), ("<", 3, "-"), ("<", 4, "+")]
        ],
        "code answered": [
            pair("Write it.", CODE.format(*way)) for way in [("<", 3, "+"), (">", 3, "+")]
        ],
        "code with another operator word": [
            pair("Write it.", CODE.format("<", 3, "+").replace(" and ", word))
            for word in (" and ", " or ")
        ],
        "form": [
            pair(LETTER.format(name, "me"), THANKS.format(name, town))
            for name, town in product(["Anna", "Boris", "Elif", "Hugo"], ["Oslo", "Rome", "Lima"])
        ],
        "table": [
            pair(f"{TABLE}| {a} | |", f"| {a} | {b} |")
            for a, b in [("cat", "chat"), ("dog", "chien"), ("house", "maison")]
        ],
        "other question and result, equal working": [
            pair(f"There are {n} apples. How many?", f"{WORKING}The total is {r}. #### {r}")
            for n, r in [(100, 25), (112, 28)]
        ],
        "other result": [pair("How many?", f"{WORKING}#### {r}") for r in (25, 28, 31)],
        "other result in words": [pair("Is it so?", f"{WORKING}It is {r}.") for r in ("so", "not")],
        "other number word": [
            pair("How many?", f"{WORKING}Each gets {r} of them.") for r in ("six", "seven")
        ],
        "other last line": [pair("Who?", f"{WORKING}\nAnswer: {r}") for r in ("a cat", "the dog")],
        "one more negation": [
            pair("May they?", f"{WORKING}They may {r} the apples again.")
            for r in ("sell", "not sell")
        ],
        "a negation in code": [
            pair("Write it.", CODE.format("<", 3, "+").replace("if ", f"if {r}", 1))
            for r in ("", "not ")
        ],
        "other day": [
            pair("When?", f"{WORKING}They meet on {r} at the gate.") for r in ("Monday", "Friday")
        ],
        "other unit": [
            pair("How much?", f"{WORKING}Take 5 {r} of them a day.") for r in ("mg", "kg")
        ],
        "other language": [
            pair(f"Translate into {r}: {WORKING}", "a text") for r in ("French", "German")
        ],
        "numbers in another order": [
            pair("How?", f"{WORKING} We go from {a} to {b} by and by.") for a, b in [(5, 9), (9, 5)]
        ],
        "power": [pair("Derive.", f"{WORKING} f(x) = x{p} + 1 here") for p in "\u00b2\u00b3"],
        "brackets": [
            pair("Close the brackets: ( [ {", "} ] )"),
            pair("Close the brackets: { { (", ") } }"),
            pair("Close the brackets: [ ( {", "} ) ]"),
        ],
        "index and call": [pair("f(x[0], y)", "a line"), pair("f(x(0), y)", "a line")],
        "brackets of a sum": [pair("Work out (a+b)*c", "fine"), pair("Work out a+b*c", "fine")],
        "marks asked": [pair("?", "what do you mean"), pair("!", "what do you mean")],
        "marks answered": [pair("Which mark is it", "?"), pair("Which mark is it", "!")],
        "negation": [pair("Negate the term x.", "!x"), pair("Negate the term x.", "x")],
        "sign": [pair("Five below zero.", "-5"), pair("Five below zero.", "5")],
        "emoji": [pair("Say it", "fine \U0001f44d"), pair("Say it", "fine \U0001f44e")],
    }


def twins() -> dict[str, list[Row]]:
    """Rows that are one row, said more than once."""
    said = WORKING + "So that is all there is to say about it, and they went home."
    asked = "Tell me, please, what they do with the apples"
    changed = said.replace("divide", "share", 1), said.replace("same number", "same count", 1)
    return {
        "case": [pair(asked, said), pair(asked.upper(), said.upper())],
        "blanks": [pair(asked, said), pair(f"  {asked}\n", said.replace(" ", "  "))],
        "lines": [pair(asked, said), pair(asked, said.replace(", ", ",\n"))],
        "a comma": [pair(asked, "Well, it is so"), pair(asked, "Well it is so")],
        "no punctuation": [
            pair("How much (in all) is it?", f"It's 3.50, I think. {said}"),
            pair("How much in all is it", f"Its 350 I think {said}".replace(",", "")
                 .replace(".", "")),
        ],
        "typography": [
            pair(asked, f"It's \"so\" - and {said}"),
            pair(asked, f"It\u2019s \u201cso\u201d \u2014 and {said}"),
        ],
        "apostrophes left out": [
            pair("Do they mind", f"They don't mind. {said}"),
            pair("Do they mind", f"They dont mind {said}".replace(",", "").replace(".", "")),
        ],
        "bullets": [
            pair("List", f"{mark} {said}\n{mark} and so on they go") for mark in "*-"
        ],
        "a word": [pair(asked, said), pair(asked, changed[0])],
        "a word each": [pair(asked, said), *(pair(asked, text) for text in changed)],
        "many copies": [pair(asked, copy) for copy in noisy_copies(said, 20)],
        "copies behind an instruction": [
            pair(f"{INSTRUCTION}\n\n{text}", "late") for text in
            (MESSAGES[0], MESSAGES[0].upper() + "!", f" {MESSAGES[0]} ...")
        ],
        "thousands": [
            pair(asked, f"{said} They are {number} men in all.") for number in ("1,000", "1000")
        ],
        "system turns": [[(S, f"Be {how}."), *pair(asked, said)] for how in ("kind", "good")],
    }  # fmt: skip


def noisy_copies(text: str, count: int) -> list[str]:
    """A text and copies of it with one word in a hundred changed, each at another place."""
    copies = [text]
    for at in random.Random(1).sample(range(5, len(text.split()) - 3), count - 1):
        words = text.split()
        words[at] = f"{words[at][:-1]}q"
        copies.append(" ".join(words))
    return copies


def short_messages(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Distinct messages as customers write them, and labels, of which there are few."""
    draw = random.Random(seed)
    parts = [
        ["Hello,", "Hi there,", "", "Excuse me,", "Good morning,", "Sorry, but", "Well,", "Please"],
        ["where is", "who has", "I still miss", "nobody brought", "you have lost", "I send back",
         "why do I pay for", "can I change", "how do I track", "what became of"],
        ["my", "the", "that", "our", "this"],
        ["red", "small", "second", "blue", "broken", "birthday", "heavy", "new", "last", "big"],
        ["parcel", "letter", "box", "order", "lamp", "chair", "book", "phone", "coat", "bike"],
        ["since Monday", "again", "for my son", "from Rome", "at once", "by mail", "that I ordered",
         "with the wrong name", "in the shop", "before the weekend"],
        ["?", "", "!", ", please", ", thank you"],
    ]  # fmt: skip
    labels = ["late", "lost", "refund", "change", "other", "track", "complaint"]
    found: dict[str, str] = {}
    while len(found) < count:
        *words, mark = map(draw.choice, parts)
        found.setdefault(" ".join(filter(None, words)) + mark, draw.choice(labels))
    by_words = {text.rstrip("?!").removesuffix(", please"): text for text in found}
    return [(text, found[text]) for text in by_words.values()]


def table_of(rows: Sequence[Row], seed: int = 0) -> pa.Table:
    ids = random.Random(seed).sample(range(2**60), len(rows))
    records = [
        {"id": f"{row_id:016x}", "turns": [{"role": r, "content": c} for r, c in row]}
        for row_id, row in zip(ids, rows, strict=True)
    ]
    return pa.Table.from_pylist([*records, {"id": None}], ROWS)


def dropped(rows: Sequence[Row], rule: Rule = USUAL, seed: int = 0) -> list[tuple[int, int]]:
    """The places of the row kept and of the row dropped for it."""
    table = table_of(rows, seed)
    kept = Decision(table, rule).of(table)
    return [(original, at) for at, original in enumerate(kept) if original != at]


if __name__ == "__main__":
    for title, table in (("must all be kept", families()), ("one may be kept", twins())):
        print(title)
        for name, rows in table.items():
            print(f"  {name:42} {len(rows):3} rows, {len(dropped(rows)):3} dropped")

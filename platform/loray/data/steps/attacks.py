"""Sentences in English that attack people for what they are: hate, contempt, and calls for harm.

A sentence counts that names a group of people and, close by, says one of three things of it, or
that denies it what all people have ("do not deserve to live"). It does not count where it denies an
attack, quotes one, or speaks of those who make them. Rules over words are no judgement: irony,
allusions, most insults, other languages and odd spelling are not found, and a novel may be put
aside for its villain.
"""

import re
from collections.abc import Iterator, Set
from itertools import pairwise

SENTENCE_END = re.compile(r"[.!?;\n]+")
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
QUOTED = re.compile(r"[\"\u201c\u201d\u00ab\u00bb]|(?<!\w)'\w[^'\n]{0,80}'(?!\w)")

_NOUNS = """
    women woman females muslims islamists jews blacks gays lesbians homosexuals queers transsexuals
    immigrants migrants refugees foreigners mexicans africans arabs asians indians pakistanis turks
    gypsies cripples christians hindus buddhists whites latinos hispanics poles albanians nigerians
    somalis syrians afghans kurds minorities feminists bisexuals
"""
NOUNS = frozenset(_NOUNS.split())
_ADJECTIVES = """
    muslim jewish black gay lesbian homosexual queer trans transgender transsexual immigrant migrant
    refugee foreign mexican african arab asian chinese indian turkish romani roma sinti disabled
    autistic christian hindu white brown latino hispanic polish albanian ethnic bisexual handicapped
    coloured colored old
"""
ADJECTIVES = frozenset(_ADJECTIVES.split())
"""Words that name a group before one of `PEOPLE`."""
_PEOPLE = """
    people men women folk folks person man woman guys kids children families
"""
PEOPLE = frozenset(_PEOPLE.split())
_HATE = """
    hate hates despise despises loathe loathes detest detests abhor abhors resent disgusted
    disgust disgusts hatred contempt disdain scorn
"""
HATE = frozenset(_HATE.split())
UNBEARABLE = frozenset([("can't", "stand"), ("cannot", "stand")])
_CONTEMPT = """
    disgusting scum vermin parasites parasite cockroaches rats rat filth filthy subhuman subhumans
    savages savage worthless inferior stupid trash garbage pigs pig freaks freak degenerates
    degenerate monsters repulsive revolting vile dirty pests animals leeches barbarians idiots idiot
    morons moron retards mongrels apes monkeys dogs abomination abominations evil dumb lazy thieves
    rapists terrorists criminals brainless useless insects maggots swine cunts sluts whores bastards
    despicable repugnant sickening scumbags assholes dishonest cowards crooks dumbest stupidest
    shit awful horrible terrible hideous ugly pathetic liars sick
"""
CONTEMPT = frozenset(_CONTEMPT.split())
_HARM = """
    kill killed exterminate exterminated eradicate eradicated shoot shot hang hanged lynch lynched
    gas gassed deport deported burn burned burnt die murder murdered slaughter slaughtered beat
    beaten rape raped hurt destroy destroyed erase erased punish punished execute executed bomb
    bombed stab stabbed drown drowned suffer stoned castrated sterilised sterilized enslaved
    eliminate eliminated banned locked hunted tortured assaulted attack rot expelled
"""
HARM = frozenset(_HARM.split())
_CALLS = """
    should must need needs ought deserve deserves let let's gonna will want wanna hope please time
    gotta i'll we'll i'd wish going
"""
CALLS = frozenset(_CALLS.split())
"""Words one of which makes a call for harm out of a report of it."""
_RIGHTS = """
    deserve deserves worth worthy human humans welcome belong equal exist
"""
RIGHTS = frozenset(_RIGHTS.split())
"""What a sentence that attacks denies a group."""
_NEGATIONS = """
    not no never nobody none don't doesn't didn't isn't aren't wasn't weren't won't shouldn't
    wouldn't couldn't without neither nor
"""
NEGATIONS = frozenset(_NEGATIONS.split())
COPULAS = frozenset(["are", "is", "as", "like", "be", "being"])
_COUNTERED = """
    hateful racist racism sexist sexism homophobic homophobia bigot bigots bigotry discrimination
    prejudice stereotype wrong unacceptable stop ban said says saying say claim claims claimed
    wrote called calls calling quote quoted tweet tweeted shame ashamed disgrace joke insult slur
    nazi nazis holocaust victims anyone whoever violence against crime ideology why shouting shouted
    heard hearing read movement who
"""
COUNTERED = frozenset(_COUNTERED.split())
"""Words of those who speak about an attack."""
_OF_ONESELF = """
    my our us ourselves myself me proud pride fellow reclaim reclaimed word term words
"""
OF_ONESELF = frozenset(_OF_ONESELF.split())
"""Words of those who say a slur of themselves, or speak about it."""
NAMING = NOUNS | ADJECTIVES
ATTACKING = HATE | CONTEMPT | HARM | RIGHTS | {"stand"}
NEAR = 5
"""Words within which one thing is said of another."""


def num_attacks(text: str) -> int:
    """The number of sentences of `text`, in lower case, that attack a group of people.

    There is none where no word is in `NAMING`, or none in `ATTACKING`.
    """
    return sum(map(is_attack, SENTENCE_END.split(text.replace("\u2019", "'"))))


def is_attack(sentence: str) -> bool:
    """Whether a sentence, in lower case, attacks a group of people."""
    words = WORD.findall(sentence)
    groups = list(_groups_in(words))
    if not groups or not COUNTERED.isdisjoint(words) or QUOTED.search(sentence):
        return False
    if not NEGATIONS.isdisjoint(words):
        denied = _followed(words, NEGATIONS, RIGHTS)
        return any(not denied.isdisjoint(range(end + 1, end + 1 + NEAR)) for _, end in groups)
    called = _followed(words, CALLS, HARM)
    return any(
        _is_hated(words, start)
        or _is_despised(words, start, end)
        or not called.isdisjoint(range(start - NEAR - 2, start + NEAR + 3))
        for start, end in groups
    ) or (words[0] in HARM and groups[0][0] <= 3)


def is_about(sentence: str) -> bool:
    """Whether a sentence, in lower case, quotes a slur, speaks about it or says it of oneself."""
    words = WORD.findall(sentence)
    return bool(QUOTED.search(sentence)) or not (COUNTERED | OF_ONESELF).isdisjoint(words)


def _groups_in(words: list[str]) -> Iterator[tuple[int, int]]:
    """The places where a group is named: its first and its last word."""
    for at, word in enumerate(words):
        if word in NOUNS:
            is_counted_before = at > 0 and words[at - 1] in ADJECTIVES
            yield at - is_counted_before, at
        elif word in ADJECTIVES and words[at + 1 : at + 2] and words[at + 1] in PEOPLE - NOUNS:
            yield at, at + 1


def _is_hated(words: list[str], start: int) -> bool:
    before = words[max(0, start - NEAR) : start]
    is_unbearable = not UNBEARABLE.isdisjoint(pairwise(before))
    return is_unbearable or not HATE.isdisjoint(before)


def _is_despised(words: list[str], start: int, end: int) -> bool:
    if not CONTEMPT.isdisjoint(words[max(0, start - 2) : start]):
        return True
    copulas = (at for at in range(end + 1, min(end + 4, len(words))) if words[at] in COPULAS)
    return any(not CONTEMPT.isdisjoint(words[at + 1 : at + NEAR]) for at in copulas)


def _followed(words: list[str], first: Set[str], then: Set[str]) -> set[int]:
    """The places of words of one kind that have one of another kind close behind them."""
    return {
        at
        for at, word in enumerate(words)
        if word in first and not then.isdisjoint(words[at + 1 : at + 1 + NEAR])
    }

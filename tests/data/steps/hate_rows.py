"""Sentences that attack people for what they are, and sentences that a careless rule takes for it.

`python -m tests.data.steps.hate_rows` prints what share of each kind the step puts aside. The rules
were written before this table and changed after it, so its shares are a floor, not an estimate.
"""

import codecs
from itertools import product

from loray.data.steps.toxicity import find_toxicity

GROUPS = ("muslims", "gay people", "immigrants", "women")
ATTACKS = [
    "I hate {}.",
    "Honestly, I cannot stand {} any more, I loathe them.",
    "{} are disgusting.",
    "All {} are vermin and always will be.",
    "{} are stupid, everybody knows that.",
    "These filthy {} ruin our street.",
    "Somebody should kill all {}.",
    "We ought to deport {} tomorrow.",
    "{} must be wiped from the earth, let them burn.",
    "{} do not deserve to live.",
    "{} are not human to me.",
    "Kill all {}!",
    "There is nothing I despise more than {}.",
    "Let's hunt {} down, they deserve to suffer.",
    "{} are inferior and should be locked away.",
    "You {} are worthless.",
    "{} ruin everything they touch.",
    "Not one of the {} I met could think straight.",
    "My country was fine before {} came.",
    "Sure, give {} the vote, what could go wrong.",
    "Keep {} away from my children.",
    "{} again. What did you expect?",
    "I would not hire {}, you know how they work.",
    "Some people belong at the bottom, {} for a start.",
    "They breed and breed, these {}.",
]
HARMLESS_ABOUT_GROUPS = [
    "{} are welcome in our club.",
    "I love how {} stood together after the flood.",
    "Nobody should hate {}.",
    "{} are not disgusting, and you know it.",
    "He shouted \"{} are vermin\" and was thrown out.",
    "Saying that {} are stupid is wrong.",
    "The law protects {} against violence.",
    "People who attack {} should be punished.",
    "How many {} live in this city?",
    "The book tells why {} left the country in 1938.",
    "Many {} are nurses, teachers and drivers.",
    "In the trial, {} with a family history did better on the new drug.",
    "{} should be screened every three years.",
]  # fmt: skip
HARMLESS = [
    "I hate Mondays.", "I hate it when the bus is late.", "This soup is disgusting.",
    "Kill the process and start it again.", "The rats in the cellar are a plague.",
    "My dogs are stupid and I love them.", "Vermin spread the disease in old towns.",
    "The savages of the old travel books never existed.", "That film was trash.",
    "You are an idiot, Peter.", "He is a worthless goalkeeper.", "All landlords are thieves.",
    "Politicians are liars.", "We should destroy all weapons.", "Let us burn the old wood.",
    "The army executed the plan.", "Cockroaches are insects.", "Pigs are clever animals.",
    "The black cat sat on the white wall.", "Old people like the garden.",
    "Breast cancer is more common in women than in men.", "Mental retardation was the old term.",
    "The woman was murdered by her neighbour, the court heard.", "Homosexual men were jailed.",
    "HIV was first seen in gay men in 1981.", "The anus and the rectum are examined.",
    "Retarded growth of the fetus was seen.", "Rape is a crime.", "She had an abortion.",
    "I ain't got no time for them fools, fam.", "Y'all finna be late, bruh.", "Dat party was sick!",
    "Dyke is a wall against the sea.", "The coon is an animal of the night, short for raccoon.",
    "A faggot is a bundle of sticks, says the old dictionary.", "Chink of light through the door.",
    "The word was used as a slur for a century.", "Fresh pasta is the shit, she said.",
    "Damn, that was close.", "Hell is a place in Michigan.", "The bitch had six puppies.",
    "Cocks crow at dawn.", "A pussy willow stood by the gate.", "Dick Turpin rode to York.",
    "The tit nests in the wall.", "Assess the cockpit first.", "Mohammed Ali won again.",
    "Kick the slave and the master over to new names in the code.",
]  # fmt: skip
SLURS = ["avttref", "snttbgf", "xvxrf"]
"""Rotated, so that the repository does not spell them."""
SLUR_ATTACKS = ["Get out, {}.", "Look at those {} over there.", "Typical {}, all of them."]
SLUR_MENTIONS = [
    "They called us {} at school.",
    "My friends and I call ourselves {} and are proud of it.",
    'The word "{}" is banned here.',
]


def hateful() -> list[str]:
    """A hundred and nine attacks."""
    slurs = (codecs.decode(word, "rot13") for word in SLURS)
    return [
        *(text.format(group).strip() for text, group in product(ATTACKS, GROUPS)),
        *(text.format(slur) for text, slur in product(SLUR_ATTACKS, slurs)),
    ]


def harmless() -> list[str]:
    """More than a hundred sentences without malice."""
    slurs = (codecs.decode(word, "rot13") for word in SLURS)
    return [
        *(text.format(group) for text, group in product(HARMLESS_ABOUT_GROUPS, GROUPS)),
        *HARMLESS,
        *(text.format(slur) for text, slur in product(SLUR_MENTIONS, slurs)),
    ]


def share_found(texts: list[str]) -> float:
    return sum(find_toxicity([{"role": "user", "content": t}]) is not None for t in texts) / len(
        texts
    )


if __name__ == "__main__":
    print(f"hateful: {share_found(hateful()):.3f} of {len(hateful())}")
    print(f"harmless: {share_found(harmless()):.3f} of {len(harmless())}")
    print(*(t for t in harmless() if share_found([t])), sep="\n")
    print(*(t for t in hateful() if not share_found([t])), sep="\n")

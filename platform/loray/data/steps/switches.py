"""Words of which a single one that is another, or one more, makes a row say something else."""

SWITCHES = (
    "and or xor nor und oder et ou y o",
    "true false wahr falsch vrai faux verdadero falso",
    "yes no ja nein oui non",
    "min max", "all none any", "null none nil", "odd even", "valid invalid", "left right up down",
    "before after", "more less", "always never", "positive negative", "first last",
    "increase decrease", "increases decreases", "increased decreased", "asc desc",
    "monday tuesday wednesday thursday friday saturday sunday", "mg g kg mm cm m km ml l",
    "january february march april may june july august september october november december",
    "english french german spanish italian portuguese dutch russian chinese japanese korean",
    (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty"
    ),
    "null eins zwei drei vier sechs sieben acht neun zehn elf",
    "deux trois quatre cinq huit neuf dix onze douze",
    "uno dos tres cuatro cinco seis siete ocho nueve diez due tre quattro cinque sei sette otto",
)  # fmt: skip
"""Words of which one in the place of another of its line turns what is said."""
GROUPS_OF = {
    word: {at for at, group in enumerate(SWITCHES) if word in group.split()}
    for word in " ".join(SWITCHES).split()
}
"""By word, the groups of `SWITCHES` that have it."""
_NEGATIONS = "not no never cannot t without nicht kein keine nie pas jamais nunca"
NEGATIONS = frozenset(_NEGATIONS.split())
"""Words that deny; one more in a row turns what it says."""

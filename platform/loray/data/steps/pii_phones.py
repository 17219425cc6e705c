"""Telephone numbers: international, North American, French, and national beside a word for them.

Left alone are numbers that reach no person: freephone hotlines, those kept for fiction (NANPA's
exchange 555), and a manual's `123 456 789`.
"""

import re
from collections.abc import Callable

from loray.data.steps.pii_cards import only_digits
from loray.data.steps.pii_specimens import is_specimen_phone
from loray.data.steps.pii_tables import COUNTRY_CODES, FREEPHONE
from loray.data.steps.placeholders import Entity, Hint, after, before, folded, shapes

_LABELS = (
    r"(?:(?<![A-Za-z])(?i:phone|telephone|tel|t\u00e9l|telefon[eo]?|tel\u00e9fono|telefonnummer|fax|"
    r"t[e\u00e9]l[e\u00e9]phone|tele?fax|tele?foon|telefonnr|tlf|mob|mobile?|mobil[nt]?[iy]?|"
    r"mobiel|mobilnummer|"
    r"cell|cellphone|cellulare|handy|handynummer|rufnummer|festnetz|durchwahl|whatsapp|tty|tdd|"
    r"ph(?=:)|gsm|portable|fixe|m[o\u00f3]vil|celular|telem[o\u00f3]vel|fono|puhelin|landline|"
    r"contact (?:no|number)|\u0442\u0435\u043b(?:\u0435\u0444\u043e\u043d)?|"
    r"\u043c\u043e\u0431|\u96fb\u8a71|\u7535\u8bdd|\u624b\u673a|\uc804\ud654)"
    r"|(?<![A-Za-z])Ph(?=\.)|(?<=[a-z])(?<!i)(?:Phone|Tel|Fax|Mobile|Telephone|Handy|Telefon))(?:s|\(s\))?"
)
PHONE_LABEL = re.compile(
    _LABELS
    + r"\.?(?:(?:[ _-]?(?i:number|num|no|nr|n\u00b0|nummer|num[e\u00e9]ro|n[u\u00fa]mero|home|"
    r"work|office|mobile|cell|direct|main|line|priv[ae]t|phone))|Number|No|Num|Nr){0,2}"
    r"[^0-9A-Za-z\n]{0,8}(?:(?:is|at|was|ist|est|es|on)\b)?[^0-9A-Za-z\n]{0,4}$"
)
"""A word that makes any number beside it a telephone number."""
PHONE_WORDS = re.compile(
    rf"(?:{_LABELS}|(?i:\b(?:call|calling|dial|dialing|hotline|"
    r"anrufen|unter|appelez|appeler|llame|llamar|chiamare|chiama))\b)[^0-9\n]{0,12}$"
)
"""A word that makes a number of a national plan one."""
LABEL_BEHIND = re.compile(
    r"[\s,]{0,2}(?:[(\[-]\s?)?(?:office|fax|mobile|cell(?:phone)?|home|work|tel(?:ephone|efon)?|"
    r"phone|tty|handy|mobil|telefax|m[o\u00f3]vil)\b",
    re.I,
)
DECIMAL = re.compile(r"\+?[0-9]+\.[0-9]+")
DATE = re.compile(
    r"(?:19|20)[0-9]{2}[-./ ]?[01]?[0-9][-./ ]?[0-3]?[0-9]"
    r"|[0-3]?[0-9][-./ ][01]?[0-9][-./ ](?:19|20)[0-9]{2}"
    r"|(?:19|20)[0-9]{2}([-./])[01]?[0-9]\1[0-3]?[0-9] [0-2]?[0-9]"
    r"|[0-3]?[0-9]([-./])[01]?[0-9]\2(?:19|20)[0-9]{2} [0-2]?[0-9]"
)
"""Also with an hour behind it; a colon ends what may be a number."""
YEARS = re.compile(r"(?:(?:19|20)[0-9]{2}\W{0,3}){2,4}")
ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z]=$")
"""What may stand before a number as its name: `value=`, no sum `x=`."""


def _is_free_of_sums(text: str) -> bool:
    """Whether a number after `=` is a value and not a result."""
    return not text.endswith("=") or ATTRIBUTE.search(text) is not None


def _is_phone(found: re.Match[str]) -> bool:
    written = found["number"]
    digits = only_digits(written)
    text = before(found)
    if DECIMAL.fullmatch(written) is not None or not _is_free_of_sums(text):
        return False
    if written.startswith("+"):
        return re.search(r"[0-9)] ?$", text) is None and is_international(digits)
    if written.startswith(("00", "011")):
        is_named = PHONE_WORDS.search(text) is not None
        is_marked = re.search(r"[^0-9]", written) is not None
        return (is_marked or is_named) and is_international(digits[2 + (digits[0:3] == "011") :])
    is_named = PHONE_WORDS.search(text) is not None
    is_marked = re.search("[-().\u2010-\u2013]", written) is not None
    return is_nanp(digits[-10:]) and (is_marked or is_named)


def _is_pairs(found: re.Match[str]) -> bool:
    """Whether five pairs are a French number and no list: those are in order."""
    digits = only_digits(found["number"])
    pairs = [digits[at : at + 2] for at in range(0, 10, 2)]
    is_list = pairs == sorted(pairs) or pairs == sorted(pairs, reverse=True)
    if is_list or digits.startswith(FREEPHONE) or is_specimen_phone(digits):
        return False
    return _is_free_of_sums(before(found)) and len(set(pairs)) >= 4


def _is_national_phone(found: re.Match[str]) -> bool:
    """Whether a number stands beside a word for telephones, of a plan where the word is weak."""
    digits = only_digits(found["number"])
    text = before(found)
    is_other = any(kind.fullmatch(found["number"]) for kind in (DATE, YEARS, DECIMAL))
    if is_other or not _is_personal(digits) or not _is_free_of_sums(text):
        return False
    if PHONE_LABEL.search(text) is not None:
        return 7 <= len(digits) <= 13
    is_plan = 9 <= len(digits) <= 12 and re.match("\\(?0[0-9]", found["number"]) is not None
    if is_plan and PHONE_WORDS.search(text) is not None:
        return True
    behind = LABEL_BEHIND.match(after(found, 16))
    is_closed = behind is not None and ("(" in behind[0] or "[" in behind[0])
    is_gapped = re.search("[^0-9]", found["number"]) is not None
    return behind is not None and is_gapped and (is_plan or (is_closed and 7 <= len(digits) <= 12))


def _is_personal(digits: str) -> bool:
    """Whether national digits are no hotline's, none of fiction and none of a manual."""
    is_fiction = len(digits) in (7, 10, 11) and digits[-7:].startswith("555")
    is_hotline = len(digits) in (10, 11) and digits[-10] == "8" and digits[-9] == digits[-8]
    return not (
        is_fiction or is_hotline or digits.startswith(FREEPHONE) or is_specimen_phone(digits)
    )


def is_international(digits: str) -> bool:
    """Whether digits are a country's code and as many more as E.164 lets there be."""
    code = next((digits[:n] for n in (1, 2, 3) if digits[:n] in COUNTRY_CODES), None)
    if code is None or not 7 <= len(digits) - len(code) <= 15 - len(code):
        return False
    if code == "1":
        return is_nanp(digits[1:])
    national = digits[len(code) :].removeprefix("0")
    return not national.startswith(("800", "900")) and not is_specimen_phone(digits[len(code) :])


def is_nanp(digits: str) -> bool:
    """Whether ten digits may be a person's in the North American plan. Source: NANPA."""
    is_plan = re.fullmatch(r"[2-9][0-8][0-9][2-9][0-9]{6}", digits) is not None
    is_fiction = digits[3:6] == "555" or is_specimen_phone(digits)
    is_hotline = digits[0] == "8" and digits[1] == digits[2]
    is_area = digits[:3] not in ("200", "300", "400", "555") and digits[1:3] != "11"
    return is_plan and is_area and not is_fiction and not is_hotline


def _canonical_phone(written: str) -> str:
    """The digits, less the prefixes `00` and `1` and the zero in `+44 (0)20`; then an extension."""
    number = _EXTENSION.sub("", written)
    digits = only_digits(number.replace("(0)", "")).removeprefix("00")
    digits = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    return "x".join([digits, *filter(None, [only_digits(written[len(number) :])])])


_GAP = "[ .\u00a0\u2007\u2009\u202f\u2010-\u2013-]"
_GAPS = rf"(?:{_GAP}|/| [/\u2013-] |[/-] )"
_MORE = rf"(?:{_GAPS}?(?:\([0-9]{{1,5}}\)|[0-9]))"
_EXT = (
    r"(?:[ ,;]{0,2}(?i:x|ext\.?|extn\.?|extension|durchwahl|dw|poste|anexo|ramal|int\.?|#)[:.]?"
    r" ?[0-9]{1,6})"
)
_EXTENSION = re.compile(_EXT + "$")
_NOT_BEFORE = r"(?:(?<![\w.)+/*-][+(0-9])|(?<=TTY-[(0-9])|(?<=TDD-[(0-9]))"
"""Looked for behind a first character: a search for a set of characters is quick."""
_NOT_AFTER = rf"{_EXT}?(?![\w(=*/+-]|\.[0-9])"
_DIGIT, _OPEN = r"(?:(?<=\()[0-9]{1,5}\)|(?<=[0-9]))", r"(?:\([0-9]{1,3}\)|[0-9])"
"""The rest of a number's first group, and all of one."""
_NANP = (
    rf"(?:(?<=1){_GAP})?(?:(?:\([0-9]{{3}}\)|(?<=\()[0-9]{{3}}\)){_GAP}?[0-9]{{3}}{_GAP}[0-9]{{4}}"
    rf"|[0-9]{{2,3}}/[0-9]{{3}}{_GAP}[0-9]{{4}}"
    rf"|[0-9]{{2,3}}(?P<gap>{_GAP})[0-9]{{3}}(?P=gap)[0-9]{{4}})"
)


def _phone(
    hints: tuple[str, ...],
    pattern: str,
    is_real: Callable[[re.Match[str]], bool],
    also: tuple[tuple[Hint, ...], ...] = (),
) -> Entity:
    compiled = re.compile(rf"(?P<number>{pattern}){_NOT_AFTER}")
    return Entity("phone", "PHONE", shapes(*hints), compiled, is_real, _canonical_phone, also, 7)


_WORD_HINTS = folded(
    "phone", "tel", "fax", "call", "mob", "cell", "dial", "work", "office", "home", "t\u00e9l",
    "m\u00f3vil", "handy", "rufn", "celul", "whats", "tty", "tdd", "ph:", "ph.", "gsm", "portable",
    "fixe", "tlf", "puhelin", "durchwahl", "festnetz", "contact", "anruf", "unter",
    "appel", "llam", "chiam", "\u0422\u0435\u043b",
    "\u0442\u0435\u043b", "\u041c\u043e\u0431", "\u043c\u043e\u0431", "\u96fb\u8a71",
    "\u7535\u8bdd", "\u624b\u673a", "\uc804\ud654",
)  # fmt: skip
PHONES = (
    _phone(
        ("000-0000", "+0", "+-0"),
        rf"[+(0-9]{_NOT_BEFORE}(?:(?<=\+){_OPEN}{_MORE}{{6,16}}|(?<!\+){_NANP})",
        _is_phone,
    ),
    _phone(
        ("000-", "00-0", "00--", "00000000000"),
        rf"0{_NOT_BEFORE}(?:0|11(?={_GAPS})){_GAPS}?[1-9]{_MORE}{{7,16}}",
        _is_phone,
    ),
    _phone(
        ("00-00-00-00-00",),
        rf"0{_NOT_BEFORE}[1-79](?P<pair>[ .\u00a0-])[0-9]{{2}}(?:(?P=pair)[0-9]{{2}}){{3}}"
        r"(?!(?P=pair)?[0-9A-Fa-f]{2}\b)",
        _is_pairs,
    ),
    _phone(("0" * 10,), rf"[1-9]{_NOT_BEFORE}[0-9]{{9,10}}", _is_phone, (_WORD_HINTS,)),
    _phone(
        ("0000000", "00-00", "0--0", "0---0"),
        rf"[(0-9]{_NOT_BEFORE}{_DIGIT}{_MORE}{{5,14}}",
        _is_national_phone,
        (_WORD_HINTS,),
    ),
)  # fmt: skip
"""International ones first: a national number may be the end of one."""

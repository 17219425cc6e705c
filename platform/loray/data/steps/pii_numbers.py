"""Numbers of persons that a checksum or a register tells from other numbers: cards, IBAN, SSN."""

import re

from loray.data.steps.pii_tables import CARD_BRANDS, DUMMY_SSN, IBAN_LENGTHS
from loray.data.steps.placeholders import Entity, folded

BARE_CARD_LENGTHS = (15, 16)
"""Lengths at which digits without gaps are a card whatever stands around them."""
CARD_WORDS = re.compile(
    r"\b(?:cards?|credit|debit|visa|mastercard|amex|discover|diners|jcb|unionpay|pan)\b", re.I
)
SSN_WORDS = re.compile(r"\b(?:ssn|social security)\b", re.I)
PART_WORDS = re.compile(
    r"(?:\b(?:part|model|item|order|catalog|catalogue|serial|ref|case|invoice|ticket|isbn|sku|id|no)"
    r"[\s.:#]*(?:number|no)?[\s.:#]*|[*+/<] ?|= |[\w)] ?- ?|\d )$",
    re.I,
)


def luhn_is_sound(digits: str) -> bool:
    """Whether the last digit is the checksum of the others. Source: ISO/IEC 7812-1, annex B."""
    doubled = "0246813579"
    sums = (int(doubled[int(d)] if at % 2 else d) for at, d in enumerate(reversed(digits)))
    return sum(sums) % 10 == 0


def iban_is_sound(iban: str) -> bool:
    """Whether check digits and country's length hold. Source: ISO 13616-1, SWIFT IBAN registry."""
    turned = "".join(str(int(c, 36)) for c in iban[4:] + iban[:4])
    return len(iban) == IBAN_LENGTHS.get(iban[:2]) and int(turned) % 97 == 1


def only_digits(written: str) -> str:
    """The digits of a number as it is written."""
    return re.sub(r"[^0-9]", "", written)


def without_gaps(written: str) -> str:
    """A number as it is written, less blanks and hyphens."""
    return re.sub(r"[\s-]", "", written)


def _is_card(found: re.Match[str]) -> bool:
    digits = only_digits(found[0])
    is_brand = any(
        len(digits) in lengths and digits.startswith(prefixes) for prefixes, lengths in CARD_BRANDS
    )
    if not is_brand or not luhn_is_sound(digits):
        return False
    is_plain = digits != found[0] or len(digits) in BARE_CARD_LENGTHS
    return (
        is_plain
        or CARD_WORDS.search(found.string, max(found.start() - 48, 0), found.start()) is not None
    )


def _is_iban(found: re.Match[str]) -> bool:
    return iban_is_sound(without_gaps(found[0]))


def _is_ssn(found: re.Match[str]) -> bool:
    """Source: SSA, "Social Security Number Randomization" (which numbers are never given out)."""
    area, group, serial = digits = (found["area"], found["group"], found["serial"])
    if area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000":
        return False
    if "".join(digits) in DUMMY_SSN or all(len(set(part)) == 1 for part in digits):
        return False
    before = found.string[max(found.start() - 40, 0) : found.start()]
    if SSN_WORDS.search(before):
        return True
    return found["gap"] == "-" and PART_WORDS.search(before) is None


def _iban_pattern() -> str:
    """Every country's code with as many places as its numbers have, in fours or without gaps."""
    countries: dict[int, list[str]] = {}
    for country, length in IBAN_LENGTHS.items():
        countries.setdefault(length - 4, []).append(country)
    bodies = (
        rf"(?:{'|'.join(codes)})[0-9]{{2}}(?:(?P=gap)[A-Z0-9]{{4}}){{{places // 4}}}"
        + (rf"(?P=gap)[A-Z0-9]{{{places % 4}}}" if places % 4 else "")
        for places, codes in sorted(countries.items())
    )
    start = r"(?<![\w/+-])(?=[A-Z]{2}[0-9]{2}(?P<gap>[ -]?)[A-Z0-9]{4})"
    return rf"{start}(?:{'|'.join(bodies)})(?![\w/+=]|-\w)"


CARD = Entity(
    "card",
    "CARD",
    folded("0000 0000", "0000-0000", "0000 000000", "0000-000000", "0" * 14),
    re.compile(
        r"(?<![\w.+#/*^-])(?<![0-9] )(?<![\w)] [*+/^-] )(?<![0-9], )"
        r"(?:[0-9]{4}([ -]?)[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}"
        r"|[0-9]{4}([ -]?)[0-9]{6}\2[0-9]{4,5})(?![\w-]|[. ][0-9]| ?[*+/^%=])"
    ),
    _is_card,
    only_digits,
)
IBAN = Entity(
    "iban",
    "IBAN",
    folded("000000", "0000 0000", "0000-0000"),
    re.compile(_iban_pattern()),
    _is_iban,
    without_gaps,
)
SSN = Entity(
    "ssn",
    "SSN",
    folded("000-00-0000", "000 00 0000", "000000000"),
    re.compile(
        r"(?<![\w.+#/-])(?P<area>[0-9]{3})(?P<gap>[ -]?)(?P<group>[0-9]{2})(?P=gap)"
        r"(?P<serial>[0-9]{4})(?![\w-]|[.,/][0-9]| ?[=+*/])"
    ),
    _is_ssn,
    only_digits,
)

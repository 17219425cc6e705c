"""Numbers of persons that a checksum or a register tells from other numbers: IBAN and SSN."""

import re

from loray.data.steps.pii_cards import only_digits
from loray.data.steps.pii_tables import DUMMY_SSN, IBAN_LENGTHS
from loray.data.steps.placeholders import Entity, after, before, shapes

SSN_WORDS = re.compile(
    r"(?:\b|_)(?:ssns?|socsec|soc\.? sec|social[ _-]?sec(?:urity)?|tax(?:payer)?[ _-]?id|tin|itin)"
    r"(?:\b|_)|[a-z]Ssn\b",
    re.I,
)
PART_WORDS = re.compile(
    r"(?:\b(?:part|model|item|order|catalog|catalogue|serial|ref|case|invoice|ticket|isbn|sku|id|no)"
    r"[\s.:#]*(?:number|no)?[\s.:#]*|[*+/<#] ?|= |[\w)] ?- ?|\d )$",
    re.I,
)


def iban_is_sound(iban: str) -> bool:
    """Whether check digits and country's length hold. Source: ISO 13616-1, SWIFT IBAN registry."""
    turned = "".join(str(int(c, 36)) for c in iban[4:] + iban[:4])
    return len(iban) == IBAN_LENGTHS.get(iban[:2]) and int(turned) % 97 == 1


def without_gaps(written: str) -> str:
    """A number as it is written, in capitals, less blanks and hyphens."""
    return re.sub(r"[\s-]", "", written).upper()


def _is_iban(found: re.Match[str]) -> bool:
    """Whether it is sound; in small letters, the digits of a hash are not mostly decimal."""
    written = found[0]
    iban = without_gaps(written)
    if written == written.upper():
        return iban_is_sound(iban)
    is_small = written == written.lower() and len(only_digits(iban)) >= 0.6 * len(iban)
    return is_small and iban_is_sound(iban)


def _is_ssn(found: re.Match[str]) -> bool:
    """Source: SSA, "Social Security Number Randomization" (which numbers are never given out)."""
    area, group, serial = digits = (found["area"], found["group"], found["serial"])
    if area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000":
        return False
    if "".join(digits) in DUMMY_SSN or all(len(set(part)) == 1 for part in digits):
        return False
    text = before(found, 40)
    if SSN_WORDS.search(text) or SSN_WORDS.match(after(found).lstrip(" (,-")):
        return True
    return found["gap"] == "-" and PART_WORDS.search(text) is None


def _iban_pattern() -> str:
    """Every country's code with as many places as its numbers have, in fours or without gaps."""
    countries: dict[int, list[str]] = {}
    for country, length in IBAN_LENGTHS.items():
        countries.setdefault(length - 4, []).append(country)
    bodies = (
        rf"(?i:{'|'.join(codes)})[0-9]{{2}}(?:(?P=gap)[A-Za-z0-9]{{4}}){{{places // 4}}}"
        + (rf"(?P=gap)[A-Za-z0-9]{{{places % 4}}}" if places % 4 else "")
        for places, codes in sorted(countries.items())
    )
    start = r"(?<![\w/+-])(?=[A-Za-z]{2}[0-9]{2}(?P<gap>[ \u00a0\u2009\u202f-]?)[A-Za-z0-9]{4})"
    return rf"{start}(?:{'|'.join(bodies)})(?![\w/+=]|-\w)"


IBAN = Entity(
    "iban",
    "IBAN",
    shapes("000000", "0000-0000"),
    re.compile(_iban_pattern()),
    _is_iban,
    without_gaps,
    min_digits=8,
)
SSN = Entity(
    "ssn",
    "SSN",
    shapes("000-00-0000", "000000000"),
    re.compile(
        r"(?<![\w.+/-])(?P<area>[0-9]{3})(?P<gap>[ .\u00a0\u2010\u2011\u2013-]?)"
        r"(?P<group>[0-9]{2})(?P=gap)"
        r"(?P<serial>[0-9]{4})(?![\w-]|[.,/][0-9]| ?[=+*/])"
    ),
    _is_ssn,
    only_digits,
    min_digits=9,
)

"""Ways to reach a person: e-mail addresses and telephone numbers.

Left alone are addresses under example domains (RFC 2606), the user in `user@host` of remote shells
and URLs, and the numbers 555-0100 to 555-0199, which are kept for fiction (NANPA).
"""

import re

from loray.data.steps.pii_numbers import only_digits
from loray.data.steps.pii_tables import COUNTRY_CODES, EXAMPLE_LABELS, TOP_LEVEL_DOMAINS
from loray.data.steps.placeholders import Entity, folded

PHONE_WORDS = re.compile(
    r"\b(?:(?:tele)?phone|tel|call|calling|(?:tele)?fax|mobile|cell|dial|dialing|hotline|whatsapp|"
    r"toll[- ]free|tty|tdd)s?\b[^0-9\n]{0,12}$",
    re.I,
)
DECIMAL = re.compile(r"\+?[0-9]+\.[0-9]+")
REMOTE_COMMANDS = re.compile(r"\b(?:ssh|scp|sftp|rsync|mosh|ssh-copy-id)\b[^\n]*$|://[^\s/]*$")


def _before(found: re.Match[str], chars: int = 32) -> str:
    return found.string[max(found.start() - chars, 0) : found.start()]


def _is_email(found: re.Match[str]) -> bool:
    local, _, domain = found[0].lower().rpartition("@")
    labels = domain.split(".")
    if labels[-1] not in TOP_LEVEL_DOMAINS or not EXAMPLE_LABELS.isdisjoint(labels):
        return False
    after = found.string[found.end() : found.end() + 2]
    is_path = after[:1] == ":" and (local == "git" or after[1:] in ("/", "~"))
    if is_path or (local == "git" and after[:1] == "/"):
        return False
    is_message_id = sum(character.isdigit() for character in local) >= 12
    is_local = ".." not in local and local[-1] != "." and not is_message_id
    return is_local and REMOTE_COMMANDS.search(_before(found, 64)) is None


def _is_phone(found: re.Match[str]) -> bool:
    written = found[0]
    digits = only_digits(written)
    before = _before(found)
    if DECIMAL.fullmatch(written) is not None:
        return False
    if written.startswith("+"):
        return re.search(r"[0-9)] ?$", before) is None and _is_international(digits)
    is_named = PHONE_WORDS.search(before) is not None
    is_marked = re.search("[-().\u2010-\u2013]", written) is not None
    return is_nanp(digits[-10:]) and (is_marked or is_named)


def _is_national_phone(found: re.Match[str]) -> bool:
    """Whether a number with a trunk prefix stands after a word for telephones."""
    digits = only_digits(found[0])
    is_number = 9 <= len(digits) <= 12 and len(set(digits)) > 3
    return is_number and PHONE_WORDS.search(_before(found)) is not None


def _is_international(digits: str) -> bool:
    code = next((digits[:n] for n in (1, 2, 3) if digits[:n] in COUNTRY_CODES), None)
    if code is None or not 7 <= len(digits) - len(code) <= 15 - len(code):
        return False
    return is_nanp(digits[1:]) if code == "1" else len(set(digits)) > 3


def is_nanp(digits: str) -> bool:
    """Whether ten digits are a number of the North American plan. Source: NANPA, area codes."""
    is_plan = re.fullmatch(r"[2-9][0-8][0-9][2-9][0-9]{6}", digits) is not None
    is_fiction = digits[3:8] == "55501"
    return (
        is_plan
        and not is_fiction
        and digits[:3] not in ("200", "300", "400")
        and (digits[1:3] != "11")
    )


def _canonical_phone(written: str) -> str:
    """The digits, less the prefix of the North American plan and the zero in `+44 (0)20`."""
    digits = only_digits(written.replace("(0)", ""))
    return digits[1:] if len(digits) == 11 and digits[0] == "1" else digits


EMAIL = Entity(
    "email",
    "EMAIL",
    folded("@"),
    re.compile(
        r"(?<![\w.%+@-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}"
        r"@(?:[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?\.)+[A-Za-z]{2,24}(?![\w(@=[-]|\.\w)"
    ),
    _is_email,
    str.lower,
)
_GAP = "[ .\u00a0\u2010-\u2013-]"
_NOT_BEFORE, _NOT_AFTER = r"(?:(?<![\w.)+=/*-])|(?<=TTY-)|(?<=TDD-))", r"(?![\w(=*/+-]|\.[0-9])"
PHONE = Entity(
    "phone",
    "PHONE",
    folded(
        *(f"000{gap}0000" for gap in " .-\u00a0\u2010\u2011\u2012\u2013"), "+0", "+(0", "0" * 10
    ),
    re.compile(
        rf"{_NOT_BEFORE}(?:\+\(?[0-9]{{1,3}}\)?(?:{_GAP}?\(?[0-9]{{1,4}}\)?){{2,6}}"
        rf"|(?:1{_GAP})?(?:(?:\([0-9]{{3}}\){_GAP}?|[0-9]{{3}}/)[0-9]{{3}}{_GAP}[0-9]{{4}}"
        rf"|[0-9]{{3}}(?P<gap>{_GAP})[0-9]{{3}}(?P=gap)[0-9]{{4}})"
        rf"|1?[2-9][0-9]{{9}}){_NOT_AFTER}"
    ),
    _is_phone,
    _canonical_phone,
)
NATIONAL_PHONE = Entity(
    "phone",
    "PHONE",
    folded("phone", "tel.", "tel:", "tel ", "fax", "call ", "mobile", "dial", "hotline"),
    re.compile(
        rf"{_NOT_BEFORE}\(?0[0-9]{{1,4}}\)?(?:(?:{_GAP}|/| [/-] )?[0-9]{{2,8}}){{1,4}}{_NOT_AFTER}"
    ),
    _is_national_phone,
    _canonical_phone,
)

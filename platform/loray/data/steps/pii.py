"""Personal data in one text, replaced by typed placeholders such as `<EMAIL_1f3a>`.

Precision comes first: a placeholder in the wrong place damages a row, and rows are code and prose
as often as letters. So every pattern has a check behind it, and what is public by design is left
alone: addresses under example domains (RFC 2606), private and documentation IP ranges (RFC 1918,
5737, 3849). Names and street addresses would need a model; they are not looked for.

A placeholder's digits are a salted hash of the value, so that one person keeps one placeholder
within a dataset. Placeholders match no pattern: scrubbing twice changes nothing.
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from loray.data.steps.pii_tables import (
    CARD_BRANDS,
    COUNTRY_CODES,
    EXAMPLE_DOMAINS,
    TOP_LEVEL_DOMAINS,
)

PHONE_WORDS = re.compile(
    r"(?:phone|tel|telephone|call|fax|mobile|cell|dial|text|hotline|toll[- ]free)\b[^\d\n]{0,12}$",
    re.IGNORECASE,
)
VERSION_WORDS = re.compile(
    r"(?:\bv|version|release|section|chapter|clause|build|rev|[=<>~]=)[\s.:]*$", re.IGNORECASE
)


class Entity(NamedTuple):
    """A kind of personal data."""

    name: str
    hint: re.Pattern[str]
    """Found in every text that holds one, and quick to look for."""
    pattern: re.Pattern[str]
    is_real: Callable[[re.Match[str]], bool]


def scrub(text: str, entities: Iterable[Entity], salt: bytes) -> str:
    """`text` with everything that is one of `entities` replaced."""
    for entity in entities:
        if entity.hint.search(text) is not None:
            text = entity.pattern.sub(partial(_replaced, entity=entity, salt=salt), text)
    return text


def _replaced(found: re.Match[str], *, entity: Entity, salt: bytes) -> str:
    if not entity.is_real(found):
        return found[0]
    value = re.sub(r"[\s().-]", "", found[0]) if entity.name != "EMAIL" else found[0].lower()
    digest = hmac.new(salt, f"{entity.name}:{value}".encode(), hashlib.sha256).hexdigest()
    return f"<{entity.name}_{digest[:4]}>"


def _before(found: re.Match[str]) -> str:
    return found.string[max(found.start() - 32, 0) : found.start()]


def _is_email(found: re.Match[str]) -> bool:
    local, _, domain = found[0].lower().rpartition("@")
    parts = domain.split(".")
    if parts[-1] not in TOP_LEVEL_DOMAINS or ".".join(parts[-2:]) in EXAMPLE_DOMAINS:
        return False
    is_ssh_remote = local == "git" and found.string[found.end() : found.end() + 1] in (":", "/")
    return not is_ssh_remote and ".." not in local and not local.startswith(".")


def _is_ip4(found: re.Match[str]) -> bool:
    try:
        address = ipaddress.IPv4Address(found[0])
    except ValueError:
        return False
    is_public = address.is_global and not address.is_multicast
    is_numbering = _is_numbering(found[0].split(".")) or VERSION_WORDS.search(_before(found))
    return is_public and not is_numbering


def _is_numbering(parts: list[str]) -> bool:
    """Whether four numbers look more like a version, a section or an object identifier."""
    is_single = [len(part) == 1 for part in parts]
    is_object = parts[0] in ("0", "1", "2") and is_single[1]  # Source: ITU-T X.660, the root arcs
    return sum(is_single) >= 3 or is_object


def _is_ip6(found: re.Match[str]) -> bool:
    hextets = [part for part in found[0].split(":") if part]
    try:
        return len(hextets) >= 3 and ipaddress.IPv6Address(found[0]).is_global
    except ValueError:
        return False


def _is_phone(found: re.Match[str]) -> bool:
    written = found[0]
    digits = re.sub(r"\D", "", written)
    if written.startswith("+"):
        code = next((digits[:n] for n in (1, 2, 3) if digits[:n] in COUNTRY_CODES), None)
        if code is None or not 7 <= len(digits) - len(code) <= 15 - len(code):
            return False
        return code != "1" or _is_nanp(digits[1:])
    is_marked = any(mark in written for mark in "-().") or len(digits) == 11
    return _is_nanp(digits[-10:]) and (is_marked or bool(PHONE_WORDS.search(_before(found))))


def _is_nanp(digits: str) -> bool:
    """Whether ten digits are a number of the North American plan. Source: NANPA, area codes."""
    is_plan = re.fullmatch(r"[2-9][0-8]\d[2-9]\d{6}", digits) is not None
    return is_plan and digits[:3] not in ("200", "300", "400") and digits[1:3] != "11"


def _is_card(found: re.Match[str]) -> bool:
    digits = re.sub(r"\D", "", found[0])
    is_brand = any(
        len(digits) in lengths and digits.startswith(prefixes) for prefixes, lengths in CARD_BRANDS
    )
    return is_brand and luhn_is_sound(digits)


def luhn_is_sound(digits: str) -> bool:
    """Whether the last digit is the checksum of the others. Source: ISO/IEC 7812-1, annex B."""
    doubled = "0246813579"
    sums = (int(doubled[int(d)] if at % 2 else d) for at, d in enumerate(reversed(digits)))
    return sum(sums) % 10 == 0


_EMAIL = Entity(
    "EMAIL",
    re.compile("@"),
    re.compile(
        r"(?<![\w.%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}"
        r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![\w(@=[-]|\.\w)"
    ),
    _is_email,
)
_IP4 = Entity(
    "IP",
    re.compile(r"\d\.\d"),
    re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\w|/\d{1,2}\b)"),
    _is_ip4,
)
_IP6 = Entity(
    "IP",
    re.compile(r"[23][0-9A-Fa-f]{3}:"),
    re.compile(
        r"(?<![\w:.])[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![\w:])"
    ),
    _is_ip6,
)
_CARD = Entity(
    "CARD",
    re.compile(r"\d{4}"),
    re.compile(
        r"(?<![\w.+-])(?<!\d )(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -]?)\d{6}\2\d{4,5})"
        r"(?![\w-]|[. ]\d)"
    ),
    _is_card,
)
_PHONE = Entity(
    "PHONE",
    re.compile(r"\d{3}"),
    re.compile(
        r"(?<![\w.)+=/*-])(?:"
        r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}"
        r"|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}([ .-]))\d{3}(?(1)\1|[ .-])\d{4}"
        r")(?![\w(=*/+-]|\.\d)"
    ),
    _is_phone,
)
ENTITIES = {"email": (_EMAIL,), "ip": (_IP4, _IP6), "card": (_CARD,), "phone": (_PHONE,)}
"""By the names in a spec. Cards come before phones, which could be a part of one."""


def entities_named(names: Iterable[str]) -> tuple[Entity, ...]:
    """The entities of a spec, in the order in which they have to be looked for."""
    wanted = set(names)
    return tuple(e for name, found in ENTITIES.items() if name in wanted for e in found)

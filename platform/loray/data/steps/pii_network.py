"""Addresses of machines: IPv4, IPv6 and MAC.

Left alone is what is public by design: private and documentation ranges (RFC 1918, 5737, 3849,
9637, 7042), multicast, name servers for everybody, and made-up values of tutorials.
"""

import ipaddress
import re

from loray.data.steps.pii_tables import PUBLIC_IPS
from loray.data.steps.placeholders import Entity, after, bare, before, in_hex

VERSION_WORDS = re.compile(
    r"(?:\bv|\bver|versione?n?|release|section|chapter|clause|build|rev|revision|firmware|driver|"
    r"patch|upgraded?(?: to)?|updated?(?: to)?|[=<>~!]=|[\^~]|[A-Za-z]/)[\s.:=\"'>)]*$",
    re.I,
)
VERSION_BEHIND = re.compile(r"[\s\"'<(]{1,3}/?\(?(?:version|release|build|driver|firmware)\b", re.I)
PRODUCT = re.compile(r"\b[A-Z][A-Za-z]+ $")
"""A name right before four low numbers, as in `Acrobat 11.40.23.122`."""
ADDRESS_WORDS = re.compile(
    r"(?:\b(?:ip(?:v4)?|ips|addr|address(?:es)?|hosts?|servers?|from|via|ping|ssh|to|at|client|peer|"
    r"remote|gateway|connect(?:ed|ing)?|nameserver|port|src|dst|source|adresse|adresa|"
    r"direcci[o\u00f3]n|"
    r"indirizzo|endere[c\u00e7]o|adres|von|nach|de|desde|da|vanaf|block|allow|deny|ban|login)\b|://)"
    r"[^\w\n]*(?:is )?$",
    re.I,
)
LOW_OCTET = 32
"""Versions and sections rarely start higher; below, an address needs a word or a port beside it,
or parts that are larger than those of versions."""
NEW_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")  # Source: RFC 9637
MAC_WORDS = re.compile(r"\b(?:mac|ether|hwaddr|lladdr|bssid|hardware address)\b", re.I)
DUMMY_MACS = ("001122", "aabbcc", "a1b2c3", "0a1b2c", "deadbe", "123456", "00005e0053")


def _is_ip4(found: re.Match[str]) -> bool:
    try:
        address = ipaddress.IPv4Address(found[0])
    except ValueError:
        return False
    is_public = address.is_global and not address.is_multicast
    if not is_public or found[0] in PUBLIC_IPS or _is_numbering(found[0].split(".")):
        return False
    text = before(found)
    if VERSION_WORDS.search(text) is not None and not text.endswith("//"):
        return False
    return int(found[0].partition(".")[0]) >= LOW_OCTET or _is_low_address(found, text)


def _is_low_address(found: re.Match[str], text: str) -> bool:
    """Whether four numbers that begin as versions do are an address."""
    behind = after(found)
    has_port = re.match(r":[0-9]{2,5}\b", behind) is not None
    if has_port or ADDRESS_WORDS.search(text) is not None:
        return True
    if VERSION_BEHIND.match(behind) is not None or PRODUCT.search(text) is not None:
        return False
    rest = [int(part) for part in found[0].split(".")[1:]]
    num_high, num_large = (sum(part >= least for part in rest) for least in (LOW_OCTET, 100))
    is_large = num_large >= 2 or (rest[0] >= 10 and (num_large == 1 or num_high >= 2))
    return is_large and int(found[0].partition(".")[0]) > 2


def _is_numbering(parts: list[str]) -> bool:
    """Whether four numbers look more like a version, a section, an object or a whole network."""
    is_single = [len(part) == 1 for part in parts]
    is_object = parts[0] in ("0", "1", "2") and is_single[1]  # Source: ITU-T X.660, the root arcs
    is_network = parts[3] == "0"
    return sum(is_single) >= 3 or is_object or is_network or len(set(parts)) == 1


def _is_ip6(found: re.Match[str]) -> bool:
    hextets = [part for part in found[0].split(":") if part]
    try:
        address = ipaddress.IPv6Address(found[0])
    except ValueError:
        return False
    is_public = address.is_global and address not in NEW_DOCUMENTATION
    return is_public and len(hextets) >= 3 and address.compressed not in PUBLIC_IPS


def _is_mac(found: re.Match[str]) -> bool:
    """Whether twelve digits are one device's: not a group's, nor RFC 7042's for documents."""
    digits = mac_digits(found[0])
    is_group = int(digits[1], 16) % 2 == 1
    is_dummy = digits.startswith(DUMMY_MACS) or len(set(digits)) < 4
    if is_group or is_dummy or len({digits[at : at + 2] for at in range(0, 12, 2)}) < 3:
        return False
    is_plain = digits.isdigit() or digits.isalpha()
    if "." in found[0]:
        is_plain |= sum(not part.isdigit() and not part.isalpha() for part in _fours(digits)) < 2
    return not is_plain or MAC_WORDS.search(before(found)) is not None


def _fours(digits: str) -> list[str]:
    return [digits[at : at + 4] for at in (0, 4, 8)]


def mac_digits(written: str) -> str:
    """The twelve hexadecimal digits of a MAC address, in small letters."""
    return re.sub(r"[^0-9a-f]", "", written.lower())


IP4 = Entity(
    "ip",
    "IP",
    bare("0.0"),
    re.compile(r"(?<![\w.-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w-]|\.\w|/[0-9]{1,2}\b)"),
    _is_ip4,
    min_digits=4,
)
IP6 = Entity(
    "ip",
    "IP",
    in_hex("ffff:"),
    re.compile(
        r"(?<![\w:.])[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}"
        r"(?![\w:]|/[0-9]{1,3}\b)"
    ),
    _is_ip6,
    str.lower,
)
MAC = Entity(
    "mac",
    "MAC",
    in_hex("ff:ff:ff:ff:ff:ff", "ff-ff-ff-ff-ff-ff", "ffff.ffff.ffff"),
    re.compile(
        r"(?<![\w:.-])(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}"
        r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![\w-]|[:.]\w)"
    ),
    _is_mac,
    mac_digits,
)

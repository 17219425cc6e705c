"""Personal data drawn from a seed, by shape: valid checksums, no real person's."""

import hashlib
import random
import string
from collections.abc import Callable

from loray.data.steps.pii_cards import luhn_is_sound
from loray.data.steps.pii_numbers import iban_is_sound
from loray.data.steps.pii_wallets import (
    BASE58,
    BECH32,
    base58_is_sound,
    bech32_is_sound,
    ethereum_case,
)

CONTEXTS = (
    "Please note {} for the record.", '"{}"', "<b>{}</b>", "value={}", "- {}", "`{}`",
    '{{"value": "{}"}}', "entry: {}", "| {} | ok |", "(see {})",
)  # fmt: skip
HEX = "0123456789abcdef"
FIRST = ["lena", "jonas", "maya", "pavel", "chiara", "diego", "amelie", "wouter", "ines", "tomek"]
LAST = [
    "hartmann",
    "brooks",
    "okafor",
    "lindqvist",
    "moreau",
    "castillo",
    "ricci",
    "jansen",
    "costa",
    "nowak",
]


def digits(draw: random.Random, number: int, first: str = "123456789") -> str:
    """Digits of which no five follow one another."""
    while True:
        text = draw.choice(first) + "".join(draw.choices("0123456789", k=number - 1))
        runs = ("01234", "12345", "23456", "34567", "45678", "56789", "98765", "87654", "76543")
        if len(set(text)) > 4 and not any(run in text for run in (*runs, "65432", "54321")):
            return text


def luhn(body: str) -> str:
    """`body` and its check digit."""
    return next(body + last for last in "0123456789" if luhn_is_sound(body + last))


def grouped(text: str, gap: str, *sizes: int) -> str:
    """`text` cut into groups; the last size is repeated."""
    parts, at = [], 0
    for number in range(len(text)):
        size = sizes[min(number, len(sizes) - 1)]
        if at >= len(text):
            break
        parts.append(text[at : at + size])
        at += size
    return gap.join(parts)


def card(prefix: str, length: int) -> Callable[[random.Random], str]:
    return lambda draw: luhn(prefix + digits(draw, length - 1 - len(prefix)))


def visa(gap: str) -> Callable[[random.Random], str]:
    return lambda draw: grouped(card("4", 16)(draw), gap, 4)


def iban(draw: random.Random) -> str:
    country, length = draw.choice([("DE", 22), ("FR", 27), ("ES", 24), ("NL", 18), ("GB", 22)])
    bank = {"NL": "INGB", "GB": "NWBK"}.get(country, "")
    body = bank + digits(draw, length - 4 - len(bank))
    return next(
        text for check in range(2, 99) if iban_is_sound(text := f"{country}{check:02}{body}")
    )


def nanp(draw: random.Random) -> tuple[str, str, str]:
    while True:
        area, exchange = f"{draw.randint(2, 9)}{draw.randint(10, 89)}", str(draw.randint(200, 999))
        is_plain = area[0] != "8" and area[1:] not in ("00", "11") and area != "555"
        if is_plain and exchange != "555" and exchange[1:] != "11":
            return area, exchange, digits(draw, 5)[1:]


def phone(form: str) -> Callable[[random.Random], str]:
    return lambda draw: form.format(*nanp(draw), draw.randint(10, 999))


def filled(form: str) -> Callable[[random.Random], str]:
    """Digits where the form has `#`."""

    def make(draw: random.Random) -> str:
        drawn = iter(digits(draw, form.count("#")))
        return "".join(next(drawn) if character == "#" else character for character in form)

    return make


def name(draw: random.Random, gap: str = ".") -> str:
    return f"{draw.choice(FIRST)}{gap}{draw.choice(LAST)}{draw.randint(2, 98)}"


def mail(form: str) -> Callable[[random.Random], str]:
    return lambda draw: form.format(name(draw), draw.choice(LAST))


def address(lowest: int, highest: int) -> Callable[[random.Random], str]:
    def make(draw: random.Random) -> str:
        while True:
            first = draw.randint(lowest, highest)
            rest = [draw.randint(33, 254) for _ in range(3)]
            if first not in (10, 100, 127, 169, 172, 192, 198, 203):
                return ".".join(map(str, (first, *rest)))

    return make


def hexadecimal(draw: random.Random, number: int) -> str:
    while True:
        text = "".join(draw.choices(HEX, k=number))
        parts = [text[at : at + 4] for at in range(0, number, 4)]
        if all(not part.isdigit() and not part.isalpha() for part in parts):
            return text


def mac(gap: str, size: int) -> Callable[[random.Random], str]:
    return lambda draw: grouped("3c" + hexadecimal(draw, 12)[2:], gap, size)


def base58(draw: random.Random) -> str:
    number = int.from_bytes(b"\0" + draw.randbytes(20), "big")
    body = number.to_bytes(21, "big")
    check = hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4]
    value, text = int.from_bytes(body + check, "big"), ""
    while value:
        value, rest = divmod(value, 58)
        text = BASE58[rest] + text
    text = "1" + text
    return text if base58_is_sound(text) else base58(draw)


def segwit(draw: random.Random) -> str:
    """A bech32 address, its checksum found by its own definition, sum by sum."""
    data = "q" + "".join(draw.choices(BECH32, k=32))
    values = [3, 3, 0, 2, 3] + [BECH32.index(c) for c in data] + [0] * 6
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for at, part in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= part if top >> at & 1 else 0
    checksum ^= 1
    text = f"bc1{data}" + "".join(BECH32[checksum >> 5 * (5 - at) & 31] for at in range(6))
    assert bech32_is_sound(text)
    return text


def secret(draw: random.Random, number: int = 14) -> str:
    alphabet = string.ascii_letters + string.digits
    return "Kq7" + "".join(draw.choices(alphabet, k=number - 5)) + f"{draw.randint(10, 99)}"


SHAPES: dict[str, dict[str, Callable[[random.Random], str]]] = {
    "card": {
        "plain": card("4", 16), "spaces": visa(" "), "hyphens": visa("-"), "dots": visa("."),
        "no-break spaces": visa("\u00a0"), "amex": card("37", 15),
        "jcb 15": lambda d: f"card number {card('2131', 15)(d)}",
        "visa 13": lambda d: f"Card no. {card('4', 13)(d)}",
        "maestro 12": lambda d: f"cc: {card(d.choice(['50', '56', '63', '67']), 12)(d)}",
        "35xx": lambda d: f"card # {card('3595', 16)(d)}",
        "diners 30": lambda d: f"Kreditkarte: {card('306', 14)(d)}",
        "19 digits": lambda d: f"tarjeta {grouped(card('63', 19)(d), ' ', 4)}",
    },
    "phone": {
        "(212) 736-5812": phone("({}) {}-{}"), "212.736.5812": phone("{}.{}.{}"),
        "212-736-5812": phone("{}-{}-{}"), "+1": phone("+1 {} {} {}"), "x123": phone("{}-{}-{}x{}"),
        "ext. 12": phone("({}) {}-{} ext. {}"), "#12": phone("{}-{}-{} #{}"),
        "001-": phone("001-{}-{}-{}"), "0049": filled("0049 30 ######"),
        "+44": filled("+44 20 7### ####"),
        "+49 (0)": filled("+49 (0)30 ######"), "French": filled("01 4# 8# ## 3#"),
        "Phone: 7": filled("Phone: 4## ####"), "Phone: 8": filled("Phone: 6#-##-##-##"),
        "Mobile:": filled("Mobile: 6## ### ###"), "Handy:": filled("Handy: 01## ########"),
        "Telefono:": filled("Telefono: 3## ### ####"), "office": filled("05## ### ## ## office"),
        "(fax)": filled("6## ### ### (fax)"), "tel 0": filled("tel. 020 8### ####"),
    },
    "ip": {
        "high": address(32, 223), "16.x": lambda d: "16." + address(40, 60)(d).partition(".")[2],
        "low": address(3, 31), "IPv6": lambda d: "2a02:" + grouped(hexadecimal(d, 28), ":", 4),
    },
    "iban": {
        "plain": iban, "spaces": lambda d: grouped(iban(d), " ", 4),
        "lower": lambda d: iban(d).lower(),
        "lower, spaces": lambda d: grouped(iban(d).lower(), " ", 4),
        "no-break spaces": lambda d: grouped(iban(d), "\u00a0", 4),
    },
    "ssn": {
        "hyphens": filled("4##-31-2###"), "SSN blanks": filled("SSN 4## 31 2###"),
        "SSN plain": filled("SSN: 4##312###"),
    },
    "email": {
        "plain": mail("{}@{}.org"), "tag": mail("{}+news@{}.com"),
        "mailto": mail("mailto:{}@{}.de"),
        "umlauts": mail("j\u00f6rg.{}@{}.de"), "IDN": mail("{}@{}-b\u00fccher.de"),
        ".ninja": mail("{}@{}.ninja"), ".gmbh": mail("{}@{}.gmbh"), ".codes": mail("{}@{}.codes"),
        ".zone": mail("{}@{}.zone"), ".bayern": mail("{}@{}.bayern"), "[at]": mail("{}[at]{}.org"),
        " [at] [dot]": mail("{} [at] {} [dot] org"), "(at)": mail("{}(at){}.de"),
    },
    "mac": {"colons": mac(":", 2), "hyphens": mac("-", 2), "Cisco": mac(".", 4)},
    "crypto": {
        "P2PKH": base58, "segwit": segwit,
        "ETH": lambda d: ethereum_case("0x" + hexadecimal(d, 40)),
        "ETH lower": lambda d: "0x" + hexadecimal(d, 40),
    },
    "url_credentials": {
        "login": lambda d: f"https://{d.choice(FIRST)}:{secret(d)}@git.acme-corp.io/a",
        "with #": lambda d: f"https://{d.choice(FIRST)}:Tr7#{secret(d)}@git.acme-corp.io",
        "token": lambda d: f"https://{hexadecimal(d, 40)}@git.acme-corp.io/a.git",
    },
}  # fmt: skip
"""By kind and shape, each maker a function of the seed."""


def values(kind: str, shape: str, number: int) -> list[str]:
    """So many values of one shape."""
    draw = random.Random(f"{kind} {shape}")
    return [SHAPES[kind][shape](draw) for _ in range(number)]

"""Addresses of wallets: bitcoin and ethereum, each told from noise by its checksum."""

import hashlib
import re

from loray.data.steps.placeholders import Entity, before, folded, in_hex, in_runs

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32_ENDS = (1, 0x2BC830A3)
"""What a sound bech32 and bech32m checksum come to. Source: BIP 173 and BIP 350."""
DIGEST_WORDS = re.compile(
    r"sha-?1|hash|digest|commit|checksum|thumbprint|fingerprint|signature|revision|curve|secp|prime|"
    r"modulus|generator|\bgit\b|\btree\b|\bblob\b|\bseed\b|\bguid\b|\bobject\b",
    re.I,
)
"""Words for what else 40 digits can be."""
MASK = (1 << 64) - 1
ROUNDS = 24
RATE_BYTES = 136


def base58_is_sound(address: str) -> bool:
    """Whether the last four bytes are the checksum of the first 21. Source: BIP 13."""
    number = 0
    for character in address:
        number = number * 58 + BASE58.index(character)
    if number >> (25 * 8):
        return False
    body = number.to_bytes(25, "big")
    digest = hashlib.sha256(hashlib.sha256(body[:21]).digest()).digest()
    return body[0] in (0, 5) and digest[:4] == body[21:]


def bech32_is_sound(address: str) -> bool:
    """Whether a segregated-witness address ends in its checksum. Source: BIP 173."""
    prefix, _, data = address.lower().rpartition("1")
    spread = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    checksum = 1
    for value in spread + [BECH32.index(c) for c in data]:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for at, generator in enumerate(
            (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
        ):
            checksum ^= generator if top >> at & 1 else 0
    return checksum in BECH32_ENDS


def ethereum_case(address: str) -> str:
    """`0x` and 40 digits with capitals where the checksum wants them. Source: EIP-55."""
    digits = address[2:].lower()
    digest = keccak_256(digits.encode()).hex()
    cased = (c.upper() if int(d, 16) >= 8 else c for c, d in zip(digits, digest, strict=False))
    return "0x" + "".join(cased)


def keccak_256(message: bytes) -> bytes:
    """The digest of at most 135 bytes. SHA-3 pads otherwise. Source: Keccak 3.0."""
    block = bytearray(message.ljust(RATE_BYTES, b"\0"))
    block[len(message)] ^= 0x01
    block[-1] ^= 0x80
    lanes = [int.from_bytes(block[at : at + 8], "little") for at in range(0, RATE_BYTES, 8)]
    lanes += [0] * (25 - len(lanes))
    register = 1
    for _ in range(ROUNDS):
        lanes = _permuted(lanes)
        for bit in range(7):
            register = (register << 1 ^ (register >> 7) * 0x71) % 256
            lanes[0] ^= (register >> 1 & 1) << ((1 << bit) - 1)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _permuted(lanes: list[int]) -> list[int]:
    """Steps theta, rho, pi and chi of one round; lane (x, y) is at x + 5 y."""
    columns = [
        lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)
    ]
    mixed = [columns[(x - 1) % 5] ^ _rotated(columns[(x + 1) % 5], 1) for x in range(5)]
    lanes = [lane ^ mixed[at % 5] for at, lane in enumerate(lanes)]
    moved = list(lanes)
    x, y = 1, 0
    for step in range(24):
        value = lanes[x + 5 * y]
        x, y = y, (2 * x + 3 * y) % 5
        moved[x + 5 * y] = _rotated(value, (step + 1) * (step + 2) // 2 % 64)
    return [
        moved[at] ^ (~moved[(at + 1) % 5 + at // 5 * 5] & moved[(at + 2) % 5 + at // 5 * 5] & MASK)
        for at in range(25)
    ]


def _rotated(lane: int, bits: int) -> int:
    return (lane << bits | lane >> (64 - bits)) & MASK


def _is_bech32(found: re.Match[str]) -> bool:
    return bech32_is_sound(found[0])


def _is_base58(found: re.Match[str]) -> bool:
    return base58_is_sound(found[0])


def _is_ethereum(found: re.Match[str]) -> bool:
    digits = found[0][2:]
    if len(set(digits)) < 8 or re.search(r"(.)\1{7}", digits) is not None:
        return False
    if digits.lower() != digits and digits.upper() != digits:
        return ethereum_case(found[0]) == found[0]
    return DIGEST_WORDS.search(before(found, 48)) is None


BITCOIN = Entity(
    "crypto",
    "CRYPTO",
    in_runs("w" * 26),
    re.compile(rf"[13](?<![\w/+.-][13])[{BASE58}]{{25,33}}(?![\w/+=-])"),
    _is_base58,
)
SEGWIT = Entity(
    "crypto",
    "CRYPTO",
    in_runs("w" * 14),
    re.compile(
        rf"(?<![\w/+.-])(?:bc1[{BECH32}]{{11,71}}|BC1[{BECH32.upper()}]{{11,71}})(?![\w/+=-])"
    ),
    _is_bech32,
    str.lower,
    (folded("bc0"),),
)
ETHEREUM = Entity(
    "crypto",
    "CRYPTO",
    in_hex("fx" + "f" * 40),
    re.compile(r"0x(?<![\w/+.-]0x)[0-9A-Fa-f]{40}(?![\w/+=-])"),
    _is_ethereum,
    str.lower,
)

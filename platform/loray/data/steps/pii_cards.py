"""Payment cards: of a known brand, or of any brand beside a word for cards."""

import re

from loray.data.steps.pii_tables import CARD_BRANDS
from loray.data.steps.placeholders import Entity, after, before, shapes

BARE_CARD_LENGTHS = (15, 16)
"""Lengths at which digits without gaps are a card whatever stands around them."""
WORD_CHARS = 48
"""A word for cards counts up to so many characters before a number."""
CARD_WORDS = re.compile(
    r"(?:\b(?:cards?|(?:bank|credit|debit|master|gift|visa)[ _-]?cards?|cc|credit|debit|visa|amex|"
    r"american express|discover|diners|jcb|unionpay|maestro|mir|rupay|troy|elo|verve|hipercard|pan|"
    r"girocard|bancomat|cartes?|cb|tarjetas?|carta|carte|cart[o\u00f5]es|cart[a\u00e3]o|cart\u00e3o|"
    r"kort|kortti|karty|kart[a\u0131]?|kartu|kartya|k\u00e1rtya|cardul)(?:\b|_)"
    r"|card(?:num(?:ber)?|no|nr|_)|[a-z]Cards?\b|_cards?\b|(?:ec|bank|kredit|debit|giro|zahl)?[ -]?"
    r"kart(?:e|en|en-?nr|en-?nummer)\b|(?:credit|bank|betaal|pin)?kaart|(?:kredit|betal|bank)kort"
    r"|\u043a\u0430\u0440\u0442|\u30ab\u30fc\u30c9|\u5361|\uce74\ub4dc)",
    re.I,
)
OTHER_LABELS = re.compile(
    r"(?:(?:\b|_)(?:orders?|invoices?|tracking|serial|isbn|ean|gtin|upc|imei|iccid|sim|ref|reference|ticket|"
    r"case|sku|part|model|item|transaction|account|phone|tel|fax|mobile|version|commit|build|"
    r"timestamp|time|date|id|uuid|barcode|bestellung|bestell-?nr|rechnung|auftrag|commande|facture|"
    r"pedido|factura|ordine|fattura|fatura|bestelling|factuur|konto|shipment|parcel|batch|lot|"
    r"receipt|claim|policy|customer|user|member|rng|seed|random)s?)"
    r"[\s_-]{0,2}(?:numbers?|numero|nummer|no|nr|id|code)?[\s.:#=\"'(-]{0,4}(?:is |was )?$",
    re.I,
)
"""The word right before a number says what it is, though a card is spoken of before."""
YEARS = re.compile(r"(?:(?:19|20)[0-9]{2}\W?)+")
_GAP = "[ .\u00a0\u2007\u2009\u202f-]"
_BEFORE = r"(?<![\w.+/*^-])(?<![0-9][ \u00a0])(?<![\w)] [*+/^-] )(?<![0-9], )"
_AFTER = r"(?![\w-]|[. \u00a0][0-9]| ?[*+/^%=])"


def luhn_is_sound(digits: str) -> bool:
    """Whether the last digit is the checksum of the others. Source: ISO/IEC 7812-1, annex B."""
    doubled = "0246813579"
    sums = (int(doubled[int(d)] if at % 2 else d) for at, d in enumerate(reversed(digits)))
    return sum(sums) % 10 == 0


def only_digits(written: str) -> str:
    """The digits of a number as it is written."""
    return re.sub(r"[^0-9]", "", written)


def has_brand(digits: str) -> bool:
    """Whether first digits and length are those of a brand."""
    return any(
        len(digits) in lengths and digits.startswith(prefixes) for prefixes, lengths in CARD_BRANDS
    )


def _is_card(found: re.Match[str]) -> bool:
    """Whether a number of a brand stands alone; one after `#` or a label is a number of that."""
    digits = only_digits(found[0])
    if not has_brand(digits) or not luhn_is_sound(digits):
        return False
    text = before(found, WORD_CHARS)
    is_plain = digits != found[0] or len(digits) in BARE_CARD_LENGTHS
    is_other = text.endswith("#") or OTHER_LABELS.search(text) is not None
    return CARD_WORDS.search(text) is not None or (is_plain and not is_other)


def _is_named_card(found: re.Match[str]) -> bool:
    """Whether 12 to 19 digits of any brand with a sound checksum stand after a word for cards."""
    digits = only_digits(found[0])
    if not 12 <= len(digits) <= 19 or not luhn_is_sound(digits) or not _may_be_issued(digits):
        return False
    if YEARS.fullmatch(found[0]) is not None:
        return False
    return _is_named(before(found, WORD_CHARS)) or (
        re.match(r"[\s(,]{1,3}\(?(?:visa|mastercard|maestro|amex|jcb)\b", after(found), re.I)
        is not None
    )


def _is_named(text: str) -> bool:
    return CARD_WORDS.search(text) is not None and OTHER_LABELS.search(text) is None


def _may_be_issued(digits: str) -> bool:
    """Whether no other register owns such numbers: times, articles, SIM cards, or made up."""
    if len(digits) < 15:
        return digits[0] in "3456" and len(set(digits)) > 3
    return digits[0] not in "07" and not digits.startswith("89") and len(set(digits)) > 2


_HINTS = shapes("0" * 12, "0000-000")
CARD = Entity(
    "card",
    "CARD",
    _HINTS,
    re.compile(
        rf"{_BEFORE}(?:[0-9]{{4}}({_GAP}?)[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{1,7}}"
        rf"|[0-9]{{4}}({_GAP}?)[0-9]{{6}}\2[0-9]{{4,5}}){_AFTER}"
    ),
    _is_card,
    only_digits,
    min_digits=12,
)
NAMED_CARD = Entity(
    "card",
    "CARD",
    _HINTS,
    re.compile(
        rf"{_BEFORE}(?:[0-9]{{12,19}}"
        rf"|[0-9]{{4,15}}(?P<gap>{_GAP})[0-9]{{3,15}}(?:(?P=gap)[0-9]{{1,7}}){{0,4}}){_AFTER}"
    ),
    _is_named_card,
    only_digits,
    min_digits=12,
)

"""Personal data in one text, replaced by typed placeholders such as `<EMAIL_1f3a>`.

Precision comes first: a placeholder in the wrong place damages a row, and rows are code and prose
as often as letters. So every pattern has a check behind it, and what is public by design is left
alone. Names and street addresses would need a model; they are not looked for.
"""

from collections.abc import Iterable

from loray.data.steps.pii_cards import CARD, NAMED_CARD, luhn_is_sound
from loray.data.steps.pii_emails import EMAIL, SPELLED_EMAIL
from loray.data.steps.pii_network import IP4, IP6, MAC
from loray.data.steps.pii_numbers import IBAN, SSN
from loray.data.steps.pii_phones import PHONES
from loray.data.steps.pii_urls import URL_CREDENTIALS
from loray.data.steps.pii_wallets import BITCOIN, ETHEREUM, SEGWIT
from loray.data.steps.placeholders import Entities, Entity, scrub

__all__ = ["ENTITIES", "KINDS", "Entity", "entities_named", "luhn_is_sound", "scrub"]

KINDS = {
    "email": "e-mail addresses, `[at]` too, but for a manual's and the user of a remote shell",
    "ip": "public IPv4 and IPv6 addresses, but for documentation ranges and public name servers",
    "phone": "telephone numbers: +country, North American, French, others beside a word like `tel`",
    "card": "payment card numbers: a sound Luhn checksum, and a known brand or a word like `card`",
    "iban": "bank accounts: IBAN of the country's length and with sound check digits",
    "ssn": "US social security numbers that may have been given out",
    "mac": "hardware addresses of one device",
    "crypto": "bitcoin and ethereum addresses with a sound checksum",
    "url_credentials": "`user:password` or a token inside a URL",
}
"""What a spec may name, and what it finds."""

_IN_ORDER = (
    URL_CREDENTIALS, EMAIL, SPELLED_EMAIL, IBAN, BITCOIN, SEGWIT, ETHEREUM, MAC, IP4, IP6, CARD,
    NAMED_CARD, SSN, *PHONES,
)  # fmt: skip
"""What could hold another comes first: a URL an e-mail address, a card a telephone number."""
ENTITIES = {kind: tuple(e for e in _IN_ORDER if e.kind == kind) for kind in KINDS}


def entities_named(names: Iterable[str]) -> Entities:
    """The entities of a spec, in the order in which they have to be looked for."""
    wanted = frozenset(names)
    return Entities(entity for entity in _IN_ORDER if entity.kind in wanted)

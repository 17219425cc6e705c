"""Names, and references to versions: `name`, `name@3`, `name@alias`."""

import re
from dataclasses import dataclass

from loray.errors import NameRefusedError
from loray.spec.base import NAME_PATTERN

CHAMPION = "champion"
"""The alias that a bare name stands for; it only ever names a promotable version."""

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_KEY = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True)
class Reference:
    """A parsed reference; exactly one of `number` and `alias` is set."""

    name: str
    number: int | None
    alias: str | None


def check_name(name: str) -> str:
    """`name` itself, when it may name an adapter.

    Raises:
        NameRefusedError: it is of another form; it is quoted in ASCII and cut short.
    """
    if not re.fullmatch(NAME_PATTERN, name) or ".." in name:
        raise NameRefusedError(
            f"{ascii(name)[:80]} cannot name an adapter; a name has 1 to 64 characters of a-z, "
            "0-9, '.', '_', '-', starts with a letter or a digit, and has no '..'; choose another"
        )
    return name


def check_alias(alias: str) -> str:
    """`alias` itself, when it may name an alias: a name that starts with a letter.

    Raises:
        NameRefusedError: it is of another form, or could be taken for a version number.
    """
    if check_name(alias)[0].isdigit():
        raise NameRefusedError(
            f"{alias!a} cannot be an alias, it looks like a version number; start with a letter"
        )
    return alias


def check_key(key: str) -> str:
    """`key` itself, when it may be an idempotency key or the key of a lease.

    Raises:
        NameRefusedError: it is empty, over 200 characters, or not printable ASCII without spaces.
    """
    if not _KEY.fullmatch(key):
        raise NameRefusedError(
            f"{ascii(key)[:80]} cannot be a key; use 1 to 200 printable ASCII characters, no spaces"
        )
    return key


def parse_reference(text: str) -> Reference:
    """What `text` refers to; a bare name means its champion.

    Raises:
        NameRefusedError: it is neither `name`, `name@number` nor `name@alias`.
    """
    name, at, rest = text.partition("@")
    if at and not (name and rest):
        raise NameRefusedError(
            f"found {ascii(text)[:80]}; wanted a name, or a name with a version or alias, such as "
            "my-bot@3 or my-bot@canary"
        )
    check_name(name)
    if not at:
        return Reference(name, None, CHAMPION)
    if _NUMBER.fullmatch(rest):
        return Reference(name, int(rest), None)
    return Reference(name, None, check_alias(rest))

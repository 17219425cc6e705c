"""Passwords and tokens in URLs and connection strings."""

import re
from collections.abc import Callable

from loray.data.steps.anchors import at_schemes
from loray.data.steps.credentials_values import is_made_up, is_url_password, looks_random
from loray.data.steps.placeholders import Entity, Hint, bare, folded

SCHEME = r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://"
USER = r"[^\s:/?#@<>\"'`{}()\[\]$%|\\]"
PASSWORD = r"[^\s/@<>\"'`{}\[\]|\\]"  # noqa: S105 - characters of one
"""Characters of either. A `#` in a password should be escaped and often is not."""
LOGIN_END = r"@(?=[\w\[])"
TOKEN_PASSWORDS = ("x-oauth-basic", "x-token-auth", "api_token", "api", "x", "token", "oauth2")
"""What stands for a password where the user is a token."""
_FIELD_WORDS = (folded("password=", "pwd=", "password =", "pwd ="),)


def is_url_token(value: str) -> bool:
    """Whether a user without a password, or with a constant one, is a token."""
    if len(value) < 20 or is_made_up(value):
        return False
    return looks_random(value) or re.fullmatch("[0-9a-f]{32,64}", value) is not None


def _is_password_in_url(found: re.Match[str]) -> bool:
    value = found["value"]
    is_port = re.match(r"[0-9]{1,5}[#?]", value) is not None
    is_constant = value in TOKEN_PASSWORDS or value == found["user"]
    return not (is_port or is_constant) and is_url_password(value)


def _is_token_in_url(found: re.Match[str]) -> bool:
    password = found["password"]
    if found[0].startswith(("ssh:", "sftp:")):  # there a user is a name, however random
        return False
    return is_url_token(found["value"]) and (not password or password in TOKEN_PASSWORDS)


def _is_field_password(found: re.Match[str]) -> bool:
    return is_url_password(found["value"])


def _place(
    gate: str,
    pattern: str,
    is_real: Callable[[re.Match[str]], bool] = _is_field_password,
    also: tuple[tuple[Hint, ...], ...] = (),
) -> Entity:
    kind, label = "connection_string", "SECRET_CONNECTION_STRING"
    places = at_schemes if pattern.startswith(SCHEME) else None
    return Entity(kind, label, bare(gate), re.compile(pattern), is_real, also=also, places=places)


IN_URLS = (
    _place(
        "://",
        rf"{SCHEME}(?P<user>{USER}{{0,64}}):(?P<value>{PASSWORD}{{1,128}}){LOGIN_END}",
        _is_password_in_url,
    ),
    _place(
        "://",
        rf"{SCHEME}(?P<value>{USER}{{20,256}})(?::(?P<password>{PASSWORD}{{0,64}}))?{LOGIN_END}",
        _is_token_in_url,
    ),
    _place(
        ";",
        r"(?i:;|\bUID=[^;\s]{1,64};|\bHost=[^;\s]{1,99};)[ \t]{0,8}(?i:Password|Pwd)[ \t]{0,4}="
        r"[ \t]{0,4}(?P<value>[^;\s\"'<>{}$]{6,128})(?=[;\"'\s]|$)",
        also=_FIELD_WORDS,
    ),
    _place(
        ";",
        r"(?<![\w-])(?i:Password|Pwd)[ \t]{0,4}=[ \t]{0,4}(?P<value>[^;\s\"'<>{}$]{6,128})"
        r"(?=;[ \t]{0,4}[A-Za-z][A-Za-z ]{1,40}=)",
        also=_FIELD_WORDS,
    ),
    _place(
        "@",
        r"(?:\boracle:thin:|\b(?:sqlplus|sqlldr|expdp|impdp)\s(?:-\w{1,9}\s){0,3})"
        r"[A-Za-z]\w{0,40}/(?P<value>[^\s/@\"'<>{}$]{4,128})@",
        also=(folded("oracle:thin:", "sqlplus", "sqlldr", "expdp", "impdp"),),
    ),
)
"""In the order in which they are looked for."""

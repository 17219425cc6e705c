"""Credentials that are told by where they stand: in a header, a URL, an assignment, a PEM block."""

import base64
import binascii
import json
import re

from loray.data.steps.credentials_values import (
    is_made_up,
    is_name,
    is_url_password,
    looks_chosen,
    looks_random,
)
from loray.data.steps.placeholders import Entity, folded

SPECIMENS = frozenset({"Aladdin:open sesame", "test:123\u00a3"})
"""The logins that RFC 7617 prints."""
PEM_BODY = re.compile(r"[A-Za-z0-9+/=]{32}")
NO_SECRET = re.compile(
    r"[/.~#@*]|arn:|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$|.*(?:\.[a-z]{2,4}$|\*)", re.I
)
"""Paths, resource names, UUIDs, file names and globs."""
PUBLIC_NAMES = re.compile(
    r"public|publishable|token_?(?:type|url|uri|name|id|count|length|file|path)|tokenizer|"
    r"(?:key|secret|password|token)_?(?:name|id|file|path|url|uri|hash|field|prefix|type|size)$",
    re.I,
)
"""Names with `key` or `token` in them whose values are none."""


def _decoded(part: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        return None


def _is_jwt(found: re.Match[str]) -> bool:
    """Whether the header is JSON that names an algorithm. Source: RFC 7515, section 4.1.1."""
    header = _decoded(found["header"])
    try:
        fields = json.loads(header or b"")
    except ValueError:
        return False
    return isinstance(fields, dict) and ("alg" in fields or "enc" in fields)


def _is_private_key(found: re.Match[str]) -> bool:
    body = found["body"] or found["rest"]
    return PEM_BODY.search(body) is not None and not is_made_up(re.sub(r"[^\w.*]", "", body[:200]))


def _is_password_in_url(found: re.Match[str]) -> bool:
    return is_url_password(found["value"]) and found["value"] != found["user"]


def _is_basic_login(found: re.Match[str]) -> bool:
    """Whether it decodes to `user:password`. Source: RFC 7617, section 2."""
    try:
        user, colon, password = (
            base64.b64decode(found["value"], validate=True).decode().partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        return False
    is_login = bool(colon) and user.isprintable() and password.isprintable()
    return is_login and f"{user}:{password}" not in SPECIMENS and not is_made_up(password)


def _is_bearer_token(found: re.Match[str]) -> bool:
    value = found["value"]
    return not is_made_up(value) and not is_name(value) and looks_random(value)


def _is_field_password(found: re.Match[str]) -> bool:
    return is_url_password(found["value"])


def _is_assigned(found: re.Match[str]) -> bool:
    """Whether a value set in code is a secret: mixed as a key, or a password by the book."""
    before = found.string[max(found.start("name") - 32, 0) : found.start("name")]
    name = re.split(r"[^\w.-]", before)[-1] + found["name"]
    value = found["value"]
    if PUBLIC_NAMES.search(name) is not None or is_made_up(value) or is_name(value):
        return False
    if "://" in value or NO_SECRET.match(value) is not None:
        return False
    is_password = re.search("pass|pwd", name, re.I) is not None
    return looks_random(value) or (is_password and looks_chosen(value))


_NAME = (
    r"(?P<name>(?i:passw(?:or)?d|passphrase|pwd|secret|token"
    r"|(?:api|access|auth|secret|private|encryption|encrypt|signing|account|shared)[_-]?key)"
    r"(?:[_-][A-Za-z0-9]+|[A-Z0-9][A-Za-z0-9]*){0,2})"
)

JWT = Entity(
    "jwt",
    "SECRET_JWT",
    folded("eyj"),
    re.compile(
        r"(?<![\w/+=.-])(?P<header>eyJ[A-Za-z0-9_-]{12,})\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*"
        r"(?:\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)?(?![\w/+=-])"
    ),
    _is_jwt,
)
PRIVATE_KEY = Entity(
    "private_key",
    "SECRET_PRIVATE_KEY",
    folded("private key"),
    re.compile(
        r"-----BEGIN (?P<type>(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
        r"(?:(?P<body>[^<>]*?)-----END (?P=type)-----|(?P<rest>(?:\s+|\\n|[A-Za-z0-9+/=]{32,})+))"
    ),
    _is_private_key,
)
CONNECTION = Entity(
    "connection_string",
    "SECRET_CONNECTION_STRING",
    folded("://"),
    re.compile(
        r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://(?P<user>[^\s:/?#@<>\"'`{}()\[\]$%|\\]{0,64})"
        r":(?P<value>[^\s/?#@<>\"'`{}()\[\]$|\\]{1,128})@(?=[\w\[])"
    ),
    _is_password_in_url,
)
CONNECTION_FIELD = Entity(
    "connection_string",
    "SECRET_CONNECTION_STRING",
    folded("password=", "pwd=", "password =", "pwd ="),
    re.compile(
        r"(?:;|\bUID=[^;\s]{1,64};|\bHost=[^;\s]{1,99};)\s*(?:Password|Pwd)\s*=\s*"
        r"(?P<value>[^;\s\"'<>{}$]{6,128})(?=[;\"'\s]|$)",
        re.I,
    ),
    _is_field_password,
)
BASIC = Entity(
    "http_auth",
    "SECRET_HTTP_AUTH",
    folded("basic "),
    re.compile(
        r"authorization[\"'\]]{0,2}\s?(?:[:=,]|=>)\s?[\"'`]?Basic "
        r"(?P<value>[A-Za-z0-9+/]{8,}={0,2})(?![\w+/=-])",
        re.I,
    ),
    _is_basic_login,
)
BEARER = Entity(
    "http_auth",
    "SECRET_HTTP_AUTH",
    folded("bearer ", "token ", "authorization", "api-key", "auth-token"),
    re.compile(
        r"(?:authorization[\"'\]]{0,2}\s?(?:[:=,]|=>)\s?[\"'`]?(?:Bearer|Token) "
        r"|\bx-(?:api-key|auth-token)[\"'\]]{0,2}\s?[:=,]\s?[\"'`]?)"
        r"(?P<value>[A-Za-z0-9._~+/-]{16,2048}={0,2})(?![\w<$@{*])",
        re.I,
    ),
    _is_bearer_token,
)
QUOTED = Entity(
    "assignment",
    "SECRET_ASSIGNMENT",
    folded('="', "='", '= "', "= '", ': "', ": '", ':"', '> "', "> '", '=b"'),
    re.compile(
        rf"{_NAME}[\"'\]]{{0,2}}\s?(?::|=|:=|=>|==)\s?(?:[bru]|new )?"
        r"(?P<quote>[\"'])(?P<value>[^\s\"'`<>\\]{8,200})(?P=quote)"
    ),
    _is_assigned,
)
LINE = Entity(
    "assignment",
    "SECRET_ASSIGNMENT",
    folded("password", "passwd", "pwd", "secret", "token", "key=", "key:", "key ="),
    re.compile(
        rf"^[ \t]*(?:export |set |ENV |- )?(?:[A-Za-z0-9]+[_.-]){{0,4}}{_NAME}(?:=|: ?| = )"
        r"(?P<value>[^\s\"'`<>()\[\]\\,;]{8,200})[ \t]*$",
        re.M,
    ),
    _is_assigned,
)
PLACES = (PRIVATE_KEY, JWT, CONNECTION, CONNECTION_FIELD, BASIC, BEARER, QUOTED, LINE)
"""In the order in which they are looked for; assignments last, for they tell no type."""

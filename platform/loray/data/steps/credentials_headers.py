"""Credentials in headers of HTTP: Basic, Bearer, and the keys that services want."""

import re

from loray.data.steps.credentials_values import decoded, is_made_up, is_name, looks_random
from loray.data.steps.credentials_words import CORE_WORDS
from loray.data.steps.placeholders import Entity, folded

SPECIMENS = frozenset({"Aladdin:open sesame", "test:123\u00a3"})
"""The logins that RFC 7617 prints."""


def is_login(value: str) -> bool:
    """Whether base64 decodes to `user:password`. Source: RFC 7617, section 2."""
    login = decoded(value) or ""
    user, colon, password = login.rstrip("\n").partition(":")
    return bool(colon and user) and login not in SPECIMENS and not is_made_up(password)


def _is_basic_login(found: re.Match[str]) -> bool:
    return is_login(found["value"])


def _is_bearer_token(found: re.Match[str]) -> bool:
    value = found["value"]
    is_hex = re.fullmatch("[0-9a-fA-F]{32,128}", value) is not None
    return not is_made_up(value) and not is_name(value) and (is_hex or looks_random(value))


_VALUE = r"(?P<value>[A-Za-z0-9._~+/-]{16,2048}+={0,2})(?![\w$@{*]|<[^/])"
_SET = r"[\"'\]]{0,2}\s?(?:[:=,]|=>)\s?[\"'`]?"
BASIC = Entity(
    "http_auth",
    "SECRET_HTTP_AUTH",
    folded("basic "),
    re.compile(r"(?i:\bBasic) (?P<value>[A-Za-z0-9+/]{8,2048}+={0,2})(?![\w+/=-])"),
    _is_basic_login,
)
BEARER = Entity(
    "http_auth",
    "SECRET_HTTP_AUTH",
    CORE_WORDS,
    re.compile(
        rf"(?:(?<![A-Za-z])(?i:authorization){_SET}"
        r"(?:(?i:Bearer|Token|ApiKey|Key|GenieKey|Splunk) )?"
        r"|(?i:\bBearer )"
        r"|(?i:\b(?:(?:x|dd|private|job|deploy|ocp|api|auth|access|vault|amz|rapidapi|functions|"
        r"apim|goog|github|gitlab|shopify|csrf|session|security|subscription|application|client|"
        rf"admin)-){{1,4}}(?:api-?key|key|token|secret|auth)){_SET}"
        rf"|\b(?:apikey|Apikey){_SET}"
        rf"){_VALUE}"
    ),
    _is_bearer_token,
    also=(folded("bearer ", "authorization", "api-key", "apikey", "-token", "-key", "-auth"),),
    min_digits=1,
)

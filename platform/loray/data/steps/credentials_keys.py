"""Keys by their own form: PEM, PGP and PuTTY files, JSON web tokens, a file that is one key."""

import base64
import binascii
import json
import re

from loray.data.steps.credentials_values import decoded, is_made_up, looks_random
from loray.data.steps.placeholders import Entity, bare, folded, in_runs, starts

WORD = re.compile("[a-z]{7}|[A-Z]{7}|(?:^|/)[a-z]{3,}/")
"""Letters of one case in a row, as random keys rarely have, or a folder."""
PEM_BODY = re.compile(r"[A-Za-z0-9+/=]{32}")


def _is_jwt(found: re.Match[str]) -> bool:
    """Whether the header is JSON that names an algorithm. Source: RFC 7515, section 4.1.1."""
    part = found["header"]
    try:
        header = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        fields = json.loads(header)
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and ("alg" in fields or "enc" in fields)


def _is_private_key(found: re.Match[str]) -> bool:
    body = found["body"] or found["rest"]
    return PEM_BODY.search(body) is not None and not is_made_up(re.sub(r"[^\w.*]", "", body[:200]))


def _is_lone_key(found: re.Match[str]) -> bool:
    """Whether a text that is one word is a key: no digest, no name, no text in base64."""
    value = found["value"]
    kinds = ("[a-z]", "[A-Z]", "[0-9]")
    is_mixed = all(re.search(kind, value) for kind in kinds) and looks_random(value)
    is_path = value.count("/") > 3 or WORD.search(value) is not None
    is_digest = re.match("(?:sha|md)[0-9]{1,3}[-_]", value) is not None
    return (
        is_mixed
        and not is_path
        and not is_digest
        and not is_made_up(value)
        and decoded(value) is None
    )


JWT = Entity(
    "jwt",
    "SECRET_JWT",
    starts("eyj"),
    re.compile(
        r"(?<![\w/+=.-])(?P<header>eyJ[A-Za-z0-9_-]{12,}+)\.[A-Za-z0-9_-]{2,}+\.[A-Za-z0-9_-]*+"
        r"(?:\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++)?(?![\w/+=-])"
    ),
    _is_jwt,
    min_digits=1,
)
PRIVATE_KEY = Entity(
    "private_key",
    "SECRET_PRIVATE_KEY",
    bare("-----"),
    re.compile(
        r"-----BEGIN (?P<type>(?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
        r"(?:(?P<body>(?:[^<>-]|-(?!----))*+)-----END (?P=type)-----"
        r"|(?P<rest>(?:\s|\\[nr]|[A-Za-z0-9+/=]{32,}+)++))"
    ),
    _is_private_key,
    also=(folded("private key"),),
)
_BREAK = r"(?:\s|\\[nr]){1,4}+"
_LINE = "[A-Za-z0-9+/]{1,72}+={0,2}(?![:-])"
PUTTY_KEY = Entity(
    "private_key",
    "SECRET_PRIVATE_KEY",
    bare("-: 0", "-:0"),
    re.compile(rf"Private-Lines: ?[0-9]{{1,3}}{_BREAK}(?P<value>{_LINE}(?:{_BREAK}{_LINE})*+)"),
    also=(folded("private-lines:"),),
    min_digits=1,
)
LONE_KEY = Entity(
    "private_key",
    "SECRET_PRIVATE_KEY",
    in_runs("w" * 12),
    re.compile(r"\A\s{0,8}(?P<value>[A-Za-z0-9+/_-]{32,128}={0,2})\s{0,8}\Z"),
    _is_lone_key,
    min_digits=1,
    max_chars=160,
)

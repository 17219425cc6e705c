"""Hashes of passwords, in the forms in which systems store them: a guess tells the password."""

import re
from collections.abc import Callable

from loray.data.steps.placeholders import Entity, always, bare, folded, in_hex

_START, _END = r"(?<![\w$./+-])", r"(?![\w$/+])"
_CRYPT = "[./0-9A-Za-z]"
_MARKS = bare("$", "{}", "{0}", "{-")


def _is_varied(found: re.Match[str]) -> bool:
    return len(set(found[0][-20:])) >= 8


def _hash(
    hints: tuple[str, ...],
    pattern: str,
    is_real: Callable[[re.Match[str]], bool] = _is_varied,
) -> Entity:
    compiled = re.compile(_START + pattern + _END)
    kind, label = "password_hash", "SECRET_PASSWORD_HASH"
    return Entity(kind, label, _MARKS, compiled, is_real, also=(folded(*hints),), min_digits=1)


HASHES = (
    _hash(
        ("$0$", "$apr0$", "$0a$", "$0b$", "$0x$", "$0y$", "$y$", "$gy$", "$p$", "$h$", "$sha0$"),
        r"\$(?:(?:1|apr1)\$[^\s$:\"']{1,8}\$" + _CRYPT + r"{22}"
        r"|5\$(?:rounds=[0-9]{1,9}\$)?[^\s$:\"']{1,16}\$" + _CRYPT + r"{43}"
        r"|6\$(?:rounds=[0-9]{1,9}\$)?[^\s$:\"']{1,16}\$" + _CRYPT + r"{86}"
        r"|2[abxy]?\$[0-9]{2}\$" + _CRYPT + r"{53}"
        r"|(?:g?y|7)\$[./0-9A-Za-z]{1,20}\$" + _CRYPT + r"{1,86}\$" + _CRYPT + r"{43}"
        r"|sha1\$[0-9]{1,9}\$" + _CRYPT + r"{1,64}\$" + _CRYPT + r"{28}"
        r"|[PH]\$" + _CRYPT + r"{31})",
    ),
    _hash(
        ("$argon0", "$scrypt$", "$pbkdf0", "$bcrypt-"),
        r"\$(?:argon2(?:id|i|d)(?:\$v=[0-9]{1,3})?\$m=[0-9]{1,9},t=[0-9]{1,9},p=[0-9]{1,9}"
        r"|scrypt\$ln=[0-9]{1,2},r=[0-9]{1,3},p=[0-9]{1,3}"
        r"|pbkdf2(?:-sha(?:256|512))?\$[0-9]{1,9}|bcrypt-sha256\$[\w=,]{1,30})"
        r"(?:\$[./0-9A-Za-z+]{1,128}={0,2}){1,2}",
    ),
    _hash(
        ("pbkdf0", "scrypt:", "scrypt$", "bcrypt_sha000", "argon0$", "bcrypt$"),
        r"(?:(?:pbkdf2_sha(?:1|256|512)|bcrypt_sha256|bcrypt|argon2|scrypt)\$[\w$.,=/+-]{40,200}={0,2}"
        r"|pbkdf2:sha(?:1|256|512):[0-9]{1,9}\$\w{1,64}\$[0-9a-f]{40,128}"
        r"|scrypt:[0-9]{1,9}:[0-9]{1,3}:[0-9]{1,3}\$\w{1,64}\$[0-9a-f]{64,128})",
    ),
    _hash(
        ("{ssha", "{sha", "{smd0", "{md0", "{crypt", "{pbkdf0"),
        r"\{(?:S?SHA(?:256|384|512)?|S?MD5|CRYPT|PBKDF2(?:-SHA(?:256|512))?|"
        r"ssha(?:256|512)?|crypt)\}[./0-9A-Za-z+$]{20,200}={0,2}",
    ),
    _hash(
        ("scram-sha-000$",),
        r"SCRAM-SHA-(?:1|256)\$[0-9]{1,9}:[A-Za-z0-9+/=]{8,64}\$[A-Za-z0-9+/=]{20,64}:"
        r"[A-Za-z0-9+/=]{20,64}",
    ),
    Entity(
        "password_hash",
        "SECRET_PASSWORD_HASH",
        in_hex("*" + "f" * 40, "mff" + "f" * 32),
        re.compile(
            r"(?i:identified (?:by password|with \S{1,40} as)|authentication_string[\"']?\s?[:=]|"
            r"password[\"']?\s?(?:[:=]|\())\s?[\"'](?P<value>\*[0-9A-F]{40}|md5[0-9a-f]{32})[\"']"
        ),
        also=(folded("identified ", "authentication_string", "password"),),
        min_digits=4,
    ),
    Entity(
        "password_hash",
        "SECRET_PASSWORD_HASH",
        bare(":::"),
        re.compile(
            r"^[\w.$-]{1,64}:[0-9]{1,10}:(?P<value>[0-9A-Fa-f]{32}:[0-9A-Fa-f]{32}):::", re.M
        ),
        always,
        min_digits=1,
    ),
)
"""Source: crypt(5), PHC string format, and the manuals of Django, Werkzeug, LDAP and MySQL."""

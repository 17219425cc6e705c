"""Logins in files of their own form: netrc, pgpass, Docker, Kubernetes, npm and mail programs."""

import re
from collections.abc import Callable

from loray.data.steps.credentials_headers import is_login
from loray.data.steps.credentials_values import decoded, is_made_up, is_name, is_password
from loray.data.steps.credentials_words import CORE_WORDS
from loray.data.steps.placeholders import Entity, Hint, bare, before, folded

SECRET_CHARS = 2000
"""How far above its values `kind: Secret` is looked for."""


def _is_password(found: re.Match[str]) -> bool:
    return is_password(found["value"])


def _is_netrc_password(found: re.Match[str]) -> bool:
    """After `machine` and `login`, whatever is no word is a password."""
    value = found["value"]
    return not is_made_up(value) and re.fullmatch("[a-z]{1,12}", value) is None


def _is_pgpass_password(found: re.Match[str]) -> bool:
    """Whether a host stands first. Source: PostgreSQL's manual, "The Password File"."""
    host = re.search(r"(?:^|[\s\"'`>|(=])(?:[\w.*-]+|/[\w./-]+)$", before(found, 100))
    return host is not None and is_password(found["value"])


def _is_docker_login(found: re.Match[str]) -> bool:
    return is_login(found["value"])


def _is_docker_config(found: re.Match[str]) -> bool:
    """Whether base64 decodes to a Docker configuration with logins."""
    text = decoded(found["value"]) or ""
    return '"auth' in text


def _is_secret_data(found: re.Match[str]) -> bool:
    """Whether a value in base64 is below `data:` of a Kubernetes secret, and no certificate."""
    above = found.string[max(found.start() - SECRET_CHARS, 0) : found.start()]
    _, is_secret, data = above.rpartition("kind: Secret")
    if not is_secret:
        data, is_secret, _ = found.string[found.end() : found.end() + 400].partition("kind: Secret")
        data = f"{above[-400:]}" if is_secret and "\n---" not in data else ""
    if re.search(r"^(?:data|stringData):", data, re.M) is None or "\n---" in data:
        return False
    text = decoded(found["value"])
    if text is None:
        return len(found["value"]) >= 12 and re.search("crt|cert|ca|pub", found["key"]) is None
    return not is_made_up(text.strip()) and not is_name(text.strip())


def _place(
    hints: tuple[Hint, ...],
    pattern: str,
    is_real: Callable[[re.Match[str]], bool],
    also: tuple[tuple[Hint, ...], ...] = (),
) -> Entity:
    compiled = re.compile(pattern, re.M)
    kind = "login_file"
    return Entity(
        kind, f"SECRET_{kind.upper()}", CORE_WORDS, compiled, is_real, also=(hints, *also)
    )


_USER_WORDS = folded("login", "user")
FILES = (
    _place(
        _USER_WORDS,
        r"\b(?:machine|host)\s{1,20}[^\s\"']{1,200}\s{1,20}(?:(?:port|protocol)\s{1,4}\w{1,9}\s{1,20})?"
        r"(?:login|user|username)\s{1,8}[^\s]{1,100}\s{1,20}(?:account\s{1,8}\S{1,64}\s{1,20})?"
        r"(?:password|passwd|pass)\s{1,8}[\"']?(?P<value>[^\s\"'`<>|(]{4,128})(?!\()",
        _is_netrc_password,
        (folded("machine", "host"),),
    ),
    _place(
        folded("password", "passwd", "pass "),
        r"\b(?:login|user|username)[ =][\"']?[^\s\"']{1,100}[\"']?,?\s{1,20}"
        r"(?:is\s{1,4}\S{1,64}\s{1,4})?(?:here\s{1,4})?(?:with\s{1,4})?(?:password|passwd|pass)"
        r"[ =]{1,3}[\"']?(?P<value>[^\s\"'`<>|,;()]{6,128}+)(?!\()",
        _is_password,
        (_USER_WORDS,),
    ),
    _place(
        folded("password ", "password\t", "passwd ", "secret "),
        r"^[ \t]{0,12}(?:password|passwd|smtp_pass|secret|enable secret|enable password)[ \t]{1,12}"
        r"(?:[057] )?[\"']?(?P<value>[^\s\"'`<>|]{6,128})[\"']?[ \t]{0,12}(?:#.*)?$",
        _is_password,
    ),
    Entity(
        "login_file",
        "SECRET_LOGIN_FILE",
        bare(":0000:", ":*:", ":00000:"),
        re.compile(
            r":(?:[0-9]{4,5}|\*):[\w*-]{1,64}:[\w*@.-]{1,64}:(?P<value>[^\s:\"'`<>|)]{6,128})"
            r"(?=[\s\"'`<|)]|$)",
            re.M,
        ),
        _is_pgpass_password,
    ),
    _place(
        folded('"auth"', "'auth'", "auth:", "auth=", 'auth\\"'),
        r"\b_?auth\\?[\"']?\s?[:=]\s?\\?[\"']?(?P<value>[A-Za-z0-9+/]{8,2048}+={0,2})(?![\w+/=-])",
        _is_docker_login,
    ),
    _place(
        folded("dockerconfigjson", "dockercfg"),
        r"\.docker(?:configjson|cfg)[\"']?:\s{0,20}[\"']?(?P<value>[A-Za-z0-9+/]{40,8192}+={0,2})",
        _is_docker_config,
    ),
    _place(
        folded("_authtoken", "_password=", "npmauthtoken", "identitytoken"),
        r"(?:_authToken|:_password|npmAuthToken|identitytoken)\\?[\"']?\s?[=:]\s?\\?[\"']?"
        r"(?P<value>[A-Za-z0-9+/_.~-]{10,2048}+={0,2})",
        lambda found: not is_made_up(found["value"]) and not is_name(found["value"]),
    ),
    _place(
        folded("kind: secret"),
        r"^[ \t]{1,8}(?P<key>[\w.-]{1,80}): [\"']?(?P<value>[A-Za-z0-9+/]{8,8192}+={0,2})[\"']?"
        r"[ \t]{0,8}(?:#.*)?$",
        _is_secret_data,
    ),
)
"""In the order in which they are looked for."""

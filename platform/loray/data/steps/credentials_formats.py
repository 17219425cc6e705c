"""Credentials that can be told by their own format. Source: the issuers' public documentation."""

import re
from collections.abc import Callable

from loray.data.steps.credentials_values import has_random_cases, is_made_up, looks_random
from loray.data.steps.credentials_words import CORE_WORDS
from loray.data.steps.placeholders import Entity, bare, folded, in_hex, starts

START, END = r"(?<![A-Za-z0-9_/+-])", r"(?![A-Za-z0-9_/+-])"
AWS_KEY_ID = r"(?:AKIA|ASIA)[A-Z2-7]{16}"
_AWS_SECRET = f"{START}[A-Za-z0-9/+]{{40}}{END}(?!=)"
AWS_WORDS = re.compile(rf"{AWS_KEY_ID}|<SECRET_AWS_|aws.{{0,8}}secret|secret_?access_?key", re.I)
TWILIO_WORDS = re.compile(r"twilio|auth_?token|<SECRET_TWILIO_|\bAC[0-9a-f]{32}", re.I)
AZURITE_KEY = "Eby8vdM02xNOcqFl"
"""How the storage emulator's key begins, which Microsoft prints and everybody may use."""


def is_token(found: re.Match[str]) -> bool:
    """Whether what follows a format's fixed part is random, not written out to show the format."""
    value = found["value"] if "value" in found.re.groupindex else found[0]
    tail = value[-16:]
    is_random = any(character.isdigit() for character in value) or has_random_cases(tail)
    return is_random and not is_made_up(value) and len(set(tail)) >= 7


def _is_key_id(found: re.Match[str]) -> bool:
    """Whether capitals, perhaps without a digit among them, are no word."""
    return not is_made_up(found[0]) and len(set(found[0])) >= 7


def _is_mixed(found: re.Match[str]) -> bool:
    """Likewise, where only small and large letters together are random."""
    return is_token(found) and found[0].lower() != found[0] != found[0].upper()


def _is_aws_secret(found: re.Match[str]) -> bool:
    """Whether 40 characters that may be a digest or a path stand beside what AWS names."""
    value = found[0]
    is_mixed = value.lower() != value != value.upper() and looks_random(value)
    around = found.string[max(found.start() - 160, 0) : found.end() + 160]
    return is_mixed and not is_made_up(value) and AWS_WORDS.search(around) is not None


def _is_twilio_token(found: re.Match[str]) -> bool:
    before = found.string[max(found.start() - 96, 0) : found.start()]
    return is_token(found) and TWILIO_WORDS.search(before) is not None


def _is_storage_key(found: re.Match[str]) -> bool:
    return not found["value"].startswith(AZURITE_KEY) and not is_made_up(found["value"])


def _format(
    kind: str,
    hints: tuple[str, ...],
    pattern: str,
    is_real: Callable[[re.Match[str]], bool] = is_token,
) -> Entity:
    compiled = re.compile(START + pattern + END)
    return Entity(kind, f"SECRET_{kind.upper()}", starts(*hints), compiled, is_real)


FORMATS = (
    Entity(
        "aws",
        "SECRET_AWS",
        CORE_WORDS,
        re.compile(_AWS_SECRET),
        _is_aws_secret,
        also=(folded("aws_", "aws ", "access_key", "accesskey"),),
        min_digits=1,
    ),
    Entity(
        "aws",
        "SECRET_AWS",
        starts("akia", "asia"),
        re.compile(_AWS_SECRET),
        _is_aws_secret,
        min_digits=1,
    ),
    _format("aws", ("akia", "asia"), AWS_KEY_ID, _is_key_id),
    _format(
        "github",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        "(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})",
    ),
    _format(
        "gitlab",
        ("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glagent-"),
        r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[A-Za-z0-9_-]{20,300}(?:\.[0-9a-z]{2}\.[0-9a-z]{9})?",
    ),
    _format(
        "slack",
        ("xox", "xapp-"),
        "(?:xox[abeoprs](?:[.-]xox[bp])?-(?:[0-9]{1,13}-){1,3}[A-Za-z0-9]{16,146}"
        "|xapp-[0-9]-[A-Z0-9]{9,13}-[0-9]{10,14}-[a-f0-9]{64})",
    ),
    Entity(
        "slack",
        "SECRET_SLACK",
        starts("hooks.slack."),
        re.compile(
            r"hooks\.slack\.com/(?:services|workflows)/"
            r"(?P<value>[A-Z][A-Z0-9]{8,12}/[A-Z][A-Z0-9]{8,12}/[A-Za-z0-9]{20,32})\b"
        ),
        is_token,
    ),
    _format(
        "stripe",
        ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"),
        "(?:[sr]k_(?:live|test)_[A-Za-z0-9]{24,247}|whsec_[A-Za-z0-9+/]{32,64}={0,2})",
    ),
    _format(
        "google",
        ("aiza", "gocspx-", "ya00."),
        r"(?:AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{40,400})",
    ),
    _format(
        "openai",
        ("sk-",),
        "sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{40,250}|[A-Za-z0-9]{48,64})",
        _is_mixed,
    ),
    _format(
        "anthropic", ("sk-ant-",), "sk-ant-[a-z]{2,8}[0-9]{2}-[A-Za-z0-9_-]{64,120}", _is_mixed
    ),
    _format("huggingface", ("hf_", "api_org_"), "(?:hf|api_org)_[A-Za-z0-9]{34,40}", _is_mixed),
    _format("npm", ("npm_",), "npm_[A-Za-z0-9]{36}", _is_mixed),
    Entity(
        "npm",
        "SECRET_NPM",
        bare(":_="),
        re.compile(r"//[\w.:/-]{1,99}:_authToken=[\"']?(?P<value>[0-9a-fA-F-]{36})\b"),
        is_token,
        also=(folded("_authtoken"),),
        min_digits=1,
    ),
    _format(
        "pypi", ("pypi-ag",), "pypi-Ag(?:EIcHlwaS5vcmc|ENdGVzdC5weXBpLm9yZw)[A-Za-z0-9_-]{50,400}"
    ),
    Entity(
        "twilio",
        "SECRET_TWILIO",
        in_hex("f" * 32),
        re.compile(rf"{START}(?:AC|SK)[0-9a-f]{{32}}{END}"),
        is_token,
        min_digits=1,
    ),
    Entity(
        "twilio",
        "SECRET_TWILIO",
        in_hex("f" * 32),
        re.compile(f"{START}[0-9a-f]{{32}}{END}"),
        _is_twilio_token,
        min_digits=1,
        also=(folded("twilio", "auth_token", "authtoken"),),
    ),
    _format("sendgrid", ("sg.",), r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", _is_mixed),
    Entity(
        "azure",
        "SECRET_AZURE",
        bare("="),
        re.compile(
            r"(?:AccountKey|SharedAccessKey|account_?key|storage_?key)[\"']?\s*[=:]\s*[\"']?"
            r"(?P<value>[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{43}=)(?![A-Za-z0-9+/=])",
            re.I,
        ),
        _is_storage_key,
        also=(folded("accountkey", "account_key", "storage_key", "accesskey"),),
        min_digits=1,
    ),
    Entity(
        "azure",
        "SECRET_AZURE",
        bare("="),
        re.compile(r"[?&](?:amp;)?sig=(?P<value>(?:[A-Za-z0-9]|%2[BbFf]|[+/]){43,64}(?:%3[Dd]|=))"),
        _is_storage_key,
        also=(folded("sig="),),
        min_digits=1,
    ),
)
"""In the order in which they are looked for; a secret key's neighbour must still be there."""

"""Passwords on command lines: `curl -u`, `mysql -p`, `--password`, pipes into `sudo -S`."""

import re
from collections.abc import Callable

from loray.data.steps.anchors import at_matches
from loray.data.steps.credentials_assignments import is_secret
from loray.data.steps.credentials_values import is_password
from loray.data.steps.credentials_words import CORE_WORDS
from loray.data.steps.placeholders import Entity, Hint, bare, folded

EXPRESSION = re.compile(r"[/.~@:-]|[A-Z_]+$|.*\.[a-z]{2,4}$")
"""Paths, options, file names, and names of variables."""


def _is_option(found: re.Match[str]) -> bool:
    """Whether an argument that only a password takes is no word of a manual."""
    value = found["value"]
    return is_password(value) and EXPRESSION.match(value) is None


def _is_key_option(found: re.Match[str]) -> bool:
    is_path = EXPRESSION.match(found["value"]) is not None
    return not is_path and is_secret(found["name"], found["value"])


_LONG_OPTION = r"(?<![\w-])--"
_AT_OPTIONS = at_matches(r"--(?=[a-z0-9])")
_TEXT = r"(?:[^\n|;]|(?<=\\)\n)"
"""A command's other arguments; a backslash continues a line."""
_VALUE = (
    r"(?:(?P<quote>[\"'])(?P<quoted>)|)"
    r"(?P<value>(?(quoted)[^\"'\n]{4,128}|[^\s\"'`<>|;&)\\]{4,128}))"
)


def _command(
    hints: tuple[str, ...],
    pattern: str,
    is_real: Callable[[re.Match[str]], bool] = _is_option,
    also: tuple[tuple[Hint, ...], ...] = (),
) -> Entity:
    compiled = re.compile(pattern + _VALUE)
    words = (folded(*hints), *also)
    places = _AT_OPTIONS if pattern.startswith(_LONG_OPTION) else None
    return Entity(
        "command", "SECRET_COMMAND", _OPTIONS, compiled, is_real, also=words, places=places
    )


_OPTIONS = bare(" -", "--", " /:")
COMMANDS = (
    _command(
        ("mysql", "mariadb"),
        rf"\b(?:mysql(?:dump|admin|import|show|check|pump|sh)?|"
        rf"mariadb(?:-\w{{1,12}})?)\s(?:{_TEXT}{{0,200}}?\s)?-p",
    ),
    _command(
        ("curl ", "http ", "https ", "xh ", "wget "),
        rf"\b(?:curl|https?|xh|wget)\s(?:{_TEXT}{{0,300}}?\s)?"
        r"(?:-[a-zA-Z]{0,6}u|--user|-a|--auth|--proxy-user|-U)[ =]?[\"']?[^\s:\"'<>$/]{1,64}:",
    ),
    _command(("sshpass",), r"\bsshpass\s(?:-\w{1,3}\s){0,3}-p ?"),
    _command(
        ("--",),
        rf"{_LONG_OPTION}(?:[a-z0-9]{{1,20}}-){{0,3}}(?:password|passwd|pass|passphrase|pwd|"
        r"passcode|pw)(?:=| {1,3})",
        also=(CORE_WORDS,),
    ),
    _command(
        ("--",),
        rf"{_LONG_OPTION}(?P<name>(?:[a-z0-9]{{1,20}}-){{0,3}}(?:token|secret|api-?key|access-?key|"
        r"secret-?key|auth-?key|key))(?:=| {1,3})",
        _is_key_option,
        (CORE_WORDS,),
    ),
    _command(
        (" login", "mongo", "htpasswd", "redis-cli", "ldap", "zip ", "0z ", "smbclient", "svn ",
         "iscsiadm", "ipmitool", "winexe", "kinit", "keytool"),
        r"\b(?:(?:docker|podman|nerdctl|skopeo|helm|az|oc|cf|buildah|argocd|heroku|vault)"
        rf"(?:\s[\w-]{{1,20}}){{0,2}}\slogin\s{_TEXT}{{0,200}}?-p|mongo\w{{0,8}}\s{_TEXT}{{0,200}}?-p"
        rf"|redis-cli\s(?:{_TEXT}{{0,200}}?\s)?-a|ldap\w{{2,9}}\s{_TEXT}{{0,200}}?\s-w"
        rf"|(?:un)?zip\s(?:{_TEXT}{{0,100}}?\s)?-P|7za?\s{_TEXT}{{0,100}}?\s-p"
        rf"|ipmitool\s{_TEXT}{{0,200}}?\s-P|keytool\s{_TEXT}{{0,200}}?\s-(?:storepass|keypass)"
        rf"|smbclient\s{_TEXT}{{0,200}}?-U\s?[\"']?[\w\\.@-]{{1,64}}%"
        rf"|htpasswd\s{_TEXT}{{0,100}}?-[a-zA-Z]{{0,4}}b[a-zA-Z]{{0,3}}\s"
        rf"(?:[^\s-]\S{{0,99}}\s)?[\w.@-]{{1,64}})[ =]?",
    ),
    _command(
        ("freerdp", "rdesktop"),
        rf"\b(?:\w?freerdp3?\s{_TEXT}{{0,200}}?/p:|rdesktop\s{_TEXT}{{0,200}}?-p ?)",
    ),
    _command(("pass:",), r"\s-pass(?:in|out)?\s[\"']?pass:"),
)  # fmt: skip
PIPED = (
    Entity(
        "command",
        "SECRET_COMMAND",
        bare("|"),
        re.compile(
            r"\b(?:echo|printf)\s(?:-[ne]{1,2}\s)?[\"']?(?:[\w.-]{1,40}:)?"
            r"(?P<value>[^\s\"'`<>|:\\]{6,128})(?:\\n)?[\"']?\s?\|\s?"
            r"(?:sudo\s[^\n|]{0,40}-S|[^\n|]{0,60}(?:--password-stdin|--stdin|chpasswd|smbpasswd))"
        ),
        _is_option,
        also=(folded("echo ", "printf "), folded(" -s", "stdin", "chpasswd", "smbpasswd")),
    ),
)

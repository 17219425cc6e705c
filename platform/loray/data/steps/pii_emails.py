"""E-mail addresses, plain and spelled so that harvesters miss them.

Left alone are addresses that are nobody's (RFC 2606's domains, a manual's `user@host.com`), the
user in `user@host` of remote shells and URLs, and what code writes with an `@`.
"""

import re

from loray.data.steps.pii_domains import TOP_LEVEL_DOMAINS
from loray.data.steps.pii_specimens import is_nobody
from loray.data.steps.placeholders import Entity, bare, before, folded

REMOTE_COMMANDS = re.compile(
    r"\b(?:ssh|scp|sftp|rsync|mosh|ssh-copy-id|sshfs)\b[^\n]*$|://[^\s/]*$"
)
_LETTER = "A-Za-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u052f"
"""Letters of alphabets. Those of scripts without blanks would take the sentence in."""
_LOCAL = rf"(?<![{_LETTER}_.%+@-])(?:[Oo]['\u2019])?[{_LETTER}][{_LETTER}._%+-]{{0,63}}"
_LABEL = r"[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?"
_TOP = r"(?:xn--[A-Za-z0-9-]{2,59}|[^\W\d_]{2,24})"
_END = rf"(?![{_LETTER}_(@=[-]|\.\w)"
_AT = (
    r"(?:\s?[\[(]\s?(?:at|AT|At|@|arroba|chez)\s?[\])]\s?|"
    r"%40|&#0{0,3}64;|&#[xX]40;|&commat;|\uff20)"
)
_DOT = r"(?:\.|\s?[\[({<]\s?(?:dot|DOT|Dot|punkt|PUNKT|point|punto|ponto|punt|\.)\s?[\])}>]\s?)"
_SPELLED_DOT = _DOT.replace(r"(?:\.|", "(?:", 1)
_MARKS = re.compile(_AT)
_DOTS = re.compile(_DOT)


def _is_email(found: re.Match[str]) -> bool:
    local, _, domain = found[0].lower().rpartition("@")
    behind = found.string[found.end() : found.end() + 2]
    is_path = behind[:1] == ":" and (local == "git" or behind[1:] in ("/", "~"))
    if is_path or (local == "git" and behind[:1] == "/"):
        return False
    return _is_address(local, domain) and REMOTE_COMMANDS.search(before(found, 64)) is None


def _is_address(local: str, domain: str) -> bool:
    labels = domain.split(".")
    top = labels[-1]
    if top.isascii() and top not in TOP_LEVEL_DOMAINS and not top.startswith("xn--"):
        return False
    is_message_id = sum(character.isdigit() for character in local) >= 12
    is_library = top == "so" and labels[0].startswith("lib")
    is_sound = ".." not in local and local[-1] not in ".-+%" and not is_message_id
    return is_sound and not is_library and not is_nobody(local, labels)


def _is_spelled(found: re.Match[str]) -> bool:
    local, _, domain = plain_email(found[0]).rpartition("@")
    return _is_address(local, domain)


def plain_email(written: str) -> str:
    """An address in small letters, with `@` and dots however they are spelled."""
    local, mark, domain = _MARKS.sub("@", written).rpartition("@")
    return f"{_DOTS.sub('.', local)}{mark}{_DOTS.sub('.', domain)}".lower()


EMAIL = Entity(
    "email",
    "EMAIL",
    folded("@"),
    re.compile(rf"{_LOCAL}@(?:{_LABEL}\.){{1,9}}{_TOP}{_END}"),
    _is_email,
    str.lower,
)
SPELLED_EMAIL = Entity(
    "email",
    "EMAIL",
    bare("()", "[]", "( )", "[ ]", "%00", "&", "(@)", "[@]", "\uff20"),
    re.compile(
        rf"{_LOCAL}(?:{_SPELLED_DOT}[{_LETTER}][{_LETTER}_%+-]{{0,63}}){{0,3}}{_AT}"
        rf"(?:{_LABEL}{_DOT}){{1,9}}{_TOP}{_END}"
    ),
    _is_spelled,
    plain_email,
    (folded("(at", "[at", "( at ", "[ at ", "(@", "[@", "arroba", "chez", "%00", "&#",
            "&commat;", "\uff20"),),
)  # fmt: skip

"""Passwords and keys set to a name: in code, environment files, YAML, properties, XML and PHP."""

import re
from collections.abc import Callable

from loray.data.steps.anchors import Places, at_words
from loray.data.steps.credentials_values import (
    CLASS_NAME,
    CODES,
    KEBAB,
    decoded,
    is_dense,
    is_made_up,
    is_name,
    is_password,
    looks_chosen,
    looks_random,
)
from loray.data.steps.credentials_words import CORE_WORDS, by_first_letter
from loray.data.steps.placeholders import Entity, Hint, bare, folded

NO_KEY = re.compile(
    r"[.~]{0,2}/|arn:|[a-z]{2}-[a-z]{4,12}-[0-9][_:]|base64:?$|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$|"
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+",
    re.I,
)
"""Paths, resource names, UUIDs and times, where characters are as mixed as a key's."""
NO_SECRET = re.compile(
    r"[/.~#@*]|arn:|[a-z]{2}-[a-z]{4,12}-[0-9][_:]|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$|.*(?:\.[a-z]{2,4}$|\*)",
    re.I,
)
"""Paths, resource names, UUIDs, file names and globs."""
PUBLIC_NAMES = re.compile(
    r"::|(?:next|page|pagination|continuation|continue|lock|idempotency|request|change|start(?:ing)?|"
    r"client|unit|sync|resume|cursor|stop|pad|eos|bos|mask|special|cancellation|invalidation|paging|update)"
    r"[_ -]?token|device[_-]?key|"
    r"(?:time|date|used|expires?|expiration|age|policy|hint|label|count|length|at)$|public|publishable|token_?(?:type|url|uri|name|id|count|length|file|path)|tokenizer|"
    r"(?:_|-)(?:url|uri|path|file)$|(?:key|secret|password|pass|token)_?(?:name|id|file|path|url|uri|field|prefix|type|size)$",
    re.I,
)
"""Names with `key` or `token` in them whose values are none."""
PASSWORD_NAMES = re.compile(
    r"pass(?!ed|ing|es)|pwd|pw|kennwort|motdepasse|mdp|contrase|senha|wachtwoord|haslo", re.I
)
LINE_START = re.compile(
    r"[ \t]*(?:[-*>|`\"'(#+<{\[]{1,3}[ \t]*){0,3}"
    r"(?:(?:export|set|setenv|SET|ENV|ARG|env|let|local|readonly|declare|code>|b>|td>)[ \t]*)?"
    r"[\w.\-\[\]/:]{0,60}"
)
LINE_END = re.compile(r"[`\"')|\]},;.<?]{0,3}[ \t]*(?:[|,<]|(?://|#|;|--|<!--|/\*)|$)")
"""What may follow a value: marks that close, and a comment."""
ATTRIBUTE = re.compile(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$|[A-Za-z_][\w.]*[(\[{]|[a-z_]{2,40}=[\w.]{1,9}$|"
    r"(?=(?:[A-Z0-9]*_)*[A-Z]+_)[A-Z0-9]+(?:_[A-Z0-9]+)*_[A-Z]+$"
)
"""An attribute, the beginning of a call, an argument with its name, or a constant."""
PLAIN_PASSWORD = re.compile(r"(?=.*[A-Za-z]{2})(?=.*[0-9].*[0-9])[A-Za-z0-9!@#$%^&*+_.]{8,}")
"""What no prose holds behind `password:`."""
_SEGMENT = "(?:[_-][A-Za-z0-9]{1,24}|[A-Z0-9][A-Za-z0-9]{0,24}){0,2}+"
_KEY_OF = """
    api access auth secret private encryption encrypt signing account shared app application master
    session cookie jwt hmac consumer client service storage subscription admin webhook deploy rails
"""
_LOGINS_OF = "db user smtp mail ftp root admin ssh become"
_WORDS = by_first_letter(
    r"passw(?:or)?[dt] passphrase passcode pwd secret token kennwort mot_?de_?passe"
    r" contrase[n\u00f1]a"
    r" senha wachtwoord has[l\u0142]o "
    + " ".join(f"{word}pass(?![a-z])" for word in _LOGINS_OF.split())
    + " "
    + " ".join(f"{word}[_-]?key" for word in _KEY_OF.split())
    + " auth_salt logged_in_salt nonce_salt secure_auth_salt"
)
_NAME = (
    rf"(?P<name>(?:{_WORDS}){_SEGMENT}"
    r"|[pPmM](?<![A-Za-z].)(?i:ass|w|dp)(?![a-z])(?:[_-][A-Za-z0-9]{1,24})?"
    r"|P(?<=[a-z].)(?:ass|W)(?![a-z]))"
)
_KEY_HEADS = tuple(f"{word}{mark}" for word in _KEY_OF.split() for mark in ("", "_", "-"))
_AT_NAMES = at_words(
    {
        "key": _KEY_HEADS,
        "pass": ("", *_LOGINS_OF.split()),
        "passe": ("motde", "motde_", "mot_de", "mot_de_"),
        "salt": ("auth_", "logged_in_", "nonce_"),
        "secure_auth_salt": ("",),
        **dict.fromkeys(
            ("pw", "pdp", "mass", "mw", "mdp", "secret", "token", "kennwort", "contrase",
             "senha", "wachtwoord", "haslo", "has?o"),
            ("",),
        ),
    }
)  # fmt: skip
"""Where `_NAME` may begin; `?` for a letter that is not in Latin-1."""
_CALLS = by_first_letter(
    "login log_in logon signin sign_in authenticate auth connect mysqli? mysqli?_connect "
    "getconnection pdo httpbasicauth basic_?auth setbasicauth setauth plainauth credentials? "
    "networkcredential usernamepasswordcredentials register passwordauthentication"
)
_AT_CALLS = at_words(
    {
        "log": ("",),
        "sign": ("",),
        "auth": ("", "httpbasic", "setbasic", "set", "plain"),
        "connect": ("", "get"),
        "mysql": ("",),
        "pdo": ("",),
        "basic": ("",),
        "credential": ("", "network", "usernamepassword"),
        "register": ("",),
        "passwordauth": ("",),
    }
)
_WORD_HINTS = folded(
    "passw", "passphrase", "passcode", "pwd", "secret", "token", "kennwort", "passe", "contrase",
    "senha", "wachtwoord", "has\u0142o", "haslo", "_key", "-key", "apikey", "accesskey", "authkey",
    "secretkey", "privatekey", "signingkey", "accountkey", "sharedkey", "appkey", "masterkey",
    "sessionkey", "clientkey", "servicekey", "storagekey", "encryptionkey", "_salt", "pass=",
    "pass:", "pass =", 'pass"', "pass'", "pass>", "_pass", "pw=", "pw:", "mdp",
)  # fmt: skip


def _full_name(found: re.Match[str]) -> str:
    """The name with what precedes the part that the pattern knows."""
    before = found.string[max(found.start("name") - 64, 0) : found.start("name")]
    words = re.split(r"[^\w.:-]", before)
    is_spoken = words[-1] == "" and words[-2:-1] != [] and before.endswith(f"{words[-2]} ")
    return (f"{words[-2]} " if is_spoken else words[-1]) + found["name"]


def is_secret(name: str, value: str) -> bool:
    """Whether the value of a name is mixed as a key, or a password where the name says so."""
    if PUBLIC_NAMES.search(name) is not None or is_made_up(value) or is_name(value):
        return False
    if CODES.fullmatch(value) is not None:
        return False
    is_long = len(value) >= 32 and "/" not in value and looks_random(value)
    is_key = is_long or is_dense(value) or value.startswith("base64:")
    if "://" in value or (NO_KEY if is_key else NO_SECRET).match(value) is not None:
        return False
    text = decoded(value)
    if text is not None and (is_made_up(text) or is_name(text)):
        return False
    is_for_password = PASSWORD_NAMES.search(name) is not None
    if not is_for_password and CLASS_NAME.fullmatch(value) is not None:
        return False
    return looks_random(value) or (is_for_password and looks_chosen(value))


def _is_assigned(found: re.Match[str]) -> bool:
    """Whether a value set in code or in a file of settings is a secret."""
    value = found["value"]
    if found["quote"] is None and not _is_bare_value(found, value):
        return False
    return is_secret(_full_name(found), value)


def _is_bare_value(found: re.Match[str], value: str) -> bool:
    """Whether a value without quotes is no word, no attribute, and set and not spoken of."""
    is_code = ATTRIBUTE.match(value) is not None and not is_dense(value)
    is_expression = is_code or KEBAB.fullmatch(value) is not None
    if is_expression or not any(character.isdigit() for character in value):
        return False
    if found["sep"].strip() in ("is", "=", "|") and found["sep"] != " = ":
        return True
    is_clear = looks_random(value) or PLAIN_PASSWORD.fullmatch(value) is not None
    if is_clear and found["sep"] != ":":  # in `:secret:name` both are parts of a path
        return True
    line = found.string.rfind("\n", max(found.start("name") - 90, 0), found.start("name")) + 1
    start = max(line, found.start("name") - 90)
    is_start = LINE_START.fullmatch(found.string, start, found.start("name")) is not None
    rest = found.string[found.end("value") : found.end("value") + 90].partition("\n")[0]
    return is_start and LINE_END.match(rest) is not None


def _is_defined(found: re.Match[str]) -> bool:
    value = found["value"]
    is_salt = len(value) >= 32 and looks_random(re.sub(r"\s", "", value))
    return (is_salt and not is_made_up(value)) or is_secret(found["name"], value)


def _is_element(found: re.Match[str]) -> bool:
    value = found["value"]
    text = decoded(value) if "base64" in found[0] else None
    if text is not None:
        return not is_made_up(text)
    return is_secret(found["name"], value)


def _place(
    pattern: str,
    is_real: Callable[[re.Match[str]], bool],
    hints: tuple[Hint, ...] = CORE_WORDS,
    also: tuple[tuple[Hint, ...], ...] = (),
    places: Places | None = None,
) -> Entity:
    compiled = re.compile(pattern, re.M)
    label = "SECRET_ASSIGNMENT"
    return Entity("assignment", label, hints, compiled, is_real, also=also, places=places)


ASSIGNED = _place(
    rf"{_NAME}\\?[\"'\]]{{0,2}}(?P<sep>\s?(?::=|=>|==|:(?: ?[&\w.\[\]|]{{1,24}} ?=)?|=|,|\()\s?|"
    r"\sis:?\s|\s?\|\s?)(?:[bru](?=[\"'])|new )?\\?(?P<quote>[\"'])?"
    r"(?P<value>(?(quote)[^\s\"'`\\]{6,200}(?=\\?(?P=quote))"
    r"|(?:[^\s\"'`<>,;&|\\]|&(?!\w{1,30}=)){5,200}[^\s\"'`<>,;&|\\.:?)\]}]"
    r"(?=[)\]}.:?]{0,3}(?:[\s\"'`<>,;&|]|$))))",
    _is_assigned,
    also=(_WORD_HINTS,),
    places=_AT_NAMES,
)
DEFINED = _place(
    r"\bdefine\s?\(\s{0,4}[\"'](?P<name>\w{0,40}(?:KEY|SALT|PASS|PASSWORD|PWD|PW|SECRET|TOKEN))[\"']"
    r"\s{0,4},\s{0,4}(?:\"(?P<double>)|')(?P<value>(?(double)[^\"\n]|[^'\n]){6,200})[\"']\s{0,4}\)",
    _is_defined,
    also=(folded("define(", "define ("),),
)
ELEMENT = _place(
    r"<(?P<name>[\w:.-]{0,40}?(?i:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key)[\w-]{0,20})"
    r"(?:\s[^<>\n]{0,200})?>\s{0,4}(?:<!\[CDATA\[)?(?P<value>[^<>\s\]]{6,200})(?:\]\]>)?\s{0,4}</",
    _is_element,
    bare("</"),
    (CORE_WORDS,),
)
NAMED_VALUE = _place(
    rf"{_NAME}\\?[\"']?[,;]?(?:\s|\\n){{1,24}}\\?[\"']?(?:value|default|Value)\\?[\"']?\s?[:=]\s?"
    r"\\?[\"']?(?P<value>[^\s\"'<>,\\]{6,200})",
    lambda found: is_secret(_full_name(found), found["value"]),
    also=(folded("value", "default"), _WORD_HINTS),
    places=_AT_NAMES,
)
VARIABLE = _place(
    rf"\bvariable\s\"[\w-]{{0,40}}?{_NAME}\"\s?\{{[^{{}}]{{0,300}}?default\s{{0,8}}=\s{{0,4}}"
    r"\"(?P<value>[^\s\"]{6,200})\"",
    lambda found: is_secret(_full_name(found), found["value"]),
    also=(folded("variable "),),
)
POSITIONAL = _place(
    rf"(?:{_CALLS})(?:\s?=\s?)?\((?:[^()\"'\n]{{0,40}},)?"
    r"(?:\s{0,4}\\?[\"'][^\"'\n]{0,100}[\"']\s{0,4},){1,3}\s{0,4}\\?[\"']"
    r"(?P<value>[^\s\"'\\]{6,128})\\?[\"']",
    lambda found: is_password(found["value"]) and NO_SECRET.match(found["value"]) is None,
    bare('",', "',"),
    (bare('", "', "', '", '","', "','", '", \\"', '", \'', "', \""),
     folded("login", "auth", "connect", "mysql", "credential", "sign", "pdo(", "register("),),
    places=_AT_CALLS,
)  # fmt: skip
ASSIGNMENTS = (ASSIGNED, DEFINED, ELEMENT, NAMED_VALUE, VARIABLE, POSITIONAL)
"""In the order in which they are looked for."""

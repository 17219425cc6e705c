"""The user and password, or the token, inside a URL."""

import re

from loray.data.steps.credentials_urls import LOGIN_END, PASSWORD, SCHEME, USER, is_url_token
from loray.data.steps.credentials_values import is_url_password
from loray.data.steps.placeholders import Entity, bare


def _is_login(found: re.Match[str]) -> bool:
    user, colon, password = found["value"].partition(":")
    if not colon and found[0].startswith(("ssh:", "sftp:")):
        return user.startswith("<SECRET_")
    if not colon or is_url_token(user):
        return user.startswith("<SECRET_") or is_url_token(user)
    if re.match(r"[0-9]{1,5}[#?]", password) is not None:
        return False
    return password.startswith("<SECRET_") or (user != password and is_url_password(password))


URL_CREDENTIALS = Entity(
    "url_credentials",
    "URL_CREDENTIALS",
    bare("://"),
    re.compile(
        rf"{SCHEME}(?P<value>(?:{USER}{{1,128}}|<SECRET_[A-Z_]+_[0-9a-f]{{4}}>)"
        rf"(?::(?:{PASSWORD}{{1,128}}|<SECRET_[A-Z_]+_[0-9a-f]{{4}}>))?){LOGIN_END}"
    ),
    _is_login,
)

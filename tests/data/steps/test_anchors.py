from itertools import pairwise

import pytest

from loray.data.steps import credentials
from loray.data.steps.anchors import at_words
from loray.data.steps.placeholders import Entity
from tests.data.steps.credential_rows import found
from tests.data.steps.test_linear_patterns import FRAGMENTS, MARKED

ANCHORED = [e for e in credentials.credentials_named(credentials.KINDS) if e.places is not None]
PLAIN = [MARKED.sub(r"\1", text) for kind in credentials.KINDS for text in found(kind, 0)]
TEXTS = [*PLAIN, *(text.upper() for text in PLAIN), *map("".join, pairwise(FRAGMENTS))]
NAMES = [
    "passwd", "passwordHash", "passphrase", "passcode", "PWD", "secret", "Token", "kennwort",
    "mot_de_passe", "motdepasse", "contrase\u00f1a", "CONTRASE\u00d1A", "senha", "wachtwoord",
    "has\u0142o", "HAS\u0141O", "haslo", "dbpass", "smtpPass", "apikey", "API_KEY", "app-key",
    "application_key", "jwtKey", "auth_salt", "LOGGED_IN_SALT", "nonce_salt", "secure_auth_salt",
    "pass", "Pw", "mdp", "rootPass", "userPW", "pa\u017fsword", "to\u212aen", "ap\u0131_key",
]  # fmt: skip


def starts(entity: Entity, text: str) -> list[int]:
    return [match.start() for match in entity.pattern.finditer(text)]


@pytest.mark.parametrize("entity", ANCHORED, ids=lambda entity: entity.pattern.pattern[-20:])
def test_no_match_begins_at_another_place(entity):
    missed = [t for t in TEXTS if not set(starts(entity, t)) <= set(entity.places(t))]
    assert missed == []
    assert any(starts(entity, text) for text in TEXTS)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_a_credential_is_a_place(name):
    assigned = ANCHORED[[e.kind for e in ANCHORED].index("assignment")]
    for text in (f'\u4e2d x.{name} = "Zq7Xw2Lk9PtB4vNs"', f'{name}="Zq7Xw2Lk9PtB4vNs"'):
        assert starts(assigned, text) != []
        assert set(starts(assigned, text)) <= set(assigned.places(text))


def test_words_are_found_in_any_case_with_what_may_stand_before_them():
    places = at_words({"key": ("api_", ""), "salt": ("auth_",)})
    assert list(places("\u4e2dAPI_KEY, salt, Auth_Salt")) == [1, 5, 16]

"""Words that tutorials put in the place of a password, in the languages they are written in."""

import re

from loray.data.steps.placeholders import folded

_WORDS = """
    my the some any user root admin test testing demo fake mock foo bar baz secret pass password
    passwd passphrase passw0rd pwd token api key auth value string none null nil undefined true
    false default empty scott tiger postgres postgresql mysql mariadb redis mongo mongodb rabbitmq
    rabbit guest login private public access client db database hunter2 letmein welcome here goes
    super very strong secure long random enter type provide username host hostname server name
    email mail example app application new old current confirm hidden required optional field
    credential credentials account system service web site website hello world change set get use
    hash hashed encrypted plain text data base master file path env var variable abc xyz
    kennwort passwort geheim geheimnis nutzer benutzer benutzername nutzername mein dein ihr
    sicheres sicher starkes neues schluessel konto
    motdepasse mot de passe mdp utilisateur identifiant votre mon secrete cle clef
    contrasena contrasenya clave usuario secreto su tu mi nueva segura
    parola utente segreto segreta nomeutente tua sua chiave
    senha usuario segredo sua minha nome chave
    wachtwoord gebruiker gebruikersnaam geheim mijn uw sleutel
    haslo uzytkownik tajne moje heslo uzivatel losenord anvandare hemligt adgangskode bruger passord
    bruker salasana kayttaja sifre parola kullanici jelszo felhasznalo
    changeme changeit secretkey topsecret correct horse battery staple qwerty trustno1 sesame open
"""
_ALGORITHMS = """
    sha md aes rsa hs rs es ps utf base ed x ipv latin cp iso int uint float str des dsa bcrypt
    argon pbkdf scrypt blowfish hmac tls ssl oauth python py ubuntu debian windows version ver rev
    step line page section chapter level node item row col column case test user group part file
    release v win crypt sum hash with and key varchar nvarchar char binary bigint decimal secp
    curve p k r h
"""


def _any_of(words: str) -> str:
    """An alternation that tries the longest word first."""
    return "|".join(sorted(set(words.split()), key=lambda word: (-len(word), word)))


def by_first_letter(words: str) -> str:
    """An alternation of words in any case, each branch with its first letter as it is.

    A search for a set of characters is quick, and so is leaving a branch at its first one.
    """
    firsts: dict[str, list[str]] = {}
    for word in words.split():
        firsts.setdefault(word[0], []).append(word[1:])
    return "|".join(
        f"{first}(?i:{'|'.join(rest)})"
        for letter, rest in sorted(firsts.items())
        for first in (letter, letter.upper())
    )


WORDS = re.compile(rf"(?:{_any_of(_WORDS)}|[0-9]++|[\W_]++)++", re.I)
"""A value made of nothing but these is a tutorial's. Bare digits count as padding.

Possessive: a run of digits can be cut in only one way, so that no value takes long.
"""
MADE_UP = re.compile(
    r"example|xxxx|\*\*\*|\.\.\.|your|changeme|change[_-]?(?:it|this|me)|placeholder|redacted|dummy|"
    r"insert|replace|sample|^todo|todo[_-]|fixme|hidden|abcdef|uvwxyz|12345678|qwerty|deadbeef|0{6}|"
    r"beispiel|ejemplo|exemple|esempio|exemplo|voorbeeld|kennwort|passwort|motdepasse|contrase|"
    r"wachtwoord|put[_ -]?your|mypass|pass-?phrase|xxx-|<[a-z][a-z _-]*>",
    re.I,
)
"""No secret of ten or more random characters holds one of these by chance."""
UNDISGUISED = str.maketrans("@4310$57", "aaeiosst")
"""`P4$$w0rd` is a word too."""
ALGORITHMS = re.compile(rf"(?:(?:{_any_of(_ALGORITHMS)})[-_]?+[0-9]*+[-_]?+)++", re.I)
"""Names of algorithms, encodings and places have digits as passwords do."""
CORE_WORDS = folded(
    "key", "pass", "auth", "token", "secret", "pw", "bearer ", "salt", "mdp", "senha", "wachtw",
    "has\u0142o", "haslo", "kennwort", "contrase",
)  # fmt: skip
"""One of these is near every credential that is known by its name."""

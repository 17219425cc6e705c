"""What manuals print in the place of a person's own data, in the languages they are written in."""

import re

EXAMPLE_LABELS = frozenset(
    """
    example examples exemple exemples ejemplo ejemplos esempio exemplo beispiel beispiele
    voorbeeld przyklad priklad ornek esimerkki exempel eksempel pelda exemplu primer contoh
    yourdomain your-domain mydomain my-domain yourcompany your-company mycompany yourserver yoursite
    mysite yourhost yourmail youremail somedomain otherdomain invalid localdomain placeholder meinefirma meinedomain deinedomain
    ihredomain votredomaine tudominio suodominio seudominio jouwdomein
    """.split()
)
"""A domain with such a label is nobody's; RFC 2606 keeps the first out of use."""

_ANYBODY = frozenset(
    """
    user username userid user1 user2 someuser name yourname myname firstname lastname
    firstnamelastname email youremail myemail mail yourmail mymail address youraddress
    you me someone somebody anyone anybody person recipient sender from to foo bar baz foobar
    test tester testuser example sample demo dummy fake johndoe janedoe jdoe john.doe login account
    nutzer nutzername benutzer benutzername ihrname deinname deinemail vorname nachname
    vornamenachname maxmustermann erikamustermann mustermann empfaenger absender beispiel konto
    utilisateur nomutilisateur nomdutilisateur nom prenom prenomnom votrenom votremail
    votreadresse adresse jeandupont destinataire exemple quelquun
    usuario nombre nombredeusuario tunombre tucorreo correo correoelectronico juanperez ejemplo
    destinatario alguien utente nomeutente nome nomecognome tuonome tuaemail mariorossi esempio
    qualcuno usuario nomedeusuario seunome seuemail fulano exemplo alguem
    gebruiker gebruikersnaam naam uwnaam jouwnaam iemand voorbeeld uzytkownik nazwa imie
    jankowalski ktos anvandare anvandarnamn namn bruker brukernavn bruger brugernavn navn
    kayttaja nimi kullanici kullaniciadi isim uzivatel jmeno felhasznalo nev utilizator nume
    """.split()
)
_ANYWHERE = frozenset(
    """
    email mail mailserver domain domaine dominio domein domena somewhere company corp host hostname server site website provider
    test testing foo bar baz foobar organization organisation org unternehmen firma anbieter
    empresa entreprise societe fournisseur azienda ditta bedrijf firmy sirket foretag yritys
    sample demo dummy fake xyz abc acme address
    gmail googlemail hotmail outlook yahoo icloud live aol gmx web proton protonmail
    """.split()
)
"""Domains that are anybody's; with a user who is anybody too, an address is nobody's."""

SPECIMEN_RUNS = ("7700900", "1234567", "2345678", "7654321", "8765432", "12345678", "0123456")
"""Runs of digits in a telephone number that nobody was given. Ofcom keeps the first for fiction."""
SPECIMEN_PHONES = ("123456789", "612345678", "701234567", "3012345678", "171123456")
"""How such numbers end where a trunk prefix stands first, as in `06 12 34 56 78`."""


def is_nobody(local: str, labels: list[str]) -> bool:
    """Whether an e-mail address, in small letters, is a manual's.

    Args:
        local: what stands before the `@`.
        labels: the domain's.
    """
    if not EXAMPLE_LABELS.isdisjoint(labels):
        return True
    plain = re.sub(r"[._%-]|\+.*", "", local)
    return plain in _ANYBODY and not _ANYWHERE.isdisjoint(labels[:-1])


def is_specimen_phone(digits: str) -> bool:
    """Whether the digits of a telephone number count up or down, or are nearly all alike."""
    if any(run in digits for run in SPECIMEN_RUNS) or digits.endswith(SPECIMEN_PHONES):
        return True
    return len(set(digits[-7:])) < 3 or len(set(digits)) < 4

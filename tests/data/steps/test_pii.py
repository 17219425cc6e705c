import re

import pytest

from loray.data.steps.pii import ENTITIES, entities_named, luhn_is_sound, scrub

ALL = entities_named(ENTITIES)
PLACEHOLDER = re.compile(r"<(EMAIL|IP|PHONE|CARD)_[0-9a-f]{4}>")

PERSONAL = [
    ("write to ada.lovelace+x@mail.uni-koeln.de.", "EMAIL"),
    ("<bob@company.co.uk>", "EMAIL"),
    ("E-MAIL: ALICE@GMAIL.COM", "EMAIL"),
    ("mailto:carol@foo.org?subject=x", "EMAIL"),
    ("from 81.2.69.142 port 22", "IP"),
    ("1.178.32.9", "IP"),
    ("http://203.104.52.17/index", "IP"),
    ("[2a02:8109:9440:1198::5f]", "IP"),
    ("2607:f8b0:4005:805::200e", "IP"),
    ("call (212) 736-5000 now", "PHONE"),
    ("415-736-2671", "PHONE"),
    ("415.736.2671", "PHONE"),
    ("1-800-633-4227", "PHONE"),
    ("+44 20 7946 0958", "PHONE"),
    ("+1 (415) 736-2671", "PHONE"),
    ("+4930901820", "PHONE"),
    ("phone: 415 736 2671", "PHONE"),
    ("4111 1111 1111 1111", "CARD"),
    ("card 5500-0055-5555-5559,", "CARD"),
    ("378282246310005", "CARD"),
    ("3782 822463 10005", "CARD"),
    ("6011111111111117", "CARD"),
]
HARMLESS = [
    "version 1.2.3.4 of it",
    "pip install numpy==10.20.30.40",
    "Chrome/91.0.4472.124",
    "v20.11.1.17",
    "see section 10.12.13.14",
    "oid 1.3.6.1.4.1.311, 1.3.101.111 and 2.5.29.14",
    "as of 8.2.4.45 Markup declaration",
    "route 124.42.0.0/16 to 192.52.193.0/24",
    "1.1.1.1 8.8.8.8 9.9.9.9",  # public resolvers
    "127.0.0.1 192.168.1.20 10.0.0.12 198.51.100.7 0.0.0.0 255.255.255.0 224.0.0.251",
    "::1 fe80::1 2001:db8::17 a[2000::2] std::vector x[1::2]",
    "at 12:34:56 on 2024-01-15, 15/01/2024, 20240115",
    "2024-01-15T12:34:56.123456+02:00",
    "ISBN 978-0-306-40615-7 and 0-306-40615-2 and 9780306406157",
    "user@example.com admin@localhost foo@bar.test",
    "git clone git@github.com:user/repo.git",
    "@app.route('/x') def f(): return A@B.T",
    "y = x @ w.to(device) + a@b.to(c)",
    "lodash@4.17.21 react@next",
    "4111 1111 1111 1112",  # no sound checksum
    "1234567890123456 0000000000000000 9999999999999995",
    "0.4111111111111111 4111111111111111111111",
    "x = 415736 * 2671; y[415:736:2671]",
    "415 736 2671",  # three numbers
    "1,234,567,890 1234567890 12345-6789 123-45-6789",
    "0x41573626 1e+14157362671 --1-415",
    "1 000 000 0000 and 100-200-3000",
    "#4157362671 id=4157362671",
    "192.0.2.146/24",
    "E1-415-736-2671X",
]


@pytest.mark.parametrize(("text", "kind"), PERSONAL)
def test_personal_data_is_found_and_typed(text, kind):
    assert PLACEHOLDER.findall(scrub(text, ALL, b"salt")) == [kind]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_is_left_alone(text):
    assert scrub(text, ALL, b"salt") == text


def test_what_surrounds_a_value_is_kept():
    assert re.sub(PLACEHOLDER, "_", scrub("(ada@foo.org), then +44 20 7946 0958.", ALL, b"")) == (
        "(_), then _."
    )


@pytest.mark.parametrize("text", [text for text, _ in PERSONAL])
def test_scrubbing_twice_changes_nothing_more(text):
    once = scrub(f"{text} {text}", ALL, b"salt")
    assert scrub(once, ALL, b"salt") == scrub(once, ALL, b"other") == once


def test_one_value_has_one_placeholder_for_each_salt():
    first, again = scrub("Ada@foo.org ada@foo.org", ALL, b"a").split()
    assert first == again != scrub("ada@foo.org", ALL, b"b")
    assert scrub("415-736-2671 415.736.2671", ALL, b"a").split()[0] == first.replace(
        first, scrub("(415) 736-2671", ALL, b"a")
    )


def test_only_what_a_spec_names_is_looked_for():
    text = "ada@foo.org 81.2.69.142"
    assert scrub(text, entities_named(["ip"]), b"").startswith("ada@foo.org <IP_")
    assert scrub(text, entities_named([]), b"") == text


def test_the_luhn_checksum_is_that_of_the_standard():
    assert luhn_is_sound("79927398713")
    assert not any(luhn_is_sound(f"7992739871{digit}") for digit in "012456789")

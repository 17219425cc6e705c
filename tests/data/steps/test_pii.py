import re
from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps.pii import ENTITIES, KINDS, entities_named, luhn_is_sound, scrub
from loray.data.steps.pii_numbers import iban_is_sound
from loray.data.steps.pii_wallets import ethereum_case, keccak_256
from tests.data.steps.pii_lookalikes import KEPT
from tests.data.steps.pii_rows import FOUND

ALL = entities_named(KINDS)
MARKED = re.compile("~~(.+?)~~")
HOLE = re.compile(r"<([A-Z_]+)_[0-9a-f]{4}>")
FOUND_TEXTS = [MARKED.sub(r"\1", text) for text in chain(*FOUND.values())]
KEPT_TEXTS = list(chain(*KEPT.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_personal_data_is_found_whole_and_typed(kind):
    wanted = [MARKED.sub(f"<{kind.upper()}>", text) for text in FOUND[kind]]
    given_texts = [MARKED.sub(r"\1", text) for text in FOUND[kind]]
    assert [HOLE.sub(r"<\1>", scrub(text, ALL, b"salt")) for text in given_texts] == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_what_only_looks_like_it_is_left_alone(kind):
    one = entities_named([kind])
    changed = [text for text in KEPT[kind] if scrub(text, one, b"salt") != text]
    assert changed == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_tables_are_long_enough_to_mean_something(kind):
    assert min(len(FOUND[kind]), len(KEPT[kind])) >= 20


def test_scrubbing_twice_changes_nothing_more():
    for text in FOUND_TEXTS:
        once = scrub(f"{text} {text}", ALL, b"salt")
        assert scrub(once, ALL, b"salt") == scrub(once, ALL, b"other") == once


@given(
    st.lists(st.sampled_from([*FOUND_TEXTS, *KEPT_TEXTS, " ", "\n", "x", "+", "@", ":", "1", ">"]))
)
def test_scrubbing_any_mixture_twice_changes_nothing_more(parts):
    once = scrub("".join(parts), ALL, b"salt")
    assert scrub(once, ALL, b"salt") == once


@given(st.text())
def test_any_text_can_be_scrubbed(text):
    assert scrub(text + "\ud83d ada@foo.org", ALL, b"").startswith(scrub(text + "\ud83d", ALL, b""))


def test_one_value_has_one_placeholder_for_each_salt():
    first, again = scrub("Ada@foo.org ada@foo.org", ALL, b"a").split()
    assert first == again != scrub("ada@foo.org", ALL, b"b")
    ways = "(415)736-2671, 415-736-2671, 415.736.2671, +14157362671, 1-415-736-2671"
    assert len(set(scrub(ways, ALL, b"a").split(", "))) == 1
    ways = "DE89370400440532013000; DE89 3704 0044 0532 0130 00"
    assert len(set(scrub(ways, ALL, b"a").split("; "))) == 1


def test_only_what_a_spec_names_is_looked_for():
    text = "ada@foo.org 81.2.69.142"
    assert scrub(text, entities_named(["ip"]), b"").startswith("ada@foo.org <IP_")
    assert scrub(text, entities_named([]), b"") == text


def test_what_is_replaced_is_counted_by_kind():
    counts = Counter({"ip": 1})
    scrub("a@foo.org b@foo.org", ALL, b"", counts)
    scrub("from 81.2.69.142 and 2a02:8109:9440:1198::5f; 8.8.8.8", ALL, b"", counts)
    assert counts == {"email": 2, "ip": 3}


def test_every_kind_has_a_line_and_an_entity():
    assert set(ENTITIES) == set(KINDS)
    assert all(ENTITIES.values())
    assert all(KINDS.values())


def test_the_checksums_are_those_of_the_standards():
    assert luhn_is_sound("79927398713")
    assert not any(luhn_is_sound(f"7992739871{digit}") for digit in "012456789")
    assert iban_is_sound("GB82WEST12345698765432")
    assert not iban_is_sound("GB28WEST12345698765432")
    assert keccak_256(b"").hex().startswith("c5d2460186f7233c927e7db2dcc703c0")
    address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert ethereum_case(address.lower()) == address

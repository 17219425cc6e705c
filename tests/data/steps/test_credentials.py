import ast
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps import pii
from loray.data.steps.credentials import ENTITIES, KINDS, credentials_named, scrub
from loray.data.steps.credentials_values import bits_per_character
from tests.data.steps.credential_lookalikes import ANY, KEPT
from tests.data.steps.credential_rows import BASE64, Draw, broken, found

ALL = credentials_named(KINDS)
MARKED = re.compile("~~(.+?)~~", re.S)
HOLE = re.compile(r"<SECRET_([A-Z_]+)_[0-9a-f]{4}>")
FOUND_TEXTS = [MARKED.sub(r"\1", text) for kind in KINDS for text in found(kind, 9)]


def kept(kind: str) -> list[str]:
    return [*KEPT.get(kind, []), *ANY, *chain(*(broken(kind, seed) for seed in range(3)))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_a_credential_is_found_whole_and_typed(kind, seed):
    one = credentials_named([kind])
    wanted = [MARKED.sub(f"<{kind.upper()}>", text) for text in found(kind, seed)]
    texts = [MARKED.sub(r"\1", text) for text in found(kind, seed)]
    got = [HOLE.sub(r"<\1>", scrub(text, one, b"salt")) for text in texts]
    assert [pair for pair in zip(got, wanted, strict=True) if pair[0] != pair[1]] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_credential_keeps_its_kind_when_all_are_looked_for(kind):
    for text in found(kind, 5):
        out = scrub(MARKED.sub(r"\1", text), ALL, b"salt")
        assert kind.upper() in HOLE.findall(out), (text, out)
        assert not any(value in out for value in MARKED.findall(text))


@pytest.mark.parametrize("kind", KINDS)
def test_what_only_looks_like_one_is_left_alone(kind):
    one = credentials_named([kind])
    assert [text for text in kept(kind) if scrub(text, one, b"salt") != text] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_tables_are_long_enough_to_mean_something(kind):
    assert min(len(set(found(kind, 0))), len(set(kept(kind)))) >= 20


def test_scrubbing_twice_changes_nothing_more():
    for text in FOUND_TEXTS:
        once = scrub(f"{text} {text}", ALL, b"salt")
        assert scrub(once, ALL, b"salt") == scrub(once, ALL, b"other") == once


@given(st.lists(st.sampled_from([*FOUND_TEXTS, *ANY, " ", "\n", "=", '"', "token", ":", "@"])))
def test_scrubbing_any_mixture_with_personal_data_twice_changes_nothing_more(parts):
    both = (*ALL, *pii.entities_named(pii.KINDS))
    once = scrub("".join(parts), both, b"salt")
    assert scrub(once, both, b"salt") == once


def test_what_begins_behind_a_placeholder_is_found_at_once():
    text = "https://a.b/c?sig=qHBdwDXwuMYaE4FTJXhzB5qIKtCd6XQtGfWKmcmX4eh%3DAKIAOLE3AQ4CRTBMWOXF"
    assert HOLE.sub(r"<\1>", scrub(text, ALL, b"")) == "https://a.b/c?sig=<AZURE><AWS>"


def test_a_text_that_is_one_random_key_is_mostly_found():
    draw = Draw(1)
    keys = [draw(44, BASE64) for _ in range(200)]
    assert sum(HOLE.fullmatch(scrub(key, ALL, b"")) is not None for key in keys) >= 170


def test_placeholders_differ_by_salt_and_agree_by_value():
    text = MARKED.sub(r"\1", found("github", 1)[0])
    first, again = scrub(f"{text} {text}", ALL, b"a").split()
    assert first == again != scrub(text, ALL, b"b")


def test_what_is_replaced_is_counted_by_kind():
    counts: Counter[str] = Counter()
    texts = [MARKED.sub(r"\1", text) for text in found("slack", 1)]
    scrub(" \n".join(texts), ALL, b"", counts)
    assert counts == {"slack": len(texts)}


def test_a_login_in_a_url_leaves_nobodys_name_when_both_steps_run():
    text = "postgres://ada:" + "b1ueM00n" + "@db/x"
    once = scrub(text, ALL, b"")
    assert HOLE.fullmatch(once[len("postgres://ada:") : -len("@db/x")])
    both = scrub(once, pii.entities_named(pii.KINDS), b"")
    assert re.fullmatch("postgres://<URL_CREDENTIALS_[0-9a-f]{4}>@db/x", both)


def test_every_kind_has_a_line_and_an_entity():
    assert set(ENTITIES) == set(KINDS)
    assert all(ENTITIES.values())
    assert all(KINDS.values())


@pytest.mark.slow
def test_docstrings_of_the_standard_library_hold_no_more_than_addresses():
    both = (*pii.entities_named(pii.KINDS), *ALL)
    counts: Counter[str] = Counter()
    without_addresses: list[str] = []
    for text in islice(docstrings(), 800):
        once = scrub(text, both, b"", counts)
        if "@" not in text:
            without_addresses += [text] if once != text else []
    assert without_addresses == []
    assert set(counts) <= {"email"}


def docstrings() -> Iterator[str]:
    """Those of at least 200 characters, in the order of modules' names."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                if len(text) >= 200:
                    yield text


def test_entropy_is_that_of_fair_coins():
    assert bits_per_character("abab") == 1.0
    assert bits_per_character("abcd") == 2.0

import pytest

from loray.errors import NameRefusedError
from loray.registry.names import check_key, check_name, parse_reference

BAD_NAMES = [
    "", ".", "..", "../x", "a/b", "a\\b", "a\0b", "CON", "Bot", "a b", "-a", "_a", ".a", "a..b",
    "a" * 65, "a" * 300, "bot\n", "\nbot", "b\u043et", "bo\u0442", "bot\u200b", "\u00e9t\u00e9",
    "\uff42ot", "bot\u0661", "a\x1b[2J", "bot@1", "%2e%2e", "bot\ud800",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_row_05_a_name_that_could_mislead_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(NameRefusedError) as caught:
        check_name(name)
    message = str(caught.value)
    assert "1 to 64 characters of a-z" in message
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize("name", ["a", "0", "bot", "pydoc-assistant", "a.b_c-1", "a" * 64, "v1."])
def test_ordinary_names_are_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("text", "name", "number", "alias"),
    [
        ("bot", "bot", None, "champion"),
        ("bot@3", "bot", 3, None),
        ("bot@canary", "bot", None, "canary"),
        ("7@999999999", "7", 999_999_999, None),
    ],
)
def test_references_are_read(text: str, name: str, number: int | None, alias: str | None) -> None:
    found = parse_reference(text)
    assert (found.name, found.number, found.alias) == (name, number, alias)


@pytest.mark.parametrize(
    "text",
    [
        "@", "bot@", "@3", "bot@0", "bot@03", "bot@-1", "bot@+1", "bot@1_0", "bot@3x", "bot@1.5",
        "bot@1000000000", "bot@\u0663", "bot@3\n", "bot@3 ", "bot@@3", "../bot@3", "bot@../x",
        *(f"{name}@1" for name in BAD_NAMES), *(f"bot@{name}" for name in BAD_NAMES if name != ""),
    ],
)  # fmt: skip
def test_row_05_anything_else_is_no_reference(text: str) -> None:
    with pytest.raises(NameRefusedError):
        parse_reference(text)


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "\u00e9", "a" * 201, "a\0"])
def test_keys_that_could_mislead_are_refused(key: str) -> None:
    with pytest.raises(NameRefusedError, match="cannot be a key"):
        check_key(key)

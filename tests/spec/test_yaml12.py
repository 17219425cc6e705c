import pytest

from loray.spec import yaml12
from loray.spec.yaml12 import Document, read


def faults(text: str) -> list[str]:
    return [f"{f.place.line}:{f.place.column} {f.path} {f.message}" for f in _read(text).faults]


def _read(text: str) -> Document:
    return read(text, "spec.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("12", 12),
        ("+12", 12),
        ("0", 0),
        ("0o17", 15),
        ("0xff", 255),
        ("no", "no"),
        ("on", "on"),
        ("YES", "YES"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("True", True),
        ("false", False),
        ("tRue", "tRue"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'12'", "12"),
        ('"1e-4"', "1e-4"),
        ("1e", "1e"),
        (".", "."),
        ("<<", "<<"),
    ],
)
def test_a_plain_scalar_is_read_by_the_core_schema_of_yaml_1_2(text: str, value: object):
    document = _read(f"key: {text}")
    assert document.faults == []
    assert document.data == {"key": value}
    assert type(document.data["key"]) is type(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0123", "write 123, or '0123' in quotes if it is text"),
        ("-007", "write 7"),
        (".inf", "wanted a finite number"),
        ("-.INF", "wanted a finite number"),
        (".NaN", "wanted a finite number"),
        ("1e999", "beyond the largest double"),
        ("9" * 5000, "a number of 5000 characters"),
        ("!!python/object:os.system x", "a tag; a spec has none"),
        ("!!str 12", "a tag; a spec has none"),
        ("! 12", "a tag; a spec has none"),
        ("&a 12", "found &a, an anchor"),
        ("*a", "found *a, an alias"),
    ],
)
def test_what_a_spec_cannot_mean_is_refused_where_it_stands(text: str, words: str):
    (fault,) = faults(f"key: {text}")
    assert fault.startswith("1:6 key ")
    assert words in fault


def test_lists_become_tuples_and_blocks_dictionaries_however_they_nest():
    data = _read("a: [1, {b: [x]}]\nc:\n  - - 2\n  - d: []\n").data
    assert data == {"a": (1, {"b": ("x",)}), "c": ((2,), {"d": ()})}


def test_every_value_and_key_knows_its_line_and_column():
    document = _read("a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n")
    assert str(document.place_of(("a", "b"))) == "spec.yaml:2:6"
    assert str(document.place_of(("a", "b"), key=True)) == "spec.yaml:2:3"
    assert str(document.place_of(("a", "c", 1, "d"))) == "spec.yaml:5:11"


def test_a_field_that_is_not_there_is_placed_at_the_nearest_thing_around_it():
    document = _read("a:\n  b: 1\n")
    assert str(document.place_of(("a", "missing", "deeper"))) == "spec.yaml:1:1"
    assert str(document.place_of(("a", "b", "deeper"))) == "spec.yaml:2:3"


def test_a_repeated_key_is_told_once_and_the_first_value_stays():
    document = _read("a:\n  b: 1\na:\n  b: 2\n  c: 3\n")
    assert [str(f) for f in document.faults] == [
        "spec.yaml:3:1: a: found the key 'a' again; it is also in line 1; remove one of the two"
    ]
    assert document.data == {"a": {"b": 1}}


def test_all_faults_of_form_are_found_in_one_reading():
    found = faults("a: 0123\nb: .nan\na: 2\nc: &x 1\nd: *x\n")
    assert [fault.split()[0] for fault in found] == ["1:4", "2:4", "3:1", "4:4", "5:4"]


@pytest.mark.parametrize("brackets", ["[" * 3000, "{a: " * 3000, "- " * 3000])
def test_deep_nesting_is_refused_without_recursion(brackets: str):
    (fault,) = faults(brackets)
    assert "more than 50 levels" in fault or "not YAML" in fault


def test_a_text_of_more_than_a_megabyte_is_refused():
    (fault,) = faults("a: " + "x" * yaml12.MAX_BYTES)
    assert "at most 1,000,000 are read" in fault


def test_alias_bombs_do_not_expand():
    bomb = "a: &a [x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert len(faults(bomb)) > 10
    assert _read(bomb).data["i"] == (None, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2", "not YAML"),
        ("a: b: c", "not YAML"),
        ("a:\n\tb: 1", "indent with spaces"),
        ("a: 1\n---\nb: 2", "found a second document"),
        ("? [a]\n: 1", "as a key; wanted plain text"),
        ("a: \x07", "not YAML"),
        ("a: **/*.jsonl", "put text that begins with this sign in quotes"),
        ("a: @here", "put text that begins with this sign in quotes"),
    ],
)
def test_text_that_is_no_spec_at_all_is_one_fault(text: str, words: str):
    (fault,) = faults(text)
    assert words in fault


def test_the_python_parser_reads_as_the_c_parser_does(monkeypatch: pytest.MonkeyPatch):
    text = "a: [1, '2', {b: no}]\nc: |\n  text\n  more\nd: 0123\na: 1\n"
    fast = _read(text)
    monkeypatch.setattr(yaml12, "_Loader", yaml12.yaml.SafeLoader)
    assert _read(text) == fast

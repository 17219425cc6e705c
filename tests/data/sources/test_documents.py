import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.sources import lines
from loray.data.sources.documents import DamagedError, Element, read_elements
from loray.data.sources.forms import _is_document
from loray.data.sources.streams import TornError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
ROWS = [{"a": f"x\n{n}", "b": [{"c": n}], "u": "\u00e9\u00df\U0001f600"} for n in range(3)]
PRETTY = json.dumps(ROWS, indent=2, ensure_ascii=False).encode()


def read(data: bytes, size: int = 7) -> tuple[list[Element], int]:
    """The elements of a file that comes in chunks of `size` bytes, and its lines."""
    elements = read_elements(data[at : at + size] for at in range(0, len(data), size))
    found = []
    while True:
        try:
            found.append(next(elements))
        except StopIteration as end:
            return found, end.value


def check(data: bytes, values: list, size: int) -> None:
    elements, num_lines = read(data, size)
    assert [e.fault for e in elements] == [None] * len(values)
    assert repr([json.loads(e.data) for e in elements]) == repr(values)
    assert num_lines == data.count(b"\n") + 1
    for element in elements:
        assert data[element.offset :].startswith(element.data)
        assert element.number == data[: element.offset].count(b"\n") + 1


@given(st.lists(VALUES), st.sampled_from([None, 0, 1, 4]), st.integers(1, 40), st.booleans())
def test_an_array_has_its_elements_and_their_places(values, indent, size, ascii_only):
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    check(data.encode("utf-8", "surrogatepass") if "\\u" in data else data.encode(), values, size)


@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES), min_size=1), st.integers(1, 40))
def test_values_one_after_another_are_elements_too(values, size):
    check("\n".join(json.dumps(v, indent=1) for v in values).encode(), values, size)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_damaged_element_costs_itself_where_lines_tell_the_next(size):
    elements, _ = read(PRETTY.replace(b'"c": 1', b'"c": oops'), size)
    assert [e.fault for e in elements] == [None, "malformed_json", None]
    assert elements[1].note == "Expecting value; wanted one JSON value"
    assert json.loads(elements[2].data) == ROWS[2]


@pytest.mark.parametrize("cut", range(1, len(PRETTY) - 1, 7))
def test_a_file_that_is_cut_off_anywhere_has_what_is_whole_and_says_so(cut):
    elements, _ = read(PRETTY[:cut])
    *whole, last = elements
    assert last.fault == "torn_stream"
    assert [json.loads(e.data) for e in whole] == ROWS[: len(whole)]


def test_a_torn_stream_is_told_too():
    def chunks():
        yield PRETTY[:150]
        raise TornError

    elements = list(read_elements(chunks()))
    assert [e.fault for e in elements] == [None, "torn_stream"]


def test_nothing_is_guessed_where_nothing_tells_elements_apart():
    data = json.dumps(ROWS).encode().replace(b'"c": 1', b'"c": oops')
    with pytest.raises(DamagedError, match="line 1, byte 66: Expecting value"):
        read(data)


def test_a_long_element_is_marked_and_those_after_it_are_read(monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 50)
    elements, _ = read(b'[{"a": "' + b"x" * 60 + b'"}, {"b": 1}]', 1000)
    assert [e.fault for e in elements] == ["line_too_long", None]


def test_no_more_than_an_element_and_a_chunk_is_held(monkeypatch):
    import tracemalloc

    rows = json.dumps([{"a": "x" * 1000}] * 100).encode()[1:-1] + b", "

    def chunks():
        yield b"["
        for _ in range(300):
            yield rows

    tracemalloc.start()
    count = sum(1 for element in read_elements(chunks()) if element.fault is None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 30_000
    assert peak < 3 << 20, "30 MB went by"


@pytest.mark.parametrize(
    ("head", "is_whole", "wanted"),
    [
        (b'[{"a": 1}]', True, True),
        (b'[{"a": 1}]\n', True, True),
        (b'[{"a": 1}]\n[{"a": 2}]\n', True, False),
        (b'["a", "b"]\n', True, False),
        (b'["a"]\n["b"]\n', True, False),
        (b"[]", True, True),
        (b"[\n]", True, True),
        (b'[\n{"a": 1},', False, True),
        (b'[{"a": 1},\n{"b": 2},', False, True),
        (b'[{"a": 1}, {"b": 2}, {"c', False, True),
        (b'[{"a": 1}, {"b\n[{"a": 1}', True, False),
        (b'{"a": 1}\n{"b": 2}\n', True, False),
        (b'{"a": 1}', True, False),
        (b'{\n "a": 1}', True, True),
        (b'{\n "a": [', False, True),
        (b'{"a": 1,\n "b": 2}\n', True, True),
        (b'{\n{"a": 1}\n', True, False),
        (b'{"a": \n{"a": 1}\n{"a": 1}\n', True, False),
        (b"\xef\xbb\xbf  [\n\n", False, False),
        (b'\xef\xbb\xbf [\n {"a', False, True),
        (b"ask,reply\n", True, False),
        (b"", True, False),
    ],
)
def test_what_goes_on_over_lines_is_a_document(head, is_whole, wanted):
    assert _is_document(head, is_whole=is_whole) == wanted

"""Lines that are read all at once have the rows of lines that are read one by one."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loray.data.sources import jsonl, parquet
from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.columns import conversations_of
from loray.data.sources.decoding import FaultError, is_blank, parse_line
from loray.data.sources.files import find_files
from loray.data.sources.records import group_of, turns_of
from loray.data.sources.rows import Placed
from loray.spec.fields import FieldsSpec
from tests.data.corpora import data_spec, file_at, source

SHAPES = {
    "text": ({"text": "t", "group": "g"}, b'{"t": "a", "g": "b"}'),
    "pair": ({"prompt": "p", "completion": "c"}, b'{"p": "a", "c": "b", "other": "x"}'),
    "system": (
        {"prompt": "p", "completion": "c", "system": "s"},
        b'{"p": "a", "c": "b", "s": "be brief"}',
    ),
    "template": (
        {"prompt": "{{{p}}}{?: {x}}{?\n{y}, {z}}", "completion": "A: {c}", "system": "s"},
        b'{"p": "a", "c": "b", "x": "d", "s": "be brief"}',
    ),
    "history": (
        {"prompt": "p", "completion": "c", "history": "h"},
        b'{"p": "a", "c": "b", "h": []}',
    ),
    "sharegpt": (
        {"messages": "m", "format": "sharegpt", "roles": {"user": ("customer",)}},
        b'{"m": [{"from": "customer", "value": "a"}, {"from": "gpt", "value": "b"}]}',
    ),
    "chat": (
        {"messages": "m", "tools": "tools"},
        b'{"m": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
    ),
}
CALL = '{"role": "assistant", "content": "", "tool_calls": [{"a": 1}]}'
LINES = {
    "template": [
        '{"p": "a", "c": "b"}', '{"p": "a", "c": "b", "x": ""}', '{"p": "a", "c": "b", "x": null}',
        '{"p": "a", "c": "b", "x": " "}', '{"p": "a", "c": "b", "x": 7}', '{"p": " ", "c": "b"}',
        '{"p": "a", "c": ""}', '{"p": "a"}', '{"p": "a", "c": "b", "y": "e"}', '{"c": "b"}',
        '{"p": "a", "c": "b", "y": "e", "z": "f"}', '{"p": "a", "c": "b", "y": "e", "z": "\\n"}',
        '{"p": "a", "c": "b", "x": ["d"]}', '{"p": "{x}", "c": "}{"}', '{"p": 1, "c": "b"}',
        '{"p": "a", "c": "b", "x": "d", "x": "e"}', '{"p": "a", "c": "b", "n": NaN}',
        '{"p": "a", "c": "b", "s": ""}', '{"p": "a", "c": "b", "s": " "}', '{"p": null, "c": "b"}',
        '{"p": "a", "c": "b", "x": "\\ud83d"}', '{"p": "a", "c": "b", "x": NaN}',
    ],
    "history": [
        '{"p": "a", "c": "b"}', '{"p": "a", "c": "b", "h": null}', '{"p": "a", "c": "b", "h": ""}',
        '{"p": "a", "c": "b", "h": [["d", "e"]]}', '{"p": "a", "c": "b", "h": [["d"]]}',
        '{"p": "a", "c": "b", "h": [[]]}', '{"p": "a", "c": "b", "h": {"d": "e"}}',
        '{"p": "a", "c": "b", "h": "[[\\"d\\", \\"e\\"]]"}', '{"p": "a", "c": "b", "h": "x"}',
        '{"p": [{"role": "user", "content": "a"}], "c": "b"}', '{"p": [], "c": "b"}',
        '{"p": "a", "c": [{"role": "assistant", "content": "b"}], "h": [["d", null]]}',
    ],
    "sharegpt": [
        '{"m": [{"from": "human", "value": "a"}, {"from": "gpt", "value": ""}]}', '{"m": []}',
        '{"m": [{"from": "human", "value": "a"}]}', '{"m": [{"from": "x", "value": "a"}]}',
        '{"m": [{"from": "gpt", "value": null}]}', '{"m": [{"from": "gpt", "content": "a"}]}',
        '{"m": [{"role": "user", "from": "gpt", "value": "a"}]}', '{"m": "x"}', '{"m": [1]}',
        '{"m": [{"from": "gpt", "value": "a", "weight": null}]}', '{"m": null}', "{}",
        '{"m": [{"from": "gpt", "value": "a", "markdown": true}]}',
        '{"m": [{"from": "gpt", "value": "a", "role": null}]}',
        '{"m": [{"from": "function_call", "value": "{}"}, {"from": "gpt", "value": "a"}]}',
        '{"m": [{"from": "tool", "value": "7"}, {"from": "gpt", "value": "a"}]}',
        '{"m": "[{\\"from\\": \\"gpt\\", \\"value\\": \\"a\\"}]"}',
    ],
    "text": [
        '{"t": "a"}', '{"t": "", "g": "x"}', '{"t": "\\u3000", "g": "x"}', '{"t": "a", "g": ""}',
        '{"t": "a", "g": 7}', '{"t": "a", "g": 1.0}', '{"t": "a", "g": true}', '{"t": 1, "g": "x"}',
        '{"t": "a", "t": "b", "g": "x"}', '{"g": "x", "\\u0074": "a\\u0000b"}', '["a"]', '"a"', "",
        '{"t": "a", "g": "x"} ', ' {"t": "a", "g": "x"}', '{"t": "a", "g": "x"}\r', "{}", "{", "}",
        '{"t": "a", "g": "x"} {"t": "b", "g": "y"}', '{"t": "a", "g": "x"}}', '{"t": "a" "g": "x"}',
        '{"t": "a", "g": "x"}\0{"t": "b"}', '{"t": "a\0", "g": "x"}', '{"t": "a\tb", "g": "x"}',
        '{"t": "\\ud83d\\ude00", "g": "x"}', '{"t": "\\ud83d", "g": "x"}',
        '{"t": "\\ude00\\ud83d", "g": "x"}', '{"t": "a", "g": "x", "y": "\\ud83d"}',
        '{"t": "a", "g": "x", "\\ud83d": 1}', '{"t": "a", "g": "x", "\\ud83d": "b"}',
        '{"t": "a\x7f\x85\u2028", "g": "x"}',
        '{"t": "a", "g": "x", "y": NaN}', '{"t": "a", "g": "x", "y": [-Infinity]}',
        '{"t": "a", "g": "x", "y": [1, NaN]}', '{"t": "a", "g": "x", "y": 1e999}',
        '{"t": "a", "g": "x", "y": Inf}', '{"t": "a", "g": "x", "y": [1, [NaN ]]}',
        '{"t": "a", "g": "x", "y": 01}', '{"t": "a", "g": "x", "y": {"z": 1, "z": 2}}',
        '{"t": "a", "g": "x", "y": 1, "y": 2}', '{"t": "a", "g": "x", "y": "b", "y": "c"}',
        '{"t": "a", "g": "x", "y": ' + "[" * 600 + "]" * 600 + "}",
        '{"t": "a", "g": "x", "y": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"t": "a", "g": "x", "y": ' + '{"y":' * 5000 + "1" + "}" * 5000 + "}",
        '{"t": "' + "x{[" * 900 + '", "g": "x", "y": 1}', '{"t": "a", "g": "x", "y": "NaN, [NaN"}',
    ],
    "pair": [
        '{"p": "a"}', '{"p": null, "c": "b"}', '{"p": "a", "c": " \\n"}', '{"p": "a", "c": ["b"]}',
        '{"p": "a", "c": "b", "other": 5}', '{"p": "a", "c": "b", "other": null}',
        '{"p": "a", "c": "b"}', '{"p": {"p": "a"}, "c": "b"}', '{"p": "a", "c": "b", "d": {}}',
    ],
    "system": [
        '{"p": "a", "c": "b"}', '{"p": "a", "c": "b", "s": null}', '{"p": "a", "c": "b", "s": ""}',
        '{"p": "a", "c": "b", "s": " "}', '{"p": "a", "c": "b", "s": 3}',
    ],
    "chat": [
        '{"m": []}', '{"m": null}', '{"m": [null]}', '{"m": "a"}', '{"m": ["a"]}', "{}",
        '{"m": {"role": "user"}}', '{"m": [{"role": "user", "content": "a"}]}',
        '{"m": [{"role": "assistant", "content": "a", "x": [{"y": 1}]}]}',
        '{"m": [{"role": "assistant", "content": "a", "name": "n", "tool_call_id": "i"}]}',
        '{"m": [{"role": "assistant", "content": ""}]}',
        '{"m": [{"role": "assistant", "content": null}]}', '{"m": [{"role": "assistant"}]}',
        '{"m": [{"role": "gpt", "content": "a"}]}', '{"m": [{"content": "a"}]}',
        '{"m": [{"role": 1, "content": "a"}, {"role": "assistant", "content": "a"}]}',
        '{"m": [{"role": "assistant", "role": "user", "content": "a"}]}', f'{{"m": [{CALL}]}}',
        f'{{"m": [{CALL}, {{"role": "tool", "content": "7", "tool_call_id": "i"}}]}}',
        '{"m": [{"role": "assistant", "content": "a", "tool_calls": []}]}',
        '{"m": [{"role": "assistant", "content": "a", "tool_calls": null}]}',
        '{"m": [{"role": "assistant", "content": "a"}], "tools": "[{}]"}',
        '{"m": [{"role": "assistant", "content": "a"}], "tools": [{"n": 1}]}',
        '{"m": [{"role": "assistant", "content": "a"}], "tools": null}',
    ],
}  # fmt: skip


def read(path, fields):
    (block,) = cut_into_blocks(find_files(data_spec(source(path, fields=fields))))
    return pa.concat_tables(read_block(block)).to_pylist()[:-1]


def pieces_of(path, fields):
    file = file_at(path, fields=fields)
    return list(jsonl.read_pieces(file, 0, file.size))


def wanted(line: bytes, fields: dict):
    """Turns, group and reason by the way that looks at one line."""
    named = FieldsSpec(**fields)
    try:
        record = parse_line(line)
        return turns_of(record, named), group_of(record, named) or None, None
    except FaultError as fault:
        return None, None, str(fault)


def check(path, fields, lines: list[bytes]):
    path.write_bytes(b"\n".join(lines) + b"\n")
    rows = read(path, fields)
    filled = [(at, line) for at, line in enumerate(lines, start=1) if line.strip()]
    assert [row["line"] for row in rows] == [at for at, _ in filled]
    for row, (_, line) in zip(rows, filled, strict=True):
        turns, group, reason = wanted(line, fields)
        assert (row["turns"], row["rejected_by"]) == (turns, reason), line[:200]
        assert group is None or row["group"] == group
    return rows


@pytest.mark.parametrize(
    ("shape", "line"), [(s, line) for s, rows in LINES.items() for line in rows]
)
def test_one_odd_line_among_plain_ones_changes_nothing_of_any(tmp_path, shape, line):
    fields, plain = SHAPES[shape]
    odd = line.encode("utf-8", "surrogatepass")
    path = tmp_path / "x.jsonl"
    without = check(path, fields, [plain] * 3)
    first = check(path, fields, [plain, plain, plain, odd])
    assert [first[at] | {"seconds": None} for at in range(3)] == [
        row | {"seconds": None} for row in without
    ]
    check(path, fields, [odd, plain])
    check(path, fields, [plain, odd, plain])


@pytest.mark.parametrize("odd", [b'{"t": "\xff", "g": "x"}', b'{"t": "\xed\xa0\xbd", "g": "x"}'])
def test_bytes_that_are_no_utf8_cost_their_line_only(tmp_path, odd):
    fields, plain = SHAPES["text"]
    check(tmp_path / "x.jsonl", fields, [plain, odd, plain])


@pytest.mark.parametrize("shape", SHAPES)
def test_plain_lines_are_read_all_at_once(tmp_path, shape):
    fields, plain = SHAPES[shape]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n".join([plain] * 5) + b"\n")
    (piece,) = pieces_of(path, fields)
    assert isinstance(piece, Placed)


@pytest.mark.parametrize("more", [b'"n": 1', b'"n": [{"a": []}]', b'"n": "x"', b'"n": null'])
def test_fields_that_nobody_asked_for_do_not_hinder(tmp_path, more):
    fields, _ = SHAPES["pair"]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"p": "a", "c": "b", ' + more + b'}\n{"p": "a", "c": "b"}\n')
    (piece,) = pieces_of(path, fields)
    assert isinstance(piece, Placed)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pcx"), inner),
    max_leaves=5,
)
TEXTS = st.text(min_size=1, max_size=8)


@given(
    st.lists(
        st.fixed_dictionaries({"p": TEXTS, "c": TEXTS}, optional={"x": VALUES})
        | st.dictionaries(st.sampled_from("pcx"), VALUES),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
)
@example([{"p": "\x1f", "c": "\u200b"}, {"p": "a", "c": "\x00"}], True)
def test_any_objects_are_read_as_one_by_one(tmp_path_factory, objects, is_ascii):
    lines = [
        json.dumps(row, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass") for row in objects
    ]
    check(tmp_path_factory.getbasetemp() / "any.jsonl", SHAPES["pair"][0], lines)


def test_what_counts_as_blank_is_the_same_for_every_character():
    fields = FieldsSpec(text="t")
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000 and (code < 0x3100 or chr(code).isspace()):
            table = pa.table({"t": [chr(code)]})
            assert (conversations_of(table, fields) is None) == is_blank(chr(code)), hex(code)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_rows_are_read_all_at_once_unless_one_has_a_fault(tmp_path, kind):
    fields = {"prompt": "p", "completion": "c"}
    found = []
    for last in ("d", None):
        columns = {"p": pa.array(list("abcd"), kind), "c": pa.array(["a", "b", "c", last], kind)}
        pq.write_table(pa.table(columns), tmp_path / "x.parquet")
        file = file_at(tmp_path / "x.parquet", "parquet", fields=fields)
        (piece,) = parquet.read_pieces(file, 0, 1)
        assert isinstance(piece, Placed) == (last is not None)
        (block,) = cut_into_blocks([file])
        rows = pa.concat_tables(read_block(block)).to_pylist()
        found.append([row | {"seconds": None} for row in rows[:3]])
    assert found[0] == found[1]


def test_long_texts_in_parquet_end_a_batch_early(tmp_path):
    table = pa.table({"t": ["x" * (1 << 18)] * 63 + ["y" * (3 << 20)]})
    pq.write_table(table, tmp_path / "x.parquet")
    file = file_at(tmp_path / "x.parquet", "parquet", fields={"text": "t"})
    (block,) = cut_into_blocks([file])
    batches = list(read_block(block))
    assert sum(batch.num_rows for batch in batches) == 64 + 1
    assert all(batch.nbytes < 5 << 20 for batch in batches)
    lines = pa.concat_tables(batches)["line"].to_pylist()[:-1]
    assert lines == list(range(1, 65))

"""Every key of a message is used, or the row is rejected and the note names it."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.decoding import FaultError, parse_json
from loray.data.sources.files import find_files
from loray.data.sources.messages import turns_of_messages, without_padding
from tests.data.corpora import data_spec, source

ASK = {"role": "user", "content": "a"}
SAY = {"role": "assistant", "content": "b"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"n": 1}}}


def turns_in(*messages, **named):
    """Turns as pairs, of messages that went through JSON."""
    read = parse_json(json.dumps(messages))
    return [(turn["role"], turn["content"]) for turn in turns_of_messages(read, **named)]


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ({"content": "b", "reasoning_content": "r"}, [("reasoning", "r"), ("assistant", "b")]),
        ({"content": "b", "reasoning": "r", "thinking": "r"},
         [("reasoning", "r"), ("assistant", "b")]),
        ({"content": "b", "reasoning_content": " \n"}, [("assistant", "b")]),
        ({"content": "b", "name": "ada", "weight": 0},
         [("about", '{"name": "ada", "weight": 0}'), ("assistant", "b")]),
        ({"content": "b", "weight": 1}, [("assistant", "b")]),
        ({"content": ["b", {"type": "text", "text": "c"}]}, [("assistant", "bc")]),
        ({"content": None, "refusal": "no"}, [("assistant", "no")]),
        ({"content": None, "tool_calls": json.dumps([CALL])}, [("calls", json.dumps([CALL]))]),
        ({"content": " ", "tool_calls": [CALL]}, [("calls", json.dumps([CALL]))]),
        ({"content": None, "tool_calls": [{"name": "f", "arguments": '{"n": 1}'}]},
         [("calls", '[{"type": "function", "function": {"name": "f", "arguments": {"n": 1}}}]')]),
        ({"content": None, "function_call": {"name": "f", "arguments": ""}},
         [("calls", '[{"type": "function", "function": {"name": "f", "arguments": {}}}]')]),
        ({"content": "b", "audio": None, "annotations": [], "other": {}, "index": ""},
         [("assistant", "b")]),
    ],
)  # fmt: skip
def test_what_an_assistant_says_becomes_turns(message, wanted):
    answered = {"role": "assistant", **message}
    assert turns_in(ASK, answered, SAY)[1:-1] == wanted


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ({"role": "developer", "content": "d"}, ("system", "d")),
        ({"role": "function", "name": "f", "content": "7"},
         ("tool", '{"content": "7", "name": "f"}')),
        ({"role": "tool", "tool_call_id": "c", "content": ""},
         ("tool", '{"content": "", "tool_call_id": "c"}')),
        ({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "7"}]},
         ("tool", '{"content": "7", "tool_call_id": "c"}')),
    ],
)  # fmt: skip
def test_other_roles_become_turns(message, wanted):
    assert turns_in(message, SAY) == [wanted, ("assistant", "b")]


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        ({**SAY, "rating": 5}, "unknown_message_field", "'rating'"),
        ({**SAY, "train": False}, "unknown_message_field", "'train'"),
        ({**SAY, "audio": {"id": "x"}}, "unknown_message_field", "'audio'"),
        ({**SAY, "refusal": "no"}, "unknown_message_field", "'refusal'"),
        ({**ASK, "reasoning": "r"}, "unknown_message_field", "'reasoning'"),
        ({**ASK, "tool_calls": [CALL]}, "unknown_message_field", "'tool_calls'"),
        ({**SAY, "reasoning": "r", "thinking": "t"}, "bad_messages", "reasoning twice"),
        ({**SAY, "weight": 0.5}, "bad_messages", "'weight' is 0.5"),
        ({**SAY, "weight": True}, "bad_messages", "'weight' is true"),
        ({**SAY, "name": 7}, "field_not_text", "'name' is 7"),
        ({**SAY, "content": 7}, "field_not_text", "content is 7"),
        ({**SAY, "content": {"a": 1}}, "field_not_text", "content is an object"),
        ({**ASK, "content": [{"type": "image_url", "image_url": {}}]}, "content_not_text",
         "'image_url'"),
        ({**ASK, "content": [{"type": "input_audio"}]}, "content_not_text", "'input_audio'"),
        ({**SAY, "content": [{"type": "text", "text": "b", "bold": True}]}, "unknown_message_field",
         "'content.bold'"),
        ({**SAY, "content": [{"type": "tool_use", "name": "f", "input": {}}, "b"]}, "bad_messages",
         "order"),
        ({**SAY, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{n: 1}"}}]},
         "bad_arguments", "not JSON"),
        ({**SAY, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "[1]"}}]},
         "bad_arguments", "wanted an object"),
        ({**SAY, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": 7}}]},
         "bad_arguments", "wanted an object"),
        ({**SAY, "tool_calls": [{"id": "c", "function": {"arguments": {}}}]}, "bad_tools", "name"),
        ({**SAY, "tool_calls": [{**CALL, "type": "custom"}]}, "bad_tools", "'custom'"),
        ({**SAY, "tool_calls": [{**CALL, "cost": 1}]}, "unknown_message_field", "tool_calls.cost"),
        ({**SAY, "tool_calls": [CALL], "function_call": {"name": "f"}}, "bad_tools", "two places"),
        ({"role": "assistant", "content": None}, "missing_field", "no content"),
        ({"role": "critic", "content": "x"}, "unknown_role", "'critic'"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_named(message, reason, words):
    with pytest.raises(FaultError, match=reason) as caught:
        turns_in(ASK, message, SAY)
    assert caught.value.note.startswith("message 2: ")
    assert words in caught.value.note


def test_answers_of_weight_0_alone_are_no_answer():
    with pytest.raises(FaultError, match="no_answer"):
        turns_in(ASK, {**SAY, "weight": 0})


def test_the_spec_may_leave_out_keys():
    message = {**SAY, "timestamp": 7, "id": "m1"}
    assert turns_in(ASK, message, left_out=("id", "timestamp"))[1:] == [("assistant", "b")]
    with pytest.raises(FaultError, match="unknown_message_field"):
        turns_in(ASK, message, left_out=("id",))


def test_a_null_in_json_stays_and_one_that_pads_a_struct_goes():
    call = {"function": {"name": "f", "arguments": {"n": None}}}
    ((_, content),) = turns_in(ASK, {"role": "assistant", "tool_calls": [call]})[1:]
    assert json.loads(content)[0]["function"]["arguments"] == {"n": None}
    padded = {"a": None, "b": [{"c": None, "d": [None, 1]}]}
    assert without_padding(padded) == {"b": [{"d": [None, 1]}]}


def rows_in(tmp_path, **named) -> list[dict]:
    files = find_files(data_spec(source(tmp_path, **named)))
    batches = [batch for block in cut_into_blocks(files) for batch in read_block(block)]
    return [row for batch in batches for row in batch.to_pylist() if row["id"] is not None]


def test_parquet_teaches_no_null_that_arrow_put_there(tmp_path):
    def called(name, arguments):
        function = {"name": name, "arguments": arguments}
        call = {"id": "c", "type": "function", "function": function}
        return [ASK, {"role": "assistant", "content": None, "tool_calls": [call]}]

    def defined(name, **properties):
        parameters = {"type": "object", "properties": properties}
        return [{"type": "function", "function": {"name": name, "parameters": parameters}}]

    table = pa.table(
        {
            "messages": [called("weather", {"city": "Oslo"}), called("search", {"query": "x"})],
            "tools": [
                defined("weather", city={"type": "string"}),
                defined("search", query={"type": "string"}),
            ],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    fields = {"messages": "messages", "tools": "tools"}
    rows = rows_in(tmp_path, kind="parquet", fields=fields)
    assert [row["rejected_by"] for row in rows] == [None, None]
    assert not any("null" in turn["content"] for row in rows for turn in row["turns"])
    assert json.loads(rows[1]["turns"][-1]["content"])[0]["function"]["arguments"] == {"query": "x"}


@pytest.mark.parametrize("more", [{"reasoning": "r"}, {"rating": 5}, {"weight": 0}])
def test_lines_that_are_read_all_at_once_lose_no_key(tmp_path, more):
    """A column beside the messages is what lets Arrow leave out what nobody asked for."""
    rows = [{"messages": [ASK, {**SAY, **more}, ASK, SAY], "score": [n]} for n in range(3)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = rows_in(tmp_path, kind="jsonl", fields={"messages": "messages"})
    assert len(found) == 3
    for row in found:
        if more == {"rating": 5}:
            assert row["rejected_by"] == "unknown_message_field"
        else:
            assert {turn["role"] for turn in row["turns"]} & {"reasoning", "about"}

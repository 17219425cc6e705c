"""Rows as public datasets have them, the fields that name their columns, and the turns they are."""

from typing import Any, NamedTuple


class Shape(NamedTuple):
    """Rows of one shape."""

    fields: dict[str, Any]
    rows: list[dict[str, Any]]
    turns: list[list[tuple[str, str]]]
    """Of each row, role and content."""


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


CALL = '{"name": "weather", "arguments": {"city": "Oslo"}}'
SHAPES = {
    "question and answer": Shape(
        {"prompt": "question", "completion": "answer"},
        [{"question": "2+2?", "answer": "4", "id": 7}],
        [[("user", "2+2?"), ("assistant", "4")]],
    ),
    "alpaca": Shape(
        {"prompt": "{instruction}{?\n\n{input}}", "completion": "output"},
        [
            {"instruction": "Add.", "input": "1, 2", "output": "3"},
            {"instruction": "Say hello.", "input": "", "output": "Hello."},
            {"instruction": "Say bye.", "input": None, "output": "Bye."},
        ],
        [
            [("user", "Add.\n\n1, 2"), ("assistant", "3")],
            [("user", "Say hello."), ("assistant", "Hello.")],
            [("user", "Say bye."), ("assistant", "Bye.")],
        ],
    ),
    "alpaca with history and system": Shape(
        {"prompt": "instruction", "completion": "output", "history": "history", "system": "system"},
        [
            {
                "instruction": "And 3?",
                "output": "6",
                "history": [["Sum 1", "1"], ["Plus 2?", "3"]],
                "system": "Be brief.",
            },
            {"instruction": "Hi", "output": "Hello", "history": [], "system": ""},
        ],
        [
            [
                ("system", "Be brief."), ("user", "Sum 1"), ("assistant", "1"),
                ("user", "Plus 2?"), ("assistant", "3"), ("user", "And 3?"), ("assistant", "6"),
            ],
            [("user", "Hi"), ("assistant", "Hello")],
        ],
    ),
    "dolly": Shape(
        {"prompt": "{context}\n\nQuestion: {instruction}", "completion": "response"},
        [{"instruction": "Who?", "context": "Ada wrote it.", "response": "Ada"}],
        [[("user", "Ada wrote it.\n\nQuestion: Who?"), ("assistant", "Ada")]],
    ),
    "sharegpt": Shape(
        {"messages": "conversations", "format": "sharegpt"},
        [
            {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
            {
                "conversations": [
                    {"from": "system", "value": "s"},
                    {"from": "human", "value": "c"},
                    {"from": "gpt", "value": "d"},
                ]
            },
        ],
        [
            [("user", "a"), ("assistant", "b")],
            [("system", "s"), ("user", "c"), ("assistant", "d")],
        ],
    ),
    "sharegpt with a system column": Shape(
        {"messages": "conversations", "format": "sharegpt", "system": "system"},
        [
            {
                "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}],
                "system": "s",
            },
            {
                "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "c"}],
                "system": None,
            },
        ],
        [
            [("system", "s"), ("user", "a"), ("assistant", "b")],
            [("user", "a"), ("assistant", "c")],
        ],
    ),
    "custom keys and roles": Shape(
        {
            "messages": "dialog",
            "keys": {"role": "speaker", "content": "text"},
            "roles": {"user": ["customer"], "assistant": ["agent"]},
        },
        [{"dialog": [{"speaker": "customer", "text": "a"}, {"speaker": "agent", "text": "b"}]}],
        [[("user", "a"), ("assistant", "b")]],
    ),
    "conversational prompt and completion": Shape(
        {"prompt": "prompt", "completion": "completion"},
        [{"prompt": [user("a")], "completion": [assistant("b")]}],
        [[("user", "a"), ("assistant", "b")]],
    ),
    "messages beside a system column": Shape(
        {"messages": "messages", "system": "system"},
        [{"system": "Be brief.", "messages": [user("a"), assistant("b")]}],
        [[("system", "Be brief."), ("user", "a"), ("assistant", "b")]],
    ),
    "messages": Shape(
        {"messages": "messages"},
        [{"messages": [user("a"), assistant("b"), user("c"), assistant("d")]}],
        [[("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]],
    ),
    "title and body": Shape(
        {"text": "# {title}\n\n{body}"},
        [{"title": "T", "body": "B"}],
        [[("text", "# T\n\nB")]],
    ),
}  # fmt: skip
JSON_SHAPES = {
    "sharegpt with calls": Shape(
        {"messages": "conversations", "format": "sharegpt", "tools": "tools"},
        [
            {
                "tools": '[{"name": "weather"}]',
                "conversations": [
                    {"from": "human", "value": "Oslo?"},
                    {"from": "function_call", "value": CALL},
                    {"from": "observation", "value": "sunny"},
                    {"from": "gpt", "value": "It is sunny."},
                ],
            }
        ],
        [
            [
                ("tools", '[{"type": "function", "function": {"name": "weather"}}]'),
                ("user", "Oslo?"),
                ("calls", f'[{{"type": "function", "function": {CALL}}}]'),
                ("tool", '{"content": "sunny"}'),
                ("assistant", "It is sunny."),
            ]
        ],
    ),
    "conversations as JSON text": Shape(
        {"messages": "conversations", "format": "sharegpt"},
        [{"conversations": '[{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]'}],
        [[("user", "a"), ("assistant", "b")]],
    ),
    "a text prompt and a completion of messages": Shape(
        {"prompt": "prompt", "completion": "completion"},
        [{"prompt": "a", "completion": [assistant("b")]}],
        [[("user", "a"), ("assistant", "b")]],
    ),
}
"""Of JSON alone: Parquet pads the structs of a column with one another's keys."""

"""Made-up files of the shapes that people bring to `loray init`, each of some rows."""

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

NUM_ROWS = 24
ROOMS = ("red", "blue", "green")
ASKED = [f"How do I open box {at} in the {ROOMS[at % 3]} room?" for at in range(NUM_ROWS)]
ANSWERED = [f"Take key {at} from the drawer and turn it twice." for at in range(NUM_ROWS)]
Write = Callable[[Path], None]


class File(NamedTuple):
    """A file, or a folder of files, and how it is to be read."""

    name: str
    write: Write
    fields: list[dict[str, str]]
    """Of each source."""
    shown: str = "[[Take key"
    """What a row has when it is shown."""


def rows_of(row: Callable[[str, str], Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row(asked, answered) for asked, answered in zip(ASKED, ANSWERED, strict=True)]


def lines(row: Callable[[str, str], Mapping[str, Any]]) -> Write:
    return lambda path: _write_lines(path, rows_of(row))


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)


def table(row: Callable[[str, str], Mapping[str, Any]], delimiter: str = ",") -> Write:
    def write(path: Path) -> None:
        rows = rows_of(row)
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)

    return write


def parquet(row: Callable[[str, str], Mapping[str, Any]]) -> Write:
    return lambda path: pq.write_table(pa.Table.from_pylist(rows_of(row)), path)


def array(path: Path) -> None:
    path.write_text(json.dumps(rows_of(pair), indent=1))


def book(path: Path) -> None:
    path.write_text("\n\n".join(f"{a} {b}" for a, b in zip(ASKED, ANSWERED, strict=True)))


def mixed(folder: Path) -> None:
    folder.mkdir()
    lines(pair)(folder / "a.jsonl")
    table(lambda a, b: {"query": a + "!", "response": b})(folder / "b.csv")
    (folder / "README.md").write_text("About these files.")


def unlike(folder: Path) -> None:
    folder.mkdir()
    lines(pair)(folder / "a.jsonl")
    lines(lambda a, b: {"prompt": a + "!", "completion": b})(folder / "b.jsonl")


def pair(asked: str, answered: str) -> Mapping[str, Any]:
    return {"question": asked, "answer": answered}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def said(name: str, text: str) -> dict[str, str]:
    return {"from": name, "value": text}


def blocks(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def transcript(asked: str, answered: str) -> str:
    return f"\n\nHuman: {asked}\n\nAssistant: {answered}"


PAIR = {"prompt": "question", "completion": "answer"}
ALPACA = "{instruction}{?\n\n{input}}"
FILES = (
    File("pairs.jsonl", lines(pair), [PAIR]),
    File("pairs.jsonl.gz", lines(pair), [PAIR]),
    File("pairs.data", lines(pair), [PAIR]),
    File("array.json", array, [PAIR]),
    File("pairs.parquet", parquet(pair), [PAIR]),
    File("pairs.csv", table(pair), [PAIR]),
    File("pairs.tsv", table(pair, "\t"), [PAIR]),
    File("semicolons.csv", table(pair, ";"), [PAIR]),
    File(
        "any_names.jsonl",
        lines(lambda a, b: {"uid": str(hash(a)), "frage": a, "reaktion": b}),
        [{"prompt": "frage", "completion": "reaktion"}],
    ),
    File(
        "turned.jsonl",
        lines(lambda a, b: {"antwort": b, "zz": a}),
        [{"prompt": "zz", "completion": "antwort"}],
    ),
    File(
        "alpaca.jsonl",
        lines(
            lambda a, b: {
                "instruction": a, "input": "", "output": b, "history": [["Hi", "Hello"]],
                "system": "Be brief.",
            }
        ),
        [{"prompt": ALPACA, "completion": "output", "history": "history", "system": "system"}],
    ),
    File(
        "messages.jsonl",
        lines(lambda a, b: {"messages": [user(a), assistant(b)]}),
        [{"messages": "messages"}],
    ),
    File(
        "blocks.jsonl",
        lines(lambda a, b: {"messages": [blocks("user", a), blocks("assistant", b)]}),
        [{"messages": "messages"}],
    ),
    File(
        "sharegpt.jsonl",
        lines(lambda a, b: {"conversations": [said("human", a), said("gpt", b)]}),
        [{"messages": "conversations", "format": "sharegpt"}],
    ),
    File(
        "conversational.jsonl",
        lines(lambda a, b: {"prompt": [user(a)], "completion": [assistant(b)]}),
        [{"prompt": "prompt", "completion": "completion"}],
    ),
    File(
        "preferences.jsonl",
        lines(lambda a, b: {"prompt": a, "chosen": b, "rejected": "No."}),
        [{"prompt": "prompt", "completion": "chosen"}],
    ),
    File(
        "lima.parquet",
        parquet(lambda a, b: {"conversations": [a, b]}),
        [{"messages": "conversations", "format": "alternating"}],
    ),
    File(
        "capybara.jsonl",
        lines(lambda a, b: {"source": "x", "conversation": [{"input": a, "output": b}]}),
        [{"messages": "conversation", "format": "pairs"}],
    ),
    File(
        "hh.csv",
        table(lambda a, b: {"chosen": transcript(a, b), "rejected": transcript(a, "No.")}),
        [{"messages": "chosen", "format": "transcript"}],
    ),
    File(
        "labels.csv",
        table(lambda a, _: {"text": a, "intent": ROOMS[ASKED.index(a) % 3]}),
        [{"prompt": "text", "completion": "intent"}],
        shown="[[green",
    ),
    File(
        "raw.jsonl", lines(lambda a, b: {"text": a + b, "url": "x"}), [{"text": "text"}], shown="[["
    ),
    File("book.txt", book, [{"text": "text"}], shown="[["),
    File("mixed", mixed, [PAIR, {"prompt": "query", "completion": "response"}]),
    File("unlike", unlike, [PAIR, {"prompt": "prompt", "completion": "completion"}]),
)  # fmt: skip


class Refused(NamedTuple):
    """A file that nothing can be made of, and what is said of it."""

    name: str
    write: Write
    words: str


def encoded(encoding: str) -> Write:
    return lambda path: path.write_bytes(
        "question,answer\nGr\u00f6\u00dfe?,gro\u00df\n".encode(encoding)
    )


REFUSED = (
    Refused(
        "tldr.jsonl",
        lines(lambda a, b: {"title": f"On {a}", "about": a, "example": b}),
        "3 columns hold text (title, about, example), and the names do not say which asks",
    ),
    Refused(
        "numbers.csv",
        table(lambda a, _: {"text": a, "label": len(a) % 3}),
        "column 'label' holds numbers; wanted words",
    ),
    Refused("latin.csv", encoded("latin-1"), "iconv -f WINDOWS-1252 -t UTF-8"),
    Refused("utf16.csv", encoded("utf-16"), "iconv -f UTF-16LE"),
    Refused(
        "squad.jsonl",
        lines(lambda a, b: {"question": a, "answers": {"text": [b]}}),
        "only 'question' holds text that could be learned (answers holds objects)",
    ),
    Refused(
        "seeds.jsonl",
        lines(lambda a, b: {"instruction": a, "instances": [{"input": "", "output": b}]}),
        "column 'instances' holds lists of {input, output} beside the text of 'instruction'",
    ),
    Refused(
        "tree.jsonl",
        lines(lambda a, b: {"prompt": {"text": a, "replies": [b]}}),
        "column 'prompt' holds objects; wanted text or messages",
    ),
    Refused(
        "message_a_row.jsonl",
        lines(lambda a, _: {"message_id": a, "role": "prompter", "text": a}),
        "a row seems to be one message, not a conversation",
    ),
    Refused("brace.jsonl", lines(lambda a, b: {"a{b}": a, "c": 7, "d": [b]}), "holds a brace"),
    Refused(
        "headless.csv",
        lambda path: path.write_text("3,How?,So.\n4,Why?,Because.\n") and None,
        "its first line holds '3'; wanted the names of the columns",
    ),
    Refused(
        "nested.json",
        lambda path: path.write_text(json.dumps({"data": rows_of(pair)})) and None,
        "column 'data' holds objects; if these are the rows, write them as one list",
    ),
    Refused("empty.jsonl", lambda path: path.write_text("") and None, "nothing but empty files"),
    Refused(
        "chats.csv",
        table(lambda a, b: {"messages": json.dumps([user(a), assistant(b)])}),
        "holds messages as JSON text, which are not read of CSV",
    ),
)

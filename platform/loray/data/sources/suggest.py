"""Which `fields` a corpus seems to have, by the names and the values of its first rows.

A suggestion for `loray init` to write down, where a person sees it; a run never guesses.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from loray.data.sources import delimited, parquet
from loray.data.sources.decoding import FaultError, Number, parse_json
from loray.data.sources.files import SourceFile
from loray.data.sources.forms import read_head
from loray.data.sources.samples import NUM_ROWS, first_json_records
from loray.data.sources.streams import open_arrow_file
from loray.spec.fields import OPENAI_KEYS, SHAREGPT_KEYS, FieldsSpec
from loray.spec.local_files import list_local
from loray.spec.sources import (
    CsvSource,
    JsonlSource,
    ParquetSource,
    Source,
    TextSource,
    is_read_of_folder,
)
from loray.spec.yaml12 import flow_mapping

if TYPE_CHECKING:
    from loray.data.sources.records import Found

Kind = Literal["jsonl", "parquet", "csv", "text"]
PAIRS = (
    ("prompt", "completion"), ("prompt", "response"), ("question", "answer"),
    ("instruction", "output"), ("instruction", "response"), ("instruction", "completion"),
    ("query", "response"), ("query", "answer"), ("question", "response"), ("prompt", "answer"),
    ("problem", "solution"), ("input", "output"), ("input", "target"), ("source", "target"),
    ("user", "assistant"), ("human", "assistant"), ("prompt", "output"), ("prompt", "chosen"),
    ("article", "highlights"), ("article", "summary"), ("document", "summary"),
    ("dialogue", "summary"), ("text", "summary"), ("text", "label"), ("sentence", "label"),
    ("text", "category"),
)  # fmt: skip
"""Names of a question and its answer in public sets, the likeliest first."""
BESIDE = {"instruction": ("input", "context"), "question": ("context",), "prompt": ("context",)}
"""Columns that go on with a question where they are not blank."""
SYSTEMS = ("system", "system_prompt")
TEXTS = ("text", "content", "document")
_PLACEHOLDER = FieldsSpec(text="text")


@dataclass
class Suggestion:
    """What a corpus seems to be."""

    kind: Kind
    columns: list[str]
    fields: dict[str, str] | None = None
    """By the names that `fields` has in a spec; None where the names say nothing."""
    delimiter: str = ","
    notes: list[str] = field(default_factory=list)
    """What else was found; a sentence each."""

    @property
    def written(self) -> str:
        """The fields as YAML has them, on one line."""
        return flow_mapping(self.fields or {})


def suggest(uri: str) -> Suggestion | None:
    """What the files at `uri` seem to be; None where there are none on local disk.

    Raises:
        SourceError: a file cannot be read as what its name says.
        OSError: it cannot be read at all.
    """
    found = None if "://" in uri else _first_file(uri)
    if found is None:
        return None
    kind, file = found
    if kind == "text":
        return Suggestion(kind, [])
    if isinstance(file.source, CsvSource):
        file = _with_delimiter(file)
    rows = list(islice(_records(file), NUM_ROWS))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    suggestion = Suggestion(kind, columns)
    if isinstance(file.source, CsvSource):
        suggestion.delimiter = file.source.delimiter
    usable = [name for name in columns if not {"{", "}"} & set(name)]
    suggestion.fields = _fields({name: _kinds(rows, name) for name in usable})
    if {"chosen", "rejected"} <= set(columns):
        suggestion.notes.append("the rows are preference pairs; only the chosen answer is learned")
    if "text" in (suggestion.fields or {}) and len(columns) > 1:
        suggestion.notes.append("raw text is learned whole, and no other column with it")
    return suggestion


def _first_file(uri: str) -> tuple[Kind, SourceFile] | None:
    """The first file that is not empty, of the first kind that has any."""
    sources: dict[Kind, Source] = {
        "jsonl": JsonlSource(kind="jsonl", uri=uri, fields=_PLACEHOLDER),
        "parquet": ParquetSource(kind="parquet", uri=uri, fields=_PLACEHOLDER),
        "csv": CsvSource(kind="csv", uri=uri, fields=_PLACEHOLDER),
        "text": TextSource(kind="text", uri=uri),
    }
    for kind, source in sources.items():
        for name, path, size, mtime_ns in list_local(source).files:
            if size and _is_of(path, kind):
                return kind, SourceFile("data", name, source, path, size, mtime_ns)
    return None


def _is_of(path: str, kind: Kind) -> bool:
    name = path.rpartition("/")[2].lstrip("._")
    return is_read_of_folder(name, kind)


def _with_delimiter(file: SourceFile) -> SourceFile:
    """The file with what most often parts the words of its first line."""
    line = read_head(file).partition(b"\n")[0].decode("utf-8", "replace")
    delimiter = max(",\t;|", key=line.count)
    source = CsvSource(kind="csv", uri=file.source.uri, fields=_PLACEHOLDER, delimiter=delimiter)
    return SourceFile(file.label, file.name, source, file.path, file.size, file.mtime_ns)


def _records(file: SourceFile) -> Iterator[Mapping[str, Any]]:
    if isinstance(file.source, ParquetSource):
        yield from _of_parquet(file)
        return
    if isinstance(file.source, CsvSource):
        found: Iterator[Found] = delimited.read_records(file, file.source)
    else:
        found = first_json_records(file)
    for one in found:
        if not isinstance(one.record, FaultError):
            yield one.record


def _of_parquet(file: SourceFile) -> Iterator[Mapping[str, Any]]:
    try:
        with open_arrow_file(file) as stream:
            for batch in islice(pq.ParquetFile(stream).iter_batches(NUM_ROWS), 1):
                yield from batch.to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise parquet.unreadable(file, error) from error


def _kinds(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """What the values of a column are; `text`, `messages`, `sharegpt`, `history` or `other`."""
    kinds = {_kind_of(row[name]) for row in rows if row.get(name) not in (None, "", [])}
    return kinds.pop() if len(kinds) == 1 else "text" if not kinds else "other"


def _kind_of(value: object) -> str:
    if isinstance(value, str) and not isinstance(value, Number):
        inner = _parsed(value) if value.lstrip().startswith("[") else None
        return _kind_of(inner) if isinstance(inner, list) and inner else "text"
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        for kind, keys in (("messages", OPENAI_KEYS), ("sharegpt", SHAREGPT_KEYS)):
            if all(keys[0] in item for item in value) and any(keys[1] in item for item in value):
                return kind
    if isinstance(value, list) and all(isinstance(item, list) for item in value):
        return "history"
    return "other"


def _parsed(text: str) -> object:
    try:
        return parse_json(text)
    except ValueError:
        return None


def _fields(kinds: Mapping[str, str]) -> dict[str, str] | None:
    """The fields, from the kind of each column."""
    fields = _pair(kinds) or _messages(kinds)
    if fields is None:
        text = None if "role" in kinds else _named(kinds, TEXTS, "text")  # a message a row
        return None if text is None else {"text": text}
    more = {"system": _named(kinds, SYSTEMS, "text")}
    if "prompt" in fields:
        more["history"] = _named(kinds, ("history",), "history")
    else:
        more["tools"] = _named(kinds, ("tools",))
    return fields | {name: column for name, column in more.items() if column is not None}


def _messages(kinds: Mapping[str, str]) -> dict[str, str] | None:
    for kind, more in (("messages", {}), ("sharegpt", {"format": "sharegpt"})):
        columns = [name for name, found in kinds.items() if found == kind]
        if columns:
            best = [name for name in columns if name in ("messages", "conversations")]
            return {"messages": (best or columns)[0], **more}
    return None


def _pair(kinds: Mapping[str, str]) -> dict[str, str] | None:
    for asked, answered in PAIRS:
        prompt, completion = (_named(kinds, (name,)) for name in (asked, answered))
        if prompt is None or completion is None:
            continue
        said = {kinds[prompt], kinds[completion]}
        is_whole = kinds[prompt] == "text" != kinds[completion]  # a chat, its question included
        if is_whole or not said <= {"text", "messages", "sharegpt"}:
            continue
        fields = {"prompt": prompt, "completion": completion}
        beside = _named(kinds, BESIDE.get(asked, ()), "text")
        if beside is not None and beside != completion and kinds[prompt] == "text":
            fields["prompt"] = f"{{{prompt}}}{{?\n\n{{{beside}}}}}"
        return fields | ({"format": "sharegpt"} if "sharegpt" in said else {})
    return None


def _named(kinds: Mapping[str, str], names: Iterable[str], kind: str | None = None) -> str | None:
    """A column of one of the names, in capitals or not."""
    wanted = list(names)
    for column, found in kinds.items():
        if column.lower() in wanted and kind in (None, found):
            return column
    return None

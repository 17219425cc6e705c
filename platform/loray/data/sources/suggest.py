"""What files on local disk seem to hold: their kind, their columns, and how rows can be read.

A suggestion for `loray init` to write down, where a person sees it; a run never guesses.
"""

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from loray.data.sources import delimited, parquet
from loray.data.sources.columns_seen import ColumnSeen, columns_of
from loray.data.sources.decoding import FaultError
from loray.data.sources.files import SourceFile
from loray.data.sources.forms import HEAD_BYTES, form_of, read_head
from loray.data.sources.readings import Readings, readings_of
from loray.data.sources.samples import NUM_ROWS, first_json_records
from loray.data.sources.streams import open_arrow_file
from loray.errors import SourceError
from loray.spec.fields import FieldsSpec
from loray.spec.local_files import WILDCARDS, list_local
from loray.spec.sources import (
    CsvSource,
    JsonlSource,
    ParquetSource,
    Source,
    TextSource,
    is_read_of_folder,
)

if TYPE_CHECKING:
    from loray.data.sources.records import Found

Kind = Literal["jsonl", "parquet", "csv", "text"]
KINDS: tuple[Kind, ...] = ("jsonl", "parquet", "csv", "text")
NUM_FILES = 8
"""Files of a kind that are looked at first; of unlike ones all are."""
MOST_PARTS = 64
"""More files of unlike shapes are not listed one by one."""
MANY_LINES = 0.1
"""Share of lines in another encoding from which on a file is refused."""
MAX_NAME_CHARS = 100
_PLACEHOLDER = FieldsSpec(text="text")
_LATIN = (
    "wanted UTF-8; it may be Latin-1 or Windows-1252: convert it: iconv -f WINDOWS-1252 -t UTF-8 "
    "< OLD > NEW"
)


@dataclass
class Part:
    """Files of one kind whose rows are read alike: a source of a spec."""

    uri: str
    kind: Kind
    columns: list[ColumnSeen] = field(default_factory=list)
    readings: Readings = field(default_factory=Readings)
    delimiter: str = ","
    num_files: int = 1
    notes: list[str] = field(default_factory=list)
    """What else was found; a sentence each."""

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]


def suggest(uri: str) -> list[Part]:
    """What the files at `uri` seem to be; empty where there are none on local disk.

    Raises:
        SourceError: a file cannot be read as what its name says, or there are too many that are
            unlike.
        OSError: it cannot be read at all.
    """
    if "://" in uri:
        return []
    by_kind = {kind: files for kind in KINDS if (files := _files_of(uri, kind))}
    texts = by_kind.pop("text", [])
    is_glob = bool(WILDCARDS & set(uri)) and not Path(uri).exists()
    if not by_kind:
        return [_of_text(uri, texts)] if texts else []
    is_apart = is_glob and len(by_kind) > 1
    parts = [
        part
        for kind, files in by_kind.items()
        for part in _parts(kind, files, uri, is_apart=is_apart)
    ]
    if texts:
        names = ", ".join(file.name for file in texts[:3])
        parts[0].notes.append(f"{names}: text beside data is not read; name it to have it learned")
    return parts


def _files_of(uri: str, kind: Kind) -> list[SourceFile]:
    """The files at `uri` that are of a kind, by their names, or by how they begin."""
    source = _source_of(uri, kind)
    is_folder = Path(uri).is_dir()
    return [
        file
        for name, path, size, mtime_ns in list_local(source).files
        for file in [SourceFile("data", name, source, path, size, mtime_ns)]
        if size and (is_folder or _kind_of(file) == kind)
    ]


def _source_of(uri: str, kind: Kind, delimiter: str = ",") -> Source:
    match kind:
        case "jsonl":
            return JsonlSource(kind=kind, uri=uri, fields=_PLACEHOLDER)
        case "parquet":
            return ParquetSource(kind=kind, uri=uri, fields=_PLACEHOLDER)
        case "csv":
            return CsvSource(kind=kind, uri=uri, fields=_PLACEHOLDER, delimiter=delimiter)
        case "text":
            return TextSource(kind=kind, uri=uri)


def _kind_of(file: SourceFile) -> Kind:
    """By the name of a file; by how it begins, where that says nothing."""
    name = file.path.rpartition("/")[2].lstrip("._")
    named = next((kind for kind in KINDS if is_read_of_folder(name, kind)), None)
    if named is not None:
        return named
    head = read_head(replace(file, source=_source_of(file.source.uri, "jsonl")))
    if head.startswith(b"PAR1"):
        return "parquet"
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith((b"{", b"[")):
        return "jsonl"
    lines = text.splitlines()[:5]
    return "csv" if len(lines) > 1 and _delimiter_of(lines) else "text"


def _delimiter_of(lines: Sequence[bytes]) -> str | None:
    """What parts the words of every line into as many."""
    for delimiter in ",\t;|":
        counts = {line.count(delimiter.encode()) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return delimiter
    return None


def _of_text(uri: str, files: Sequence[SourceFile]) -> Part:
    part = Part(uri, "text", num_files=len(files))
    for file in files[:NUM_FILES]:
        form_of(file)
        part.notes += _encoding_notes(file)
    return part


def _parts(kind: Kind, files: Sequence[SourceFile], uri: str, *, is_apart: bool) -> Iterator[Part]:
    """One part of files that are alike, else one of each."""
    looked = [_look_at(kind, file) for file in files[:: max(-(-len(files) // NUM_FILES), 1)]]
    if not is_apart and all(_is_alike(part, looked[0]) for part in looked):
        first = looked[0]
        notes = list(dict.fromkeys(note for part in looked for note in part.notes))
        yield replace(first, uri=uri, notes=notes, num_files=len(files))
        return
    if len(files) > MOST_PARTS:
        raise SourceError(
            f"{uri}: found {len(files)} files of unlike columns; wanted some that are alike; name "
            "the folders or globs of those that are, one by one"
        )
    for file in files:
        yield replace(_look_at(kind, file), uri=_path_of(file, uri))


def _is_alike(part: Part, other: Part) -> bool:
    best, others = part.readings.best, other.readings.best
    fields, wanted = best and best.fields, others and others.fields
    return fields == wanted and part.delimiter == other.delimiter


def _path_of(file: SourceFile, uri: str) -> str:
    """As the user named it: below the folder, or relative to here."""
    return file.path if Path(uri).is_absolute() else _below(file.path)


def _below(path: str) -> str:
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _look_at(kind: Kind, file: SourceFile) -> Part:
    notes = [] if kind == "parquet" else _encoding_notes(file)
    delimiter = ","
    if kind == "csv":
        lines = read_head(file).splitlines()[:1]
        delimiter = max(",\t;|", key=(lines or [b""])[0].decode("utf-8", "replace").count)
        file = replace(file, source=_source_of(file.source.uri, "csv", delimiter))
    rows = list(islice(_records(file), NUM_ROWS))
    columns = columns_of(rows)
    if kind == "csv":
        _refuse_without_header(file, columns, len(rows))
    if not rows:
        raise SourceError(f"{file.path}: found no row that can be read; check how it was written")
    readings = readings_of(columns)
    best = readings.best
    if kind == "csv" and best is not None and "messages" in best.fields:
        is_said = best.fields.get("format") == "transcript"
        what = f"column {best.fields['messages']!r} holds messages as JSON text"
        why = f"{what}, which are not read of CSV; write the rows as JSON Lines"
        readings = readings if is_said else Readings(why_not=why)
    return Part(file.source.uri, kind, columns, readings, delimiter, notes=notes)


def _encoding_notes(file: SourceFile) -> list[str]:
    """What to know of bytes that are not UTF-8.

    Raises:
        SourceError: much of the file is in another encoding.
    """
    form_of(file)  # refuses UTF-16 and other formats
    head = read_head(file)
    if len(head) == HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1] or head[:-4]
    lines = head.splitlines()
    odd = [number for number, line in enumerate(lines, start=1) if not _is_utf8(line)]
    if not odd:
        return []
    found = f"{file.path}: found bytes that are not UTF-8 on line {odd[0]}"
    if len(odd) > MANY_LINES * len(lines) or (odd[0] == 1 and isinstance(file.source, CsvSource)):
        raise SourceError(f"{found}; {_LATIN}")
    return [f"{found} and {len(odd) - 1} more, which would be put aside; {_LATIN}"]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _refuse_without_header(file: SourceFile, columns: Sequence[ColumnSeen], num_rows: int) -> None:
    """Refuse a file whose first line seems to hold a row.

    Raises:
        SourceError: it has no header.
    """
    names = [column.name for column in columns]
    odd = [name for name in names if len(name) > MAX_NAME_CHARS or name.strip().isdecimal()]
    if odd or (num_rows and not any(name.strip() for name in names)):
        raise SourceError(
            f"{file.path}: its first line holds {(odd or names)[0][:40]!r}; wanted the names of "
            "the columns; put a line with names before it, such as: text,label"
        )


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

"""What a file is by its first bytes: its encoding, and whether its JSON is one document or lines.

What cannot be read as the source's kind is refused once for the file, with the remedy, before a
row is read; it would else be a fault in every line.
"""

import json
from typing import TYPE_CHECKING, Literal

from loray.data.sources.decoding import BYTE_ORDER_MARK
from loray.data.sources.streams import TornError, is_compressed, read_chunks
from loray.errors import SourceError
from loray.spec.sources import JsonlSource, TextSource

if TYPE_CHECKING:
    from loray.data.sources.files import SourceFile

HEAD_BYTES = 64 << 10
MOST_NULS = 0.2
"""Share of NUL bytes from which on a file is no text."""
Form = Literal["lines", "document"]

_ENCODINGS = {  # the longer marks first, since one begins with another
    b"\xff\xfe\0\0": "UTF-32LE",
    b"\0\0\xfe\xff": "UTF-32BE",
    b"\xff\xfe": "UTF-16LE",
    b"\xfe\xff": "UTF-16BE",
}
_FORMATS = {
    b"\x1f\x8b": ("compressed with gzip", "give it a name that ends in .gz"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "give it a name that ends in .zst"),
    b"PK\x03\x04": ("a ZIP archive", "unpack it"),
    b"BZh": ("compressed with bzip2", "unpack it, or compress it with gzip or zstd"),
    b"\xfd7zXZ\0": ("compressed with xz", "unpack it, or compress it with gzip or zstd"),
    b"PAR1": ("a Parquet file", "set kind: parquet"),
    b"ARROW1": ("an Arrow file", "write it as Parquet"),
    b"SQLite format 3\0": ("a SQLite database", "write its rows as JSON Lines"),
    b"%PDF-": ("a PDF document", "write its text as UTF-8"),
    b"version https://git-lfs": ("a pointer of Git LFS", "fetch the file itself: git lfs pull"),
}
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How gzip and zstd begin. Source: RFC 1952 and RFC 8878."""
_PAGES = (b"<!doctype html", b"<html")
_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def form_of(file: "SourceFile") -> Form:
    """Whether the file is read by lines, or as one JSON document.

    Raises:
        SourceError: it is in another encoding or format than the source's kind.
        OSError: it cannot be read.
    """
    head = read_head(file)
    if fault := _fault_of(file, head):
        raise SourceError(f"{file.key} at {file.path}: {fault}")
    is_whole = len(head) < HEAD_BYTES
    if isinstance(file.source, JsonlSource) and _is_document(head, is_whole=is_whole):
        return "document"
    if _has_old_line_ends(file, head):
        raise SourceError(
            f"{file.key} at {file.path}: found lines that end in a carriage return alone, as on "
            "old Macs; wanted a newline; convert it: tr '\\r' '\\n' < OLD > NEW"
        )
    return "lines"


def read_head(file: "SourceFile") -> bytes:
    """The first bytes of the text, decompressed; fewer where the file ends or is torn."""
    head = b""
    try:
        for chunk in read_chunks(file, 0, HEAD_BYTES):
            head += chunk
            if len(head) >= HEAD_BYTES:
                break
    except TornError:
        pass
    return head[:HEAD_BYTES]


def _fault_of(file: "SourceFile", head: bytes) -> str | None:
    """Why the file is no text in UTF-8; found, wanted, what to do."""
    for mark, name in _ENCODINGS.items():
        if head.startswith(mark):
            return _encoded(name, f"text in {name} (by its byte order mark)")
    if found := format_of(head):
        return f"found {found[0]}; wanted kind: {file.source.kind}; {found[1]}"
    if not isinstance(file.source, TextSource) and head[:20].lower().startswith(_PAGES):
        return f"found an HTML page; wanted kind: {file.source.kind}; download the file again"
    if head.count(0) > MOST_NULS * max(len(head), 1):
        return _encoded("UTF-16", "NUL bytes, as UTF-16 without a byte order mark has them")
    if not head and file.size and is_compressed(file.path) and not _is_torn(file):
        return "found nothing that can be decompressed; wanted what its name says; rename it"
    return None


def _is_torn(file: "SourceFile") -> bool:
    """Whether a file begins as its name says; then its rows are lost, and counted as such."""
    with file.filesystem().open_input_stream(file.path, compression=None) as stream:
        begin: bytes = stream.read(4)
    return begin.startswith(_COMPRESSED)


def format_of(head: bytes) -> tuple[str, str] | None:
    """What a file is that begins so, and what to do; None where that is not known."""
    return next((found for mark, found in _FORMATS.items() if head.startswith(mark)), None)


def _encoded(name: str, found: str) -> str:
    return f"found {found}; wanted UTF-8; convert it: iconv -f {name} -t UTF-8 < OLD > NEW"


def _has_old_line_ends(file: "SourceFile", head: bytes) -> bool:
    is_whole_text = isinstance(file.source, TextSource) and file.source.per == "file"
    return not is_whole_text and b"\n" not in head and b"\r" in head.strip()


def _is_document(head: bytes, *, is_whole: bool) -> bool:
    """Whether JSON goes on over lines, or is one array on one line.

    A line that holds a whole value is a line, though the value be an array, if others follow.
    """
    text = head.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace").lstrip()
    if not text.startswith(("[", "{")):
        return False
    try:
        _, end = _SCANNER.raw_decode(text)
    except (ValueError, RecursionError):
        return _goes_on(text, is_whole=is_whole)
    if "\n" in text[:end] or "\r" in text[:end].strip():
        return True
    is_last = is_whole and not text[end:].strip()
    return text.startswith("[") and is_last and not _is_of_scalars(text)


def _goes_on(text: str, *, is_whole: bool) -> bool:
    """The same of a first value that is cut off or damaged."""
    first, newline, rest = text.partition("\n") if "\n" in text else text.partition("\r")
    follows = rest.lstrip()[:1]
    if first.startswith("{"):
        return first.strip() == "{" and follows == '"'
    inner = first[1:].strip()
    if not inner:
        return follows in ("{", "[", "]", '"')
    ends = inner.rstrip(",").endswith("}")
    return inner.startswith("{") and (ends or not (newline and is_whole))


def _is_of_scalars(text: str) -> bool:
    """Whether an array is a row of values, as on a line, rather than a list of rows."""
    return not text[1:].lstrip().startswith(("{", "[", "]"))

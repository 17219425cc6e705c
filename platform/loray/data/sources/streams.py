"""A file's bytes: opened with a deadline where a server may stall, decompressed by its name.

A stalled server is no error to pyarrow for minutes, whatever its timeouts say: they hold for one
attempt, and attempts are repeated. So each call that waits for a server runs in a thread of its
own, and is given up when the source's `stall_seconds` are over.
"""

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from loray.spec.sources import COMPRESSED

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from loray.data.sources.files import SourceFile

CHUNK_BYTES = 4 << 20
REST_BYTES = 64 << 10
"""Read at once beyond the part that is wanted, where its last line goes on."""
GZIP = 31
"""`wbits` of zlib for a gzip stream, header and checksum included."""

T = TypeVar("T")


class TornError(Exception):
    """A compressed stream ends early or is damaged; raised here, answered with a marked line."""


class StalledError(OSError):
    """A server gave no answer in time."""


def is_compressed(path: str) -> bool:
    """Whether a file of this name is read through a decompressor."""
    return path.lower().endswith(COMPRESSED)


def within(seconds: float | None, call: Callable[[], T]) -> T:
    """The result of `call`, unless it takes longer; with None, it may take any time.

    Raises:
        StalledError: the time is over; the call is left to itself.
    """
    if seconds is None:
        return call()
    answers: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            answers.put((None, error))

    Thread(target=ask, daemon=True, name="loray-source").start()
    try:
        result, error = answers.get(timeout=seconds)
    except Empty:
        raise StalledError(
            f"no answer within {seconds:g} seconds; see to the server, or raise s3.stall_seconds"
        ) from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


class TimedFile(io.RawIOBase):
    """A file of a pyarrow file system, each of its reads under a deadline."""

    def __init__(self, file: "SourceFile") -> None:
        self._seconds = file.stall_seconds
        self._size = file.size
        self._inner = within(self._seconds, lambda: file.filesystem().open_input_file(file.path))
        self.fault: OSError | None = None
        """What reading ran into, which a decompressor around this would take for its own."""

    def read(self, size: int = -1) -> bytes:
        """As of any file."""
        try:
            data: bytes = within(self._seconds, lambda: self._inner.read(size))
        except OSError as error:
            self.fault = error
            raise
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        self._inner.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        """As of any file."""
        return int(self._inner.tell())

    def size(self) -> int:
        """Bytes, as they were when the file was found."""
        return self._size

    def readable(self) -> bool:
        """As of any file."""
        return True

    def seekable(self) -> bool:
        """As of any file."""
        return True

    def close(self) -> None:
        """As of any file."""
        if not self.closed:
            self._inner.close()
        super().close()


def open_arrow_file(file: "SourceFile") -> "AbstractContextManager[pa.NativeFile]":
    """The file as pyarrow's own readers want it."""
    opened: AbstractContextManager[pa.NativeFile] = pa.PythonFile(TimedFile(file), mode="r")
    return opened


def read_chunks(file: "SourceFile", start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The bytes of a file from `start` on, a bounded piece at a time, decompressed.

    Args:
        end: up to where they are surely wanted; beyond it, pieces are small. The file's end if
            not given.

    Raises:
        TornError: a compressed file ends early or is damaged.
        OSError: the file cannot be read.
    """
    with TimedFile(file) as stream:
        stream.seek(start)
        if file.path.lower().endswith(".gz"):
            yield from gunzip(_chunks(stream))
        elif file.path.lower().endswith(".zst"):
            yield from _unzstd(stream)
        else:
            wanted = (file.size if end is None else end) - start + REST_BYTES
            while chunk := stream.read(min(CHUNK_BYTES, wanted) if wanted > 0 else REST_BYTES):
                wanted -= len(chunk)
                yield chunk


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress one or several gzip members, a bounded piece at a time.

    Raises:
        TornError: the stream ends within a member, or a checksum is wrong.
    """
    member = zlib.decompressobj(GZIP)
    is_empty = True
    for chunk in chunks:
        rest = chunk
        while rest:
            if member.eof:
                rest = rest.lstrip(b"\0")  # padding between members, as tar writes it
                if not rest:
                    break
                member = zlib.decompressobj(GZIP)
            try:
                piece = member.decompress(rest, CHUNK_BYTES)
            except zlib.error as error:
                raise TornError from error
            is_empty = False
            rest = member.unused_data if member.eof else member.unconsumed_tail
            yield piece
    if is_empty or not member.eof:
        raise TornError


def _unzstd(stream: TimedFile) -> Iterator[bytes]:
    """Zstandard frames through pyarrow, which bounds what a piece may grow to."""
    if stream.size() == 0:
        raise TornError
    try:
        with pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd") as inner:
            yield from _chunks(inner)
    except OSError as error:
        if stream.fault is not None:
            raise stream.fault from error
        raise TornError from error


def _chunks(stream: io.RawIOBase) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk

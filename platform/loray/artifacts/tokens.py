"""The form of a dataset's training sequences: Arrow files of a bounded number of tokens.

`tokens/part-00000.arrow`, ... hold sequences in a seeded order, so that any part is a sample of all
of them; `tokens/index.json` says how many are in each. A reader opens a part when its first
sequence is asked for: in place where the files are local, and otherwise in a copy that is fetched
ahead of its use and deleted after it, so that a dataset may be larger than a worker's disk.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from loray.artifacts.filesystem import open_filesystem
from loray.artifacts.scratch import ScratchFolder
from loray.errors import DatasetError
from loray.spec.base import StrictModel

INDEX_NAME = "index.json"
IDS = pa.list_(pa.int32())
TOKENS = pa.schema(
    [("input_ids", IDS), ("labels", IDS), ("positions", IDS), ("row_ids", pa.list_(pa.string()))]
)
COPIES_KEPT = 3
"""Copies of remote parts on disk: the one in use, the one before a step's edge, the next."""


class Part(StrictModel):
    """One file of sequences."""

    file: str
    sequences: int
    tokens: int
    sha256: str


class TokenIndex(StrictModel):
    """All files, in the order of their sequences."""

    parts: tuple[Part, ...]


class TokenParts:
    """The training sequences of a dataset, numbered through all parts."""

    def __init__(self, location: str) -> None:
        """Read the index.

        Args:
            location: the dataset's `tokens` folder, a local path or `s3://bucket/prefix`.

        Raises:
            DatasetError: there is no index, or it is damaged.
        """
        self._location = location
        self._fs, self._base = open_filesystem(location)
        self.index = self._read_index()
        self.sizes = tuple(part.sequences for part in self.index.parts)
        """Sequences in each part."""
        self._first = np.cumsum([0, *self.sizes])
        self._open: dict[int, _OpenPart] = {}  # the last one used comes last
        self._copies = _Copies(self) if "://" in location else None

    def __len__(self) -> int:
        return int(self._first[-1])

    def sequence(self, number: int) -> dict[str, np.ndarray]:
        """`input_ids`, `labels` and `positions` of one sequence, int64, of equal length."""
        at = self._part_of(number)
        batch, row = self._opened(at).find(number - int(self._first[at]))
        return {
            name: batch.column(name)[row].values.to_numpy().astype(np.int64)
            for name in ("input_ids", "labels", "positions")
        }

    def row_ids(self, number: int) -> list[str]:
        """The rows that a sequence is made of, in order."""
        at = self._part_of(number)
        batch, row = self._opened(at).find(number - int(self._first[at]))
        found: list[str] = batch.column("row_ids")[row].as_py()
        return found

    def expect(self, number: int) -> None:
        """Say that a sequence will be asked for soon; a remote part is fetched meanwhile."""
        if self._copies is not None:
            self._copies.request(self._part_of(number))

    def close(self) -> None:
        """Delete what was copied; nothing may be read afterwards."""
        self._open.clear()
        if self._copies is not None:
            self._copies.delete()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All sequences in order, as they lie in the files."""
        for at in range(len(self.sizes)):
            yield from self._opened(at).batches()

    def _part_of(self, number: int) -> int:
        return int(np.searchsorted(self._first, number, side="right")) - 1

    def _opened(self, at: int) -> "_OpenPart":
        part = self._open.pop(at, None)
        if part is None:
            name = self.index.parts[at].file
            local = Path(self._base, name) if self._copies is None else self._copies.wait(at)
            part = _OpenPart(local)
        self._open[at] = part
        if self._copies is not None and len(self._open) > COPIES_KEPT:
            oldest = next(iter(self._open))
            del self._open[oldest]
            self._copies.drop(oldest)
        return part

    def _read_index(self) -> TokenIndex:
        try:
            with self._fs.open_input_stream(f"{self._base}/{INDEX_NAME}") as stream:
                return TokenIndex.model_validate_json(stream.read())
        except (FileNotFoundError, ValidationError) as error:
            raise DatasetError(
                f"{self._location}/{INDEX_NAME} is missing or damaged ({type(error).__name__}); "
                "delete the dataset's folder and apply again to make it anew"
            ) from error

    def fetch(self, at: int, folder: Path) -> Path:
        """Copy a part into a local folder, verified.

        Raises:
            DatasetError: the file is not what was written.
        """
        part = self.index.parts[at]
        target, digest = folder / part.file, hashlib.sha256()
        with (
            self._fs.open_input_stream(f"{self._base}/{part.file}") as reader,
            target.open("wb") as out,
        ):
            while chunk := reader.read(1 << 20):
                digest.update(chunk)
                out.write(chunk)
        if digest.hexdigest() != part.sha256:
            raise DatasetError(
                f"{self._location}/{part.file} is not what its index says; delete the dataset's "
                "folder and apply again to make it anew"
            )
        return target


class _OpenPart:
    """A memory-mapped file: only touched pages use memory."""

    def __init__(self, path: Path) -> None:
        self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._first = np.cumsum([0, *(batch.num_rows for batch in self.batches())])

    def batches(self) -> Iterator[pa.RecordBatch]:
        return map(self._reader.get_batch, range(self._reader.num_record_batches))

    def find(self, row: int) -> tuple[pa.RecordBatch, int]:
        at = int(np.searchsorted(self._first, row, side="right")) - 1
        return self._reader.get_batch(at), row - int(self._first[at])


class _Copies:
    """Local copies of remote parts, fetched one at a time by a thread."""

    def __init__(self, tokens: TokenParts) -> None:
        self._tokens = tokens
        self._scratch = ScratchFolder("tokens")
        self.folder = self._scratch.path
        self.delete = self._scratch.close
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens")
        self._wanted: dict[int, Future[Path]] = {}

    def request(self, at: int) -> None:
        if at not in self._wanted:
            self._wanted[at] = self._thread.submit(self._tokens.fetch, at, self.folder)

    def wait(self, at: int) -> Path:
        self.request(at)
        return self._wanted[at].result()

    def drop(self, at: int) -> None:
        self._wanted.pop(at).result().unlink(missing_ok=True)


def write_index(folder: Path, parts: Sequence[Part]) -> None:
    """Say what the files in `folder` hold; after this they can be read."""
    text = TokenIndex(parts=tuple(parts)).model_dump_json(indent=1)
    (folder / INDEX_NAME).write_text(text + "\n", encoding="utf-8")

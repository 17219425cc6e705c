"""Checkpoints that any number of workers can write and any number can resume from.

`<uri>/attempt-0001/step-000100/` holds the adapter (or the whole model), `state.safetensors`
(float32 weights and Adam moments in full), `guard.json`, the history since the checkpoint before,
and, written last, `COMMIT.json` with every file's SHA-256. The step number is the source of the
random state, and with the guard's list of what is passed over the data cursor. Each attempt writes
under its own number, so that a driver that was fenced off can never touch what its successor wrote.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pyarrow.fs import FileSelector, FileSystem, FileType

from loray.artifacts.describe import file_entries
from loray.artifacts.digests import file_digest
from loray.artifacts.filesystem import open_filesystem
from loray.errors import TrainingError

COMMIT_NAME = "COMMIT.json"
STATE_NAME = "state.safetensors"
GUARD_NAME = "guard.json"
_FOLDER = re.compile(r"attempt-(\d{4,})/step-(\d{6,})")


@dataclass(frozen=True)
class Checkpoint:
    """One committed checkpoint."""

    attempt: int
    step: int
    """Optimizer steps done."""
    files: dict[str, str]
    """SHA-256 of every file by its path in the checkpoint's folder."""

    @property
    def folder(self) -> str:
        """Its folder under the store's URI."""
        return f"attempt-{self.attempt:04d}/step-{self.step:06d}"


class CheckpointStore:
    """The checkpoints of one training run, on local disk or S3."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._fs: FileSystem
        self._fs, self._base = open_filesystem(uri)

    def commit(self, local: Path, *, attempt: int, step: int) -> Checkpoint:
        """Upload the files under `local`, then the mark that makes them a checkpoint."""
        files = {entry.path: entry.sha256 for entry in file_entries(local)}
        made = Checkpoint(attempt, step, files)
        for name in files:
            target = f"{self._base}/{made.folder}/{name}"
            self._fs.create_dir(target.rsplit("/", 1)[0], recursive=True)
            with (local / name).open("rb") as reader, self._fs.open_output_stream(target) as out:
                shutil.copyfileobj(reader, out, 1 << 20)
        partial = f"{self._base}/{made.folder}/{COMMIT_NAME}.partial"
        with self._fs.open_output_stream(partial) as out:
            out.write(json.dumps({"step": step, "files": files}, sort_keys=True).encode())
        self._fs.move(partial, f"{self._base}/{made.folder}/{COMMIT_NAME}")
        return made

    def committed(self) -> list[Checkpoint]:
        """All committed checkpoints; of one step only that of the newest attempt; by step."""
        found: dict[int, Checkpoint] = {}
        selector = FileSelector(self._base, recursive=True, allow_not_found=True)
        for info in self._fs.get_file_info(selector):
            folder, _, name = info.path.removeprefix(f"{self._base}/").rpartition("/")
            match = _FOLDER.fullmatch(folder)
            if name != COMMIT_NAME or info.type != FileType.File or match is None:
                continue
            with self._fs.open_input_stream(info.path) as stream:
                record = json.loads(stream.read())
            one = Checkpoint(int(match[1]), int(match[2]), record["files"])
            if one.step not in found or found[one.step].attempt < one.attempt:
                found[one.step] = one
        return [found[step] for step in sorted(found)]

    def discard(self, checkpoint: Checkpoint) -> None:
        """Take back a checkpoint; its mark goes first."""
        self._fs.delete_file(f"{self._base}/{checkpoint.folder}/{COMMIT_NAME}")
        self._fs.delete_dir(f"{self._base}/{checkpoint.folder}")

    def discard_all(self) -> None:
        """Take back every checkpoint, of all attempts, the last first."""
        while found := self.committed():  # of one step only the newest attempt's is listed
            for checkpoint in reversed(found):
                self.discard(checkpoint)

    def read(self, checkpoint: Checkpoint, name: str) -> bytes:
        """One file of a checkpoint."""
        with self._fs.open_input_stream(f"{self._base}/{checkpoint.folder}/{name}") as stream:
            found: bytes = stream.read()
        return found

    def fetch(self, checkpoint: Checkpoint, target: Path) -> Path:
        """Copy a checkpoint's files to the local folder `target`, verified.

        Raises:
            TrainingError: a file is not what was committed.
        """
        for name, sha256 in checkpoint.files.items():
            source, local = f"{self._base}/{checkpoint.folder}/{name}", target / name
            local.parent.mkdir(parents=True, exist_ok=True)
            with self._fs.open_input_stream(source) as reader, local.open("wb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
            found = file_digest(local)
            if found != sha256:
                raise TrainingError(
                    f"{source} has SHA-256 {found}, its commit mark says {sha256}; delete "
                    f"{checkpoint.folder} and apply again to resume from the one before"
                )
        return target

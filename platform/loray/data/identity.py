"""What a corpus is, by its content: for the fingerprint of the dataset made from it."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from loray.artifacts.digests import remembered_digest
from loray.data.sources.files import SourceFile, find_eval_files, find_files
from loray.data.sources.streams import within
from loray.data.steps.own import load_function, source_digest
from loray.data.steps.toxicity import read_words
from loray.spec.data import DataSpec
from loray.spec.steps import OwnStep, Step, ToxicityStep

THREADS = 16


def source_identity(data: DataSpec) -> dict[str, str]:
    """A digest or entity tag of every file that the spec names, by its key.

    Raises:
        SourceError: a file is missing or cannot be reached.
        SpecError: a word list or a function of a step is.
    """
    files = [*find_files(data), *chain.from_iterable(find_eval_files(data).values())]
    with ThreadPoolExecutor(THREADS) as pool:  # asking a bucket is waiting
        found = dict(zip((file.key for file in files), pool.map(_identity, files), strict=True))
    return found | {f"steps.{at}": digest for at, digest in _step_digests(data.steps)}


def source_stamps(data: DataSpec) -> dict[str, tuple[int, int]]:
    """Size and modification time (ns) of every file that the spec names, by its key.

    Equal stamps before and after a corpus was read mean that nobody wrote to it meanwhile.

    Raises:
        SourceError: a file is missing or cannot be reached.
    """
    files = [*find_files(data), *chain.from_iterable(find_eval_files(data).values())]
    return {file.key: (file.size, file.mtime_ns) for file in files}


def _step_digests(steps: Iterable[Step]) -> Iterator[tuple[int, str]]:
    """What a step reads beside the rows: a function's source, a list of words."""
    for number, step in enumerate(steps):
        if isinstance(step, OwnStep):
            yield number, f"sha256:{source_digest(load_function(step.function))}"
        elif isinstance(step, ToxicityStep) and step.words is not None:
            words = b"".join(sorted(read_words(Path(step.words))))
            yield number, f"sha256:{hashlib.sha256(words).hexdigest()}"


def _identity(file: SourceFile) -> str:
    if "://" in file.source.uri:
        try:
            tag = within(file.stall_seconds, lambda: _entity_tag(file))
        except OSError as error:
            raise file.unreadable(error) from error
        return f"etag:{tag} size:{file.size}"
    return f"sha256:{remembered_digest(Path(file.path))}"


def _entity_tag(file: SourceFile) -> str:
    with file.filesystem().open_input_stream(file.path, compression=None) as stream:
        tag: str = stream.metadata()["ETag"].decode().strip('"')
    return tag

"""How often a training sees its data: known of a dataset that is made, else estimated from rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loray.data.sources.decoding import FaultError
from loray.data.sources.files import SourceFile, find_local_files
from loray.data.sources.records import turns_of
from loray.data.sources.samples import first_records
from loray.data.sources.streams import is_compressed
from loray.errors import LorayError
from loray.models.markup import Turn
from loray.pipeline.plan import Plan, passes_over
from loray.planner.configs import config_path
from loray.spec.run import RunSpec
from loray.spec.sources import ParquetSource, TextSource

NUM_FILES = 4
"""Files of a source that are looked at."""
TURN_TOKENS = 5
"""What a chat template writes around a turn, mostly."""


@dataclass(frozen=True)
class Passes:
    """How often every sequence is seen."""

    times: float
    is_estimate: bool


@dataclass
class _Rows:
    """What some rows of the task's sources say of all of them."""

    count: float = 0.0
    """Rows in all files, as far as the bytes of some tell."""
    seen: int = 0
    tokens: int = 0
    """Of the rows that were seen."""


def passes_of(plan: Plan, spec: RunSpec) -> Passes | None:
    """How often the training of `spec` sees its data; None where rows here do not tell.

    Args:
        plan: what is made and what is not.
    """
    known = passes_over(plan.stages[0].statistics, spec)
    if known is not None:
        return Passes(known, is_estimate=False)
    try:
        found = _estimate(spec)
    except (LorayError, OSError, ValueError):
        return None
    return None if found is None else Passes(found, is_estimate=True)


def _estimate(spec: RunSpec) -> float | None:
    """From the first rows of each source, all of them on this disk as plain lines."""
    data, length = spec.data, spec.data.sequence.max_tokens
    if any("://" in source.uri for source in data.sources):
        return None
    files = [file for file in find_local_files(data) if file.label.startswith("sources.")]
    if not files or any(not _tells(file) for file in files):
        return None
    is_cut = data.sequence.packing or any(file.source.fields.text is not None for file in files)
    tokenizer = _tokenizer(spec) if is_cut else None
    if is_cut and tokenizer is None:
        return None
    rows = _rows_of(files, tokenizer, data.chat.system)
    if not rows.seen:
        return None
    kept = rows.count * (1 - data.split.validation - data.split.test)
    sequences = kept * rows.tokens / rows.seen / length if tokenizer is not None else kept
    return spec.train.steps * spec.train.batch.global_size / max(sequences, 1.0)


def _tells(file: SourceFile) -> bool:
    """Whether some bytes of it tell how many rows it has."""
    return not (isinstance(file.source, (ParquetSource, TextSource)) or is_compressed(file.path))


def _rows_of(
    files: list[SourceFile],
    tokenizer: Any,  # noqa: ANN401 (of tokenizers)
    system: str | None,
) -> _Rows:
    """What the first rows of some files say of all.

    Args:
        tokenizer: counts their tokens; None where these do not matter.
        system: the turn of rows that bring none.
    """
    rows, step = _Rows(), max(-(-len(files) // NUM_FILES), 1)
    num_bytes = 0
    for file in files[::step]:
        for raw, turns in _first_turns(file):
            rows.seen += 1
            num_bytes += raw
            if tokenizer is not None:
                texts = [turn["content"] for turn in turns]
                if system is not None and turns[0]["role"] not in ("system", "text"):
                    texts.append(system)
                marks = 0 if turns[0]["role"] == "text" else TURN_TOKENS * len(texts)
                rows.tokens += len(tokenizer.encode("\n".join(texts)).ids) + marks
    if num_bytes:
        rows.count = sum(file.size for file in files) * rows.seen / num_bytes
    return rows


def _first_turns(file: SourceFile) -> Iterator[tuple[int, list[Turn]]]:
    """Bytes and turns of some rows; of those that cannot be read there is nothing to learn."""
    for found in first_records(file):
        if isinstance(found.record, FaultError):
            continue
        try:
            turns = turns_of(found.record, file.source.fields)
        except FaultError:
            continue
        yield len(found.raw) + 1, turns


def _tokenizer(spec: RunSpec) -> Any:  # noqa: ANN401 (of tokenizers)
    """The base model's own, if it is on this disk."""
    path = Path(config_path(spec.base_model).parent, "tokenizer.json")
    if not path.is_file():
        return None
    from tokenizers import Tokenizer  # noqa: PLC0415 (takes 0.1 s)

    return Tokenizer.from_file(str(path))

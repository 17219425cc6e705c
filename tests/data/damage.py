"""A corpus of any size with faults of every kind, and an account of what must become of it.

All is drawn from a seed. Two rows in a hundred are damaged; as many hold a value to be replaced.
Every sound row names its case, a number that no step changes, so a lost row is a missing number.
Six sources: a folder of JSON Lines (plain, .gz, .zst), chats, CSV, Parquet, paragraphs and a file
that is torn.
"""

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.corpora import PAIR, run_spec, source
from tests.data.damaged_rows import (
    CSV_FAULTS,
    LENGTH,
    MARKED,
    MAX_TOKENS,
    MESSAGE_FAULTS,
    PAIR_FAULTS,
    SLUR,
    TEXT_FAULTS,
    Made,
    Maker,
    chat,
    near_copy,
    pair,
    values,
)
from tests.data.prose import Writer

DAMAGED = 0.02
FIRST_DAMAGED = 5_000_000
LONG_LINE_BYTES = 50 << 20
CASE = re.compile(r"In case (\d+),")
SHARES = {1: 0.06, 2: 0.06, 3: 0.06, 4: 0.06, 5: 0.04}
"""Of sound rows, by source; the first has the rest."""
NUM_KINDS = 3 + sum(
    len(makers)
    for faults in (PAIR_FAULTS, MESSAGE_FAULTS, CSV_FAULTS, TEXT_FAULTS)
    for makers in faults.values()
)
"""With equal copies, near copies, and rows that quote an evaluation item."""


@dataclass
class Planted:
    """What a corpus holds."""

    folder: Path
    each: int
    """Rows of each fault, and of each kind of value."""
    has_giants: bool = True
    """A line of 50 MB and a paragraph of 33 MB."""
    sources: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    cases: dict[str, set[int]] = field(default_factory=dict)
    """Numbers of the sound rows, by source."""
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    """Rows that must be rejected, by source."""
    found: Counter[str] = field(default_factory=Counter)
    """Values that must be replaced, as the statistics count them."""
    values: list[str] = field(default_factory=list)

    def spec(self, base: Path, **blocks: Any) -> Any:
        """The run that curates the corpus with every step."""
        sequence = {"max_tokens": MAX_TOKENS}
        return run_spec(base, *self.sources, steps=self.steps, sequence=sequence, **blocks)


def write_corpus(folder: Path, num_rows: int, seed: int = 0, *, has_giants: bool = True) -> Planted:
    """Write `num_rows` rows below `folder`; a fault of each kind takes sixty at least."""
    writer = Writer(seed)
    each = max(1, round(num_rows * DAMAGED / NUM_KINDS))
    planted = Planted(folder, each, has_giants)
    num_sound = num_rows - each * NUM_KINDS - (3 if has_giants else 1)
    sizes = {at: round(num_sound * share) for at, share in SHARES.items()}
    first = 0
    for at, write in enumerate((_pairs, _chats, _csv, _parquet, _paragraphs, _torn)):
        size = sizes.get(at, num_sound - sum(sizes.values()))
        rows = list(islice(writer.pairs(first), size))
        label = f"sources.{at}"
        planted.cases[label] = set(range(first, first + size))
        planted.reasons[label] = Counter()
        planted.sources.append(write(planted, writer, rows, planted.reasons[label]))
        first += size
    planted.steps = _steps(planted, writer)
    return planted


def cases_of(rows: Iterable[Mapping[str, Any]]) -> Counter[int]:
    """The numbers of the cases that rows of `rows/` are about."""
    texts = (" ".join(turn["content"] for turn in row["turns"]) for row in rows)
    return Counter(int(found[1]) for text in texts if (found := CASE.search(text)))


def _pairs(
    planted: Planted, writer: Writer, rows: list[dict[str, Any]], reasons: Counter[str]
) -> dict[str, Any]:
    folder = planted.folder / "pairs"
    contaminated = _eval_items(planted, writer)
    lines = [
        *_faults(planted, writer, PAIR_FAULTS, reasons),
        *_copies(planted, rows, reasons),
        *(_line(pair(writer, FIRST_DAMAGED, text)) for text in contaminated),
    ]
    reasons["contaminated"] += len(contaminated)
    lines += [_line(row) for row in _with_values(planted, rows)]
    writer.shuffle(lines)
    if planted.has_giants:
        reasons["line_too_long"] += 1
        long_line = b'{"ask": "' + b"long " * (LONG_LINE_BYTES // 5) + b'"}'
        lines.insert(len(lines) // 8, long_line)
    quarter = len(lines) // 4
    parts = [lines[at * quarter : (at + 1) * quarter] for at in range(3)] + [lines[3 * quarter :]]
    for name, part in zip(("a.jsonl", "b/c.jsonl", "b/d.jsonl.gz", "e.jsonl.zst"), parts,
                          strict=True):  # fmt: skip
        _write(folder / name, part)
    return source(folder)


def _chats(
    planted: Planted, writer: Writer, rows: list[dict[str, Any]], reasons: Counter[str]
) -> dict[str, Any]:
    lines = _faults(planted, writer, MESSAGE_FAULTS, reasons)
    for row in rows:  # every second one goes on
        asked = {"ask": "And the other one?", "reply": writer.sentence()}
        lines.append(_line({"chat": [*chat(row), *chat(asked)][: 2 + 2 * (len(lines) % 2)]}))
    writer.shuffle(lines)
    _write(planted.folder / "chats.jsonl", lines)
    return source(planted.folder / "chats.jsonl", fields={"messages": "chat"})


def _csv(
    planted: Planted, writer: Writer, rows: list[dict[str, Any]], reasons: Counter[str]
) -> dict[str, Any]:
    lines = _faults(planted, writer, CSV_FAULTS, reasons)
    lines += [
        f'"{row["ask"]}","{row["reply"].replace(". ", chr(10))}"'.encode() for row in rows
    ]  # answers of several lines
    writer.shuffle(lines)
    _write(planted.folder / "table.csv", [b"ask,reply", *lines])
    return source(planted.folder / "table.csv", "csv")


def _parquet(
    planted: Planted, writer: Writer, rows: list[dict[str, Any]], reasons: Counter[str]
) -> dict[str, Any]:
    path = planted.folder / "table.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=max(len(rows) // 3, 1))
    return source(path, "parquet")


def _paragraphs(
    planted: Planted, writer: Writer, rows: list[dict[str, Any]], reasons: Counter[str]
) -> dict[str, Any]:
    folder = planted.folder / "texts"
    paragraphs = _faults(planted, writer, TEXT_FAULTS, reasons)
    paragraphs += [f"{row['ask']}\n{row['reply']}".encode() for row in rows]
    writer.shuffle(paragraphs)
    _write(folder / "a.md", [paragraph + b"\n" for paragraph in paragraphs])
    if planted.has_giants:
        reasons["text_too_long"] += 1
        _write(folder / "b.txt", [b"x" * 1023] * ((32 << 10) + 1))
    return source(folder, "text", per="paragraph", group="row")


def _torn(
    planted: Planted, writer: Writer, rows: list[dict[str, Any]], reasons: Counter[str]
) -> dict[str, Any]:
    path = planted.folder / "torn.jsonl.gz"
    text = b"".join(_line(row) + b"\n" for row in rows) + b'{"ask": "torn off in the mid'
    path.write_bytes(gzip.compress(text)[:-8])
    reasons["torn_stream"] += 1
    return source(path)


def _eval_items(planted: Planted, writer: Writer) -> list[str]:
    """Write evaluation items; answers of rows that quote them."""
    items = [writer.sentence() for _ in range(max(planted.each, 20))]
    rows = [_line({"ask": item, "reply": "yes"}) for item in items]
    _write(planted.folder / "items.jsonl", rows)
    return [f"{writer.sentence()} {item} {writer.sentence()}" for item in items[: planted.each]]


def _copies(planted: Planted, rows: list[dict[str, Any]], reasons: Counter[str]) -> list[bytes]:
    """Equal and near copies, each of another row."""
    reasons["exact_duplicate"] += planted.each
    reasons["near_duplicate"] += planted.each
    equal, near = rows[: planted.each], rows[planted.each : 2 * planted.each]
    return [*map(_line, equal), *map(_line, map(near_copy, near))]


def _with_values(planted: Planted, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, of which the last have a value in what they ask."""
    texts = [named for number in range(planted.each) for named in values(number)]
    changed = list(rows)
    for at, (name, text) in enumerate(texts, start=1):
        marked = MARKED.findall(text)
        planted.values += marked
        planted.found[name] += len(marked)
        if name == "pii.url_credentials":  # the password goes first, then the login around it
            planted.found["credentials.connection_string"] += len(marked)
        plain = MARKED.sub(r"\1", text)
        changed[-at] = {**rows[-at], "ask": f"{rows[-at]['ask']}\n{plain}"}
    return changed


def _faults(
    planted: Planted, writer: Writer, faults: Mapping[str, tuple[Maker, ...]], reasons: Counter[str]
) -> list[bytes]:
    """Damaged lines, each kind `planted.each` times."""
    lines: list[bytes] = []
    for reason, makers in faults.items():
        for make in makers:
            for _ in range(planted.each):
                reasons[reason] += 1
                lines.append(_line(make(writer, FIRST_DAMAGED + len(lines))))
    return lines


def _line(made: Made) -> bytes:
    if isinstance(made, bytes):
        return made
    return (made if isinstance(made, str) else json.dumps(made)).encode()


def _write(path: Path, lines: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join(line + b"\n" for line in lines)
    with pa.output_stream(path, compression="zstd" if path.suffix == ".zst" else "detect") as out:
        out.write(data)


def _steps(planted: Planted, writer: Writer) -> list[dict[str, Any]]:
    words = planted.folder / "words.txt"
    words.write_text(f"{SLUR}\n", encoding="utf-8")
    against = [source(planted.folder / "items.jsonl", fields=PAIR)]
    return [
        *({"kind": kind} for kind in ("unicode", "whitespace", "control_tokens")),
        {"kind": "credentials"},
        {"kind": "pii"},
        LENGTH,
        {"kind": "quality", "keep_refusals": False},
        {"kind": "repetition"},
        {"kind": "language"},
        {"kind": "toxicity", "words": str(words)},
        {"kind": "decontamination", "against": against},
        {"kind": "exact_duplicates"},
        {"kind": "near_duplicates"},
    ]

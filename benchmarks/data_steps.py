"""Our steps that datatrove has as well, each by itself on one core: rows a second of its time.

`python benchmarks/data_steps.py TEXTS.jsonl` prints JSON, and a line for each step to stderr;
`data.py` runs it beside `data_steps_datatrove.py` on the same texts.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loray.data.batch import Stage
from loray.data.ids import row_numbers
from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.files import find_files
from loray.data.steps.candidates import Crowds
from loray.data.steps.chain import StepSetting, digest_turns, scrub_values, stage_for
from loray.data.steps.minhash import bands_for, put_bands
from loray.data.steps.near_duplicates import find_originals
from loray.data.steps.pii import entities_named
from loray.data.steps.similarity import Rule, compare_here
from loray.data.write import KEPT, PartWriter
from loray.spec.data import DataSpec
from loray.spec.steps import QualityStep, RepetitionStep, UnicodeStep

THRESHOLD = 0.8


def read(path: Path) -> list[pa.Table]:
    """All batches of the texts."""
    source = {"kind": "jsonl", "uri": str(path), "fields": {"text": "text"}}
    data = DataSpec.model_validate_json(json.dumps({"sources": [source]}))
    return [batch for block in cut_into_blocks(find_files(data)) for batch in read_block(block)]


def write(batches: list[pa.Table], folder: Path) -> None:
    """Batches as the dataset's row files."""
    with PartWriter(folder, KEPT) as writer:
        for batch in batches:
            split = pa.array(["train"] * batch.num_rows)
            rows = batch.append_column("split", split)
            writer.add(rows.filter(pc.is_valid(rows["id"])))


def near_duplicates(batches: list[pa.Table]) -> int:
    """The number of rows that are near another."""
    cut = [put_bands(batch, column="bands_0", bands=bands_for(THRESHOLD)) for batch in batches]
    rows = pa.concat_tables(table.select(["id", "bands_0"]) for table in cut)
    rows = rows.filter(pc.is_valid(rows["bands_0"])).combine_chunks().sort_by("id")
    ids = row_numbers(rows["id"])
    data = b"".join(rows["bands_0"].to_pylist())
    keys = np.frombuffer(data, dtype="<u4").reshape(len(ids), -1)
    rule = Rule(THRESHOLD, by_answers=False)

    def likeness(pairs: np.ndarray, crowds: Crowds) -> np.ndarray:
        return compare_here(lambda stage: map(stage, cut), ids, pairs, crowds, rule)

    kept: np.ndarray = find_originals(keys, likeness).kept
    return int(np.sum(kept != np.arange(len(ids))))


def exact_duplicates(batches: list[pa.Table]) -> int:
    """The number of rows that equal another."""
    digests = [digest_turns(batch, column="digest")["digest"] for batch in batches]
    found = pa.chunked_array([chunk for column in digests for chunk in column.chunks])
    distinct: int = pc.count_distinct(found).as_py()
    return len(found) - int(found.null_count) - distinct


def tasks_of(path: Path, folder: Path) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    batches = read(path)
    setting = StepSetting(0, ())
    mail = entities_named(["email", "ip"])

    def each(stage: Stage) -> Callable[[], object]:
        return lambda: [stage(batch) for batch in batches]

    return {
        "JSONL in": lambda: read(path),
        "rows out (Parquet, zstd)": lambda: write(batches, folder),
        "unicode repair": each(stage_for(UnicodeStep(kind="unicode"), 0, setting)),
        "mail and IP addresses": each(
            partial(scrub_values, name="pii", entities=mail, salt=b"salt")
        ),
        "quality rules": each(stage_for(QualityStep(kind="quality"), 0, setting)),
        "repetition rules": each(stage_for(RepetitionStep(kind="repetition"), 0, setting)),
        "exact duplicates": lambda: exact_duplicates(batches),
        "near duplicates, end to end": lambda: near_duplicates(batches),
    }


def main() -> None:
    """Each task twice; the better time counts."""
    path = Path(sys.argv[1])
    num_rows = sum(1 for _ in path.open("rb"))
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, task in tasks_of(path, Path(folder)).items():
            times = []
            for _ in range(2):
                began = time.process_time()
                task()
                times.append(time.process_time() - began)
            rates[name] = round(num_rows / max(min(times), 1e-9), 1)
            print(f"{name:28s} {rates[name]:9.0f} rows/s", file=sys.stderr, flush=True)
    print(json.dumps(rates))


if __name__ == "__main__":
    main()

"""datatrove's steps on a file of texts, each by itself on one core: rows a second of its time.

Run by `data.py` with an interpreter that has datatrove and none of our code. Formatters and filters
are called text by text, without the pipeline around them, which is the faster way to run them.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.exact_dedup import (
    ExactDedupConfig,
    ExactDedupSignature,
    ExactFindDedups,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

NGRAM = 3
"""Words of a shingle, as ours has."""


def read(path: Path) -> list[Document]:
    """All documents."""
    return list(JsonlReader(str(path.parent), glob_pattern=path.name).run())


def write(documents: list[Document], folder: Path) -> None:
    """JSON Lines, compressed with zstd as our rows are."""
    with JsonlWriter(str(folder / "out"), compression="zstd") as writer:
        for document in documents:
            writer.write(document)


def near_duplicates(documents: list[Document], folder: Path) -> int:
    """The number of documents that are left."""
    config = MinhashConfig(n_grams=NGRAM)
    names = ("signatures", "buckets", "clusters")
    signatures, buckets, clusters = (str(folder / name) for name in names)
    MinhashDedupSignature(signatures, config=config).run(iter(documents), 0, 1)
    for number in range(config.num_buckets):
        finder = MinhashDedupBuckets(signatures, buckets, config=config)
        finder.run(None, number, config.num_buckets)
    MinhashDedupCluster(buckets, clusters, config=config).run(None, 0, 1)
    return len(list(MinhashDedupFilter(clusters).run(iter(documents), 0, 1)))


def exact_duplicates(documents: list[Document], folder: Path) -> None:
    """Find which documents are to go."""
    config = ExactDedupConfig(content_getter=lambda document: document.text)
    signatures = str(folder / "exact")
    ExactDedupSignature(signatures, config).run(iter(documents), 0, 1)
    ExactFindDedups(signatures, str(folder / "found"), config=config).run(None, 0, 1)


def tasks_of(path: Path, folder: Path) -> dict[str, Callable[[], object]]:
    """What is measured, by the names that `data_steps.py` has."""
    documents = read(path)
    texts = [document.text for document in documents]
    repair, scrub = FTFYFormatter(), PIIFormatter()
    quality, repetition = GopherQualityFilter(), GopherRepetitionFilter()
    return {
        "JSONL in": lambda: read(path),
        "rows out (Parquet, zstd)": lambda: write(documents, folder),
        "unicode repair": lambda: [repair.format(text) for text in texts],
        "mail and IP addresses": lambda: [scrub.format(text) for text in texts],
        "quality rules": lambda: [quality.filter(document) for document in documents],
        "repetition rules": lambda: [repetition.filter(document) for document in documents],
        "exact duplicates": lambda: exact_duplicates(documents, folder),
        "near duplicates, end to end": lambda: near_duplicates(documents, folder),
    }


def main() -> None:
    """Each task twice; the better time counts. What it lacks is told and left out."""
    path = Path(sys.argv[1])
    num_rows = sum(1 for _ in path.open("rb"))
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, task) in enumerate(tasks_of(path, Path(folder)).items()):
            times = []
            for _ in range(2):
                began = time.process_time()
                try:
                    task()
                except (ImportError, OSError) as error:
                    print(f"{number} {name}: {error}", file=sys.stderr)
                    break
                times.append(time.process_time() - began)
            if times:
                rates[name] = round(num_rows / max(min(times), 1e-9), 1)
                print(f"{name:28s} {rates[name]:9.0f} rows/s", file=sys.stderr, flush=True)
    print(json.dumps(rates))


if __name__ == "__main__":
    main()

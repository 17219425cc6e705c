"""Curation of a damaged corpus: that every fault is found, how fast, and in how much memory.

    PYTHONPATH=platform OMP_NUM_THREADS=1 python benchmarks/damage.py [--rows 100000]

The corpus and what must become of it are those of `tests/data/damage.py`: two rows in a hundred
are damaged in 48 ways, one line has 50 MB, and as many rows hold a value to be replaced.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import ray
from commit import commit
from data_memory import watched

from loray.data import curate_to
from loray.quickstart.initialise import train_tokenizer

sys.path.append(str(Path(__file__).resolve().parent.parent))
from tests.data.damage import Planted, cases_of, write_corpus


def differences(
    planted: Planted, statistics: dict[str, Any], kept: list[dict[str, Any]]
) -> list[str]:
    """What did not become of the corpus as planted; nothing, if all is well."""
    wrong = []
    for label, counts in statistics["sources"].items():
        if counts["in"] != counts["kept"] + counts["quarantined"]:
            wrong.append(f"{label}: {counts['in']} in, {counts['kept']} + {counts['quarantined']}")
        if counts["rejected_by"] != dict(planted.reasons[label]):
            wrong.append(f"{label}: {counts['rejected_by']}, planted {planted.reasons[label]}")
        rows = (row for row in kept if row["source"].startswith(f"{label}/"))
        found = cases_of(rows)
        if set(found) != planted.cases[label] or found.total() != len(found):
            lost = sorted(planted.cases[label] - set(found))
            wrong.append(f"{label}: {len(lost)} sound rows are lost, {lost[:5]} among them")
    if statistics["found"] != planted.found:
        wrong.append(f"values found {statistics['found']}, planted {dict(planted.found)}")
    return wrong


def main() -> None:
    """Write, curate, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-giants", action="store_true", help="leave out the 50 MB line")
    options = parser.parse_args()
    print(commit(), flush=True)
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # workers see what this process sees
    if not ray.is_initialized():
        ray.init(address="local", num_cpus=options.workers, log_to_driver=False,
                 include_dashboard=False, logging_level=logging.ERROR)  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        planted = write_corpus(Path(name) / "corpus", options.rows,
                               has_giants=not options.no_giants)  # fmt: skip
        out, base = Path(name) / "out", Path(name) / "base"
        out.mkdir()
        train_tokenizer(None, 300, 512).save_pretrained(base)  # it knows bytes, and no words
        num_bytes = sum(p.stat().st_size for p in (Path(name) / "corpus").rglob("*.*"))
        began = time.perf_counter()
        with watched() as peak:
            statistics = curate_to(out, planted.spec(base))
        seconds = time.perf_counter() - began
        kept = pq.read_table(out / "rows", columns=["source", "turns"]).to_pylist()
        wrong = differences(planted, statistics, kept)
    rows = statistics["rows"]
    print(json.dumps(rows["rejected_by"], indent=1))
    print(f"{rows['in']} rows, {num_bytes / 1e6:.0f} MB in {seconds:.1f} s by {options.workers} "
          f"workers; {rows['kept']} kept, {rows['quarantined']} quarantined for "
          f"{len(rows['rejected_by'])} reasons; {planted.found.total()} values")  # fmt: skip
    print(f"{peak.private / 1e6:.0f} MB resident, {peak.driver / 1e6:.0f} of them the driver's, "
          f"{peak.shared / 1e6:.0f} MB shared")  # fmt: skip
    print("\n".join(wrong) or "every fault is found under its name; no other row is lost")


if __name__ == "__main__":
    main()

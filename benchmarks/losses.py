"""What the steps reject of corpora at hand, by reason, and whether every row is accounted for.

    PYTHONPATH=platform python benchmarks/losses.py gsm8k.jsonl.gz:question,answer chats.jsonl:turns

Each argument is a file and its fields: of a prompt and a completion, or of messages. All steps run
that need no settings. A duplicate is no loss: its text is still there. The tiny base's tokens are
short, so that a row takes about twice as many as of a usual vocabulary: hence the length.
"""

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

from commit import commit
from data import spec_of

MAX_TOKENS = 8192


def curated(path: Path, fields: list[str], folder: Path) -> dict[str, Any]:
    """The statistics of a corpus."""
    from loray.data import curate_to  # noqa: PLC0415 - imports Ray
    from loray.spec.run import RunSpec  # noqa: PLC0415

    shape = ("messages",) if len(fields) == 1 else ("prompt", "completion")
    spec = spec_of(str(path), None)
    (source,) = spec["data"]["sources"]
    source["fields"] = dict(zip(shape, fields, strict=True))
    spec["data"]["sequence"]["max_tokens"] = MAX_TOKENS
    source["kind"] = "csv" if ".csv" in path.suffixes else "jsonl"
    out = folder / path.name
    out.mkdir()
    return curate_to(out, RunSpec.model_validate_json(json.dumps(spec)))


def report(name: str, rows: dict[str, Any]) -> None:
    """A line for a corpus."""
    reasons = dict(rows["rejected_by"])
    duplicates = sum(reasons.pop(name, 0) for name in ("exact_duplicate", "near_duplicate"))
    lost = sum(reasons.values())
    is_whole = rows["in"] == rows["kept"] + duplicates + lost
    print(
        f"{name:32s} {rows['in']:6d} rows = {rows['kept']:6d} kept + {duplicates:5d} duplicates + "
        f"{lost:3d} lost ({lost / rows['in']:.2%}){'' if is_whole else '  NOT ALL'}  {reasons}",
        flush=True,
    )


def main() -> None:
    """Curate each, one after another."""
    import ray  # noqa: PLC0415 - slow to import

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", nargs="+", help="PATH:PROMPT,COMPLETION or PATH:MESSAGES")
    options = parser.parse_args()
    print(commit(), flush=True)
    if not ray.is_initialized():
        ray.init(address="local", num_cpus=2, log_to_driver=False, logging_level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        for corpus in options.corpora:
            name, _, fields = corpus.rpartition(":")
            found = curated(Path(name).resolve(), fields.split(","), Path(folder))
            report(Path(name).name, found["rows"])


if __name__ == "__main__":
    main()

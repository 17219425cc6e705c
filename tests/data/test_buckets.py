"""Corpora in a bucket of a real S3 server: what is read, what is refused, and a server that stalls.

Each test that breaks the server has one of its own, in a process of its own.
"""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import S3FileSystem

from loray.data.flow import _read
from loray.data.identity import source_identity
from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.files import find_files
from loray.errors import SourceError
from loray.spec.data import DataSpec
from tests.data.corpora import data_spec, pairs, source

pytestmark = pytest.mark.slow
STALL_SECONDS = 2.0
STARTUP_SECONDS = 30


class Server:
    """moto's S3 on a free port, in a process that can be stopped and woken."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()
        self.files = S3FileSystem(
            endpoint_override=f"127.0.0.1:{self.port}", scheme="http", allow_bucket_creation=True
        )
        self.files.create_dir("lake")

    def put(self, key: str, data: bytes) -> None:
        with self.files.open_output_stream(f"lake/{key}", compression=None) as stream:
            stream.write(data)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.wake()
        self.process.kill()
        self.process.wait()

    def refuse_strangers(self) -> None:
        """From now on only users that the server knows are let in; it knows none."""
        request = urllib.request.Request(
            f"{self.endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request, timeout=10).close()

    def source(self, key: str, kind: str = "jsonl", **more) -> dict:
        s3 = {"endpoint": self.endpoint, "stall_seconds": STALL_SECONDS}
        return source(f"s3://lake/{key}", kind, s3=s3, **more)

    def spec(self, key: str, kind: str = "jsonl", **more) -> DataSpec:
        return data_spec(self.source(key, kind, **more))

    def _wait(self) -> None:
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"no server on port {self.port} within {STARTUP_SECONDS} s")


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    server = Server()
    yield server
    server.end()


@pytest.fixture
def fragile() -> Iterator[Server]:
    server = Server()
    yield server
    server.end()


def rows_of(spec: DataSpec) -> pa.Table:
    tables = [table for block in cut_into_blocks(find_files(spec)) for table in read_block(block)]
    return pa.concat_tables(tables).select(["id", "line", "turns", "rejected_by"])


def lines(count: int, start: int = 0) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in pairs(count, start))


def write_kinds(put) -> None:
    """The same folders and files, wherever `put` writes them."""
    put("mixed/a.jsonl", lines(300))
    put("mixed/deep/er/b.jsonl.gz", gzip.compress(lines(200, 300)))
    put("mixed/c.ndjson.zst", pa.compress(lines(100, 500), "zstd", asbytes=True))
    put("mixed/.hidden.jsonl", b"no row")
    put("mixed/notes.txt", b"no row")
    put("mixed/torn.jsonl.zst", pa.compress(lines(50, 600), "zstd", asbytes=True)[:-9])
    put("tables/a.csv", b'ask,reply\n1,"one\ntwo"\n2,"a" b\n3,4,5\n')
    put("tables/b.tsv", b"ask\treply\n1\tone\n")
    put("texts/a.md", b"# one\n\ntwo\nthree\n\n\nfour\n")
    put("texts/b.txt.gz", gzip.compress(b"five\n\nsix\n"))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(pairs(80)), sink, row_group_size=30)
    put("parquet/a.parquet", sink.getvalue().to_pybytes())


KINDS = [
    ("mixed", "jsonl", {}),
    ("mixed/**/*.gz", "jsonl", {}),
    ("mixed/c.ndjson.zst", "jsonl", {}),
    ("tables/a.csv", "csv", {}),
    ("tables/b.tsv", "csv", {"delimiter": "\t"}),
    ("texts", "text", {"per": "paragraph"}),
    ("texts", "text", {"per": "line"}),
    ("texts", "text", {}),
    ("parquet", "parquet", {}),
]


@pytest.mark.parametrize(("key", "kind", "more"), KINDS)
def test_a_bucket_gives_the_rows_that_a_disk_gives(shared, tmp_path, key, kind, more):
    def put_on_disk(name: str, data: bytes) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    write_kinds(put_on_disk)
    write_kinds(shared.put)
    there = rows_of(shared.spec(key, kind, **more))
    here = rows_of(data_spec(source(tmp_path / key, kind, **more)))
    assert there.equals(here)
    assert there.num_rows > 1
    assert source_identity(shared.spec(key, kind, **more)).keys() == {
        file.key for file in find_files(shared.spec(key, kind, **more))
    }


def test_what_is_not_there_is_named(shared):
    shared.put("one/a.jsonl", lines(1))
    for key in ("one/b.jsonl", "two", "two/*.jsonl", "one/*.csv"):
        with pytest.raises(SourceError, match=f"s3://lake/{re.escape(key)} names no file"):
            find_files(shared.spec(key))
    elsewhere = {**shared.source("a.jsonl"), "uri": "s3://no-such-bucket/a.jsonl"}
    with pytest.raises(SourceError, match=r"s3://no-such-bucket/a\.jsonl"):
        find_files(data_spec(elsewhere))


def test_credentials_that_the_server_does_not_know_are_refused_with_a_remedy(fragile):
    fragile.put("a.jsonl", lines(3))
    fragile.refuse_strangers()
    for key in ("a.jsonl", "*.jsonl", "folder"):
        with pytest.raises(SourceError, match="credentials in the environment"):
            find_files(fragile.spec(key))


def test_a_server_that_is_not_there_is_told_in_time(fragile):
    spec = fragile.spec("a.jsonl")
    fragile.end()
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"cannot be reached: .*endpoint"):
        find_files(spec)
    assert time.monotonic() - began < STALL_SECONDS + 1


@pytest.mark.parametrize("key", ["a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.parquet"])
def test_an_object_that_vanishes_after_it_was_listed_is_named(shared, key):
    fill(shared, key, 3)
    kind = "parquet" if key.endswith("parquet") else "jsonl"
    block, *_ = cut_into_blocks(find_files(shared.spec(f"gone/{key}", kind)))
    shared.files.delete_file(f"lake/gone/{key}")
    with pytest.raises(SourceError, match=rf"sources\.0/{key} at lake/gone/{key} cannot be read"):
        list(_read(block))


@pytest.mark.parametrize("key", ["a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.parquet"])
def test_a_server_that_stalls_while_it_is_read_is_given_up_in_time(fragile, key):
    fill(fragile, key, 60_000)
    kind = "parquet" if key.endswith("parquet") else "jsonl"
    blocks = cut_into_blocks(find_files(fragile.spec(f"gone/{key}", kind)))
    batches = _read(blocks[0])
    first = next(batches)
    fragile.stop()
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"no answer within 2 seconds.*stall_seconds"):
        for block in blocks:
            list(batches)
            batches = _read(block)
    assert time.monotonic() - began < STALL_SECONDS + 5  # it parses what it has before
    fragile.wake()
    again = pa.concat_tables(table for block in blocks for table in _read(block))
    assert again.filter(again["id"].is_valid()).num_rows == 60_000
    assert first.num_rows


def test_a_server_that_stalls_while_it_lists_is_given_up_in_time(fragile):
    fragile.stop()
    for ask in (find_files, source_identity):
        began = time.monotonic()
        with pytest.raises(SourceError, match="no answer within 2 seconds"):
            ask(fragile.spec("folder"))
        assert time.monotonic() - began < STALL_SECONDS + 1


def test_a_process_that_gave_a_server_up_ends_at_once(fragile, tmp_path):
    fragile.stop()
    spec = fragile.spec("folder").model_dump_json(exclude_unset=True)
    code = (
        "import sys; from loray.data.sources.files import find_files; "
        "from loray.spec.data import DataSpec; "
        "find_files(DataSpec.model_validate_json(sys.argv[1]))"
    )
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", code, spec], capture_output=True, text=True)
    assert "no answer within 2 seconds" in ended.stderr
    assert time.monotonic() - began < STALL_SECONDS + 8


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_curation_whose_server_stalls_ends_in_time_and_says_what_to_do(
    fragile, tokenizer_dir, tmp_path
):
    from loray.data import curate_to
    from tests.data.corpora import run_spec

    fill(fragile, "a.jsonl", 60_000)
    timer = threading.Timer(3, fragile.stop)
    timer.start()
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"sources\.0/a\.jsonl at .*no answer within 2 seconds"):
        curate_to(tmp_path, run_spec(tokenizer_dir, fragile.source("gone/a.jsonl")))
    assert time.monotonic() - began < 3 + STALL_SECONDS + 10
    timer.join()


def fill(server: Server, key: str, num_rows: int) -> None:
    """An object of so many rows; the compressed ones do not compress well."""
    rows = [{"ask": f"row {n}?", "reply": os.urandom(60).hex()} for n in range(num_rows)]
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    if key.endswith(".gz"):
        data = gzip.compress(data, 1)
    elif key.endswith(".zst"):
        data = pa.compress(data, "zstd", asbytes=True)
    elif key.endswith(".parquet"):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=20_000)
        data = sink.getvalue().to_pybytes()
    server.put(f"gone/{key}", data)

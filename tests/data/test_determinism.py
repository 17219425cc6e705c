"""The same corpus and spec give the same bytes: for any workers, any size, and after any death."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loray.data import STAGE_VERSION, curate_to, exchange
from loray.data.sources import blocks
from loray.data.steps import similarity
from tests.data.corpora import pairs, run_spec, source, write_jsonl
from tests.data.damage import write_corpus
from tests.data.prose import Writer
from tests.golden import check_golden
from tests.house import REPOSITORY

pytestmark = pytest.mark.ray
NUM_ROWS = 600
DEADLINE_SECONDS = 120


def curate(out: Path, spec) -> dict[str, str]:
    """The digest of every file that is written."""
    out.mkdir()
    curate_to(out, spec)
    return digests(out)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


@pytest.fixture(scope="module")
def damaged(tokenizer_dir, tmp_path_factory):
    """A spec with every step over a corpus with every fault, and replay."""
    folder = tmp_path_factory.mktemp("damage")
    writer = Writer(1)
    texts = [{"text": writer.prose(3)} for _ in range(90)]
    write_jsonl(folder / "replay.jsonl", texts)
    replay = {"source": source(folder / "replay.jsonl", fields={"text": "text"}), "fraction": 0.05}
    return write_corpus(folder / "corpus", NUM_ROWS, has_giants=False).spec(
        tokenizer_dir, replay=replay
    )


@pytest.fixture(scope="module")
def plain(damaged, ray_cluster, tmp_path_factory) -> dict[str, str]:
    """What one undisturbed run on all processors writes."""
    return curate(tmp_path_factory.mktemp("plain") / "out", damaged)


def test_results_change_with_the_version_and_never_without(plain):
    check_golden("data", STAGE_VERSION, plain)


@pytest.mark.parametrize(("workers", "block_bytes"), [(1, 1 << 24), (2, 60_000), (4, 20_000)])
def test_workers_and_blocks_change_no_byte(
    damaged, plain, workers, block_bytes, tmp_path, monkeypatch
):
    from ray.data import DataContext, ExecutionResources

    options = DataContext.get_current().execution_options
    monkeypatch.setattr(options, "resource_limits", ExecutionResources(cpu=workers))
    monkeypatch.setattr(blocks, "MIN_BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(blocks, "BLOCKS_WANTED", 1 << 30)
    assert curate(tmp_path / "out", damaged) == plain
    assert len(plain) == 7


def test_ordering_in_many_small_ranges_changes_no_byte(damaged, plain, tmp_path, monkeypatch):
    asked = []
    ranges = exchange._ranges
    monkeypatch.setattr(
        exchange, "_ranges", lambda *given: asked.append(len(given[1])) or ranges(*given)
    )
    monkeypatch.setattr(blocks, "MIN_BLOCK_BYTES", 20_000)
    monkeypatch.setattr(blocks, "BLOCKS_WANTED", 1 << 30)
    monkeypatch.setattr(similarity, "CHUNK_PAIRS", 2)
    monkeypatch.setattr(exchange, "RANGE_BYTES", 1)
    monkeypatch.setattr(exchange, "FANOUT", 3)
    assert curate(tmp_path / "out", damaged) == plain
    assert max(asked) >= exchange.FANOUT**2  # so ranges were cut three times


@pytest.mark.usefixtures("ray_cluster")
def test_a_worker_that_is_killed_in_the_middle_changes_no_byte(
    tokenizer_dir, tmp_path, monkeypatch
):
    spec, marker = fragile(tokenizer_dir, tmp_path, "die_once")
    monkeypatch.setattr(blocks, "MIN_BLOCK_BYTES", 2000)
    marker.touch()
    undisturbed = curate(tmp_path / "undisturbed", spec)
    marker.unlink()
    assert curate(tmp_path / "killed", spec) == undisturbed
    assert marker.exists()


@pytest.mark.usefixtures("ray_cluster")
def test_a_driver_that_is_killed_in_the_middle_changes_no_byte(tiny_model_dir, tmp_path):
    spec, marker = fragile(tiny_model_dir, tmp_path, "stay_once")
    document = spec.model_copy(update={"name": "killed"}).model_dump_json(exclude_unset=True)
    (tmp_path / "run.json").write_text(document, encoding="utf-8")
    driver = start_driver(tmp_path)
    wait_for(marker, driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    assert start_driver(tmp_path).wait(DEADLINE_SECONDS) == 0
    (killed,) = (tmp_path / "workspace" / "datasets").iterdir()
    assert marker.exists()
    assert digests(killed) == curate(tmp_path / "undisturbed", spec)


def fragile(base: Path, folder: Path, function: str):
    """A spec whose step goes wrong at a row in the middle, and the file that keeps it from that."""
    marker = folder / "seen"
    rows = [*pairs(200), {"ask": f"once at {marker}", "reply": "it is so"}, *pairs(200, 200)]
    path = write_jsonl(folder / "x.jsonl", rows)
    steps = [
        {"kind": "unicode"},
        {"kind": "own", "function": f"tests.data.steps.fragile_steps:{function}"},
        {"kind": "exact_duplicates"},
        {"kind": "near_duplicates"},
    ]
    return run_spec(base, source(path), steps=steps, max_rejected=1.0), marker


def start_driver(folder: Path) -> subprocess.Popen[bytes]:
    """`loray apply` up to the dataset; a process of its own, which joins the tests' cluster."""
    import ray

    code = (
        "import os, ray; path = {'PYTHONPATH': os.environ['PYTHONPATH']}; "
        "ray.init(log_to_driver=False, runtime_env={'env_vars': path}); "
        "from pathlib import Path; from loray.pipeline.apply import apply; "
        "from loray.spec.run import RunSpec; "
        "apply(RunSpec.model_validate_json(Path('run.json').read_text()), until='dataset')"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),  # where the fragile step lies
        "RAY_ADDRESS": ray.get_runtime_context().gcs_address,
    }
    with (folder / "driver.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_for(path: Path, driver: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not path.exists():
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)

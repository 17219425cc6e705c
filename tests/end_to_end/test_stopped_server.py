"""A server that is told to end: who it serves is answered, and nobody else is taken on."""

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.commands import SETTINGS, Command, check_stopped, says

pytestmark = pytest.mark.ray
ASKED, IN_FLIGHT, SOME = 26, 24, 4
"""Requests, how many of them a server has when it is told to stop, and may end just then."""


@pytest.fixture
def slow_model(tmp_path: Path) -> Path:
    """A base that takes about half a second for an answer."""
    from loray.quickstart.initialise import write_random_model

    folder = tmp_path / "slow"
    write_random_model(
        folder,
        vocab_size=300,
        hidden_size=128,
        layers=4,
        heads=4,
        kv_heads=2,
        intermediate=384,
        max_positions=512,
        seed=0,
    )
    return folder


def test_a_server_that_is_stopped_answers_who_it_serves(
    left_alone: Path, slow_model: Path, loray: Callable[..., Command]
) -> None:
    serve = (
        f"base_model.path={slow_model}", "serve.max_context=512", "serve.max_new_tokens=250",
        "serve.max_batch=1", "serve.drain_seconds=240", "serve.request_timeout_seconds=240",
    )  # fmt: skip
    words = [word for each in serve for word in ("--set", each)]
    command = loray(left_alone, "serve", "run.yaml", "--port", "0", *SETTINGS, *words)
    line = command.wait_for(says("serving on http"))
    address = line.partition("serving on ")[2].partition(": ")[0]
    model = httpx.get(f"{address}/models", timeout=60).json()["data"][0]["id"]
    turns = [{"role": "user", "content": "Say."}]  # greedily, the base talks to the limit
    asked = {"model": model, "messages": turns, "max_tokens": 250, "temperature": 0.0}

    def ask(number: int) -> str:
        body = {**asked, "stream": bool(number % 2)}
        return client.post(f"{address}/chat/completions", json=body, timeout=300).text

    with httpx.Client() as client, ThreadPoolExecutor(ASKED) as pool:
        answers = [pool.submit(ask, number) for number in range(ASKED)]
        stats, slowest = {"num_in_flight": 0}, 0.0
        while stats["num_in_flight"] < IN_FLIGHT:
            began = time.monotonic()
            stats = client.get(f"{address}/stats", timeout=60).json()
            slowest = max(slowest, time.monotonic() - began)
        assert client.get(f"{address.removesuffix('/v1')}/readyz").status_code == 200
        assert slowest < 5, "whoever watches a server does not wait behind its clients"
        assert stats["num_queued"] > IN_FLIGHT // 2, "one at a time: most of them still wait"
        ended = command.signal(signal.SIGTERM)
    check_stopped(ended, signal.SIGTERM, "interrupted; no more requests are taken")
    (told,) = [line for line in ended.lines if "in flight" in line]
    count = int(told.partition(" ")[0])
    assert told == f"{count} request(s) were in flight: {count} finished, 0 cut off"
    assert IN_FLIGHT - SOME <= count <= ASKED
    for number, answer in enumerate(answers):
        if number % 2:
            assert answer.result().endswith("data: [DONE]\n\n")
        else:
            assert json.loads(answer.result())["usage"]["completion_tokens"] == 250


def test_a_port_that_is_taken_is_refused_before_anything_starts(
    left_alone: Path, loray: Callable[..., Command]
) -> None:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        ended = loray(left_alone, "serve", "run.yaml", "--port", str(port), *SETTINGS).end()
    assert ended.code == 2
    (line,) = ended.lines
    assert line.startswith(f"--port {port} of 127.0.0.1 is taken by process {os.getpid()} (")

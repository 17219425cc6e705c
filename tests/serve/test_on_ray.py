"""The whole application on a Ray cluster, asked by the official client."""

import json
import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.ray

QUESTION = [{"role": "user", "content": "What is a list?"}]
GREEDY = {"temperature": 0.0, "max_tokens": 40}


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_model_dir: Path):
    from tests.serve.world import write_world

    return write_world(tmp_path_factory.mktemp("served"), tiny_model_dir, slots=2)


@pytest.fixture(scope="module")
def address(ray_cluster, world):
    from ray import serve

    from loray.pipeline.catalog import catalog_of
    from loray.serve.run import serve_spec

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    yield serve_spec(world.spec, catalog_of(world.spec), port=port)
    serve.shutdown()


@pytest.fixture(scope="module")
def client(address):
    from openai import OpenAI

    return OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=30)


@pytest.fixture(scope="module")
def wanted(world):
    """What an engine of our own says to QUESTION, by reference."""
    from loray.inference import GenerateRequest, SamplingParams
    from loray.models.chat import encode_prompt, load_tokenizer
    from tests.serve.world import engine_of

    tokenizer = load_tokenizer(world.spec.base_model.path)
    prompt = tuple(encode_prompt(QUESTION, tokenizer, world.spec.data.chat))
    refs = [*world.folders, None]
    with engine_of(world) as engine:
        requests = [GenerateRequest(str(r), prompt, r, SamplingParams(40)) for r in refs]
        answers = engine.generate(requests)
    return {ref or "tiny": answer.text for ref, answer in zip(refs, answers, strict=True)}


def say(client, model, **fields):
    return client.chat.completions.create(model=model, messages=QUESTION, **GREEDY, **fields)


def stats(address) -> dict:
    return httpx.get(f"{address}/v1/stats").json()


def log_folder() -> Path:
    import ray

    return Path(ray._private.worker._global_node.get_session_dir_path()) / "logs"


def test_every_model_says_over_http_what_its_engine_says(client, wanted):
    assert len(set(wanted.values())) == 4
    for ref, text in wanted.items():
        answer = say(client, ref)
        assert answer.choices[0].message.content == text
        assert answer.model == ref


def test_a_stream_says_the_same(client, wanted):
    stream = say(client, "critic", stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == wanted["critic@1"]
    assert chunks[-1].usage.completion_tokens == 40 or chunks[-2].choices[0].finish_reason == "stop"


def test_two_adapters_are_answered_from_one_batch(client, address, wanted):
    with ThreadPoolExecutor(4) as pool:
        refs = ["poet@2", "critic@1"] * 4
        answers = list(pool.map(lambda ref: say(client, ref), refs))
    assert [a.choices[0].message.content for a in answers] == [wanted[ref] for ref in refs]
    assert stats(address)["max_adapters_in_step"] == 2


def test_three_adapters_take_turns_in_two_slots(client, address, wanted):
    with ThreadPoolExecutor(6) as pool:
        refs = ["poet@1", "poet@2", "critic@1"] * 4
        answers = list(pool.map(lambda ref: say(client, ref), refs))
    assert [a.choices[0].message.content for a in answers] == [wanted[ref] for ref in refs]
    assert len(stats(address)["resident"]) == 2


def test_models_are_listed(client):
    ids = {model.id for model in client.models.list()}
    versions = {"poet@1", "poet@2", "critic@1"}
    assert ids == {"tiny", "poet", "poet@champion", "critic", "critic@champion"} | versions
    assert client.models.retrieve("poet@champion").root == "poet@2"


def test_an_unknown_model_is_the_clients_not_found_and_evicts_nothing(client, address):
    from openai import NotFoundError

    before = stats(address)["resident"]
    with pytest.raises(NotFoundError) as caught:
        say(client, "nobody")
    assert caught.value.code == "model_not_found"
    assert stats(address)["resident"] == before


def test_a_bad_value_is_the_clients_bad_request(client):
    from openai import BadRequestError

    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="poet", messages=QUESTION, max_tokens=0)
    assert caught.value.param == "max_tokens"


def test_every_response_has_one_request_id(address):
    for headers in ({}, {"x-request-id": "mine-1"}):
        response = httpx.get(f"{address}/v1/models/poet", headers=headers)
        assert len(response.headers.get_list("x-request-id")) == 1
    assert response.headers["x-request-id"] == "mine-1"


def test_a_moved_alias_is_seen_by_running_replicas(client, world):
    alias = world.registry.alias("poet", "champion")
    assert say(client, "poet").model == "poet@2"
    world.registry.move_alias("poet", "champion", 1, expected_generation=alias.generation)
    time.sleep(1.1)
    assert say(client, "poet").model == "poet@1"
    world.registry.rollback("poet")
    time.sleep(1.1)
    assert say(client, "poet").model == "poet@2"


def test_a_client_that_hangs_up_frees_its_row(address):
    """Checklist rows 21 and 23: also when it asks Ray not to notice."""
    body = {"model": "poet", "messages": QUESTION, "stream": True, "max_tokens": 128,
            "temperature": 2.0, "seed": 3}  # fmt: skip
    for headers in ({}, {"x-request-disconnect-disabled": "?1"}):
        before = stats(address)["num_new_tokens"]
        with httpx.stream(
            "POST", f"{address}/v1/chat/completions", json=body, headers=headers
        ) as response:
            next(response.iter_lines())
        deadline = time.monotonic() + 5
        while stats(address)["num_running"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert stats(address)["num_running"] == 0
        assert stats(address)["num_new_tokens"] - before < 128


def test_every_metric_that_the_documentation_names_is_exported(client, repository):
    import ray

    page = (repository / "docs" / "concepts" / "serving.md").read_text()
    documented = set(re.findall(r"`(ray_loray_[a-z_]+)", page))
    assert len(documented) == 9
    say(client, "poet@1")
    (node,) = ray.nodes()
    wanted = [f"\n# TYPE {name} " for name in documented] + [
        r'\nray_loray_requests_total\{.*model="poet@1".*status="200"',
        r'\nray_loray_answer_entropy_nats_bucket\{.*model="poet@1"',
    ]
    deadline, missing = time.monotonic() + 30, wanted
    while missing and time.monotonic() < deadline:  # values travel every few seconds
        exported = httpx.get(f"http://127.0.0.1:{node['MetricsExportPort']}/metrics").text
        missing = [pattern for pattern in wanted if not re.search(pattern, exported)]
        time.sleep(0.5)
    assert missing == []


def test_prompts_are_in_no_log(client, address):
    """Checklist row 30."""
    canary = "canary-7c1f-needle"
    asked = [{"role": "user", "content": canary}]
    client.chat.completions.create(model="poet", messages=asked, **GREEDY)
    bad = json.dumps({"model": "poet", "messages": [{"role": "user", "content": [canary]}]})
    headers = {"content-type": "application/json"}
    httpx.post(f"{address}/v1/chat/completions", content=bad, headers=headers)
    time.sleep(1)
    logs = log_folder()
    found = [
        path.name
        for path in logs.rglob("*")
        if path.is_file() and canary.encode() in path.read_bytes()
    ]
    assert found == []
    served = b"".join(path.read_bytes() for path in logs.rglob("replica_loray_ingress*.log"))
    assert f"prompt={len(canary)} chars".encode() in served


def test_headers_that_steer_ray_come_off_inside_rays_proxy(address):
    """Checklist row 21; what comes off is tested in `test_edge.py`."""
    logs = "".join(path.read_text() for path in log_folder().rglob("proxy_*.log"))
    assert "'loray.serve.edge.proxy_middlewares'" in logs
    body = {"model": "poet", "messages": QUESTION, **GREEDY}
    for headers, status in [
        ({"serve_multiplexed_model_id": "critic"}, 400),
        ({"serve_multiplexed_model_id": "poet", "x-request-timeout-seconds": "0.000001"}, 200),
    ]:
        response = httpx.post(f"{address}/v1/chat/completions", json=body, headers=headers)
        assert response.status_code == status


def test_a_change_of_the_spec_drops_no_request(client, address, world, wanted):
    from loray.pipeline.catalog import catalog_of
    from loray.serve.run import serve_spec

    serve_block = world.spec.serve.model_copy(update={"slots": 3})
    changed = world.spec.model_copy(update={"serve": serve_block})
    port = int(address.rpartition(":")[2])
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(serve_spec, changed, catalog_of(changed), port=port)
        num_asked = 0
        while not renewing.done():
            assert say(client, "critic").choices[0].message.content == wanted["critic@1"]
            num_asked += 1
        assert renewing.result() == address
    assert num_asked > 3
    for ref in ("poet@1", "poet@2", "critic@1"):
        say(client, ref)
    assert len(stats(address)["resident"]) == 3


def test_a_killed_replica_costs_a_wait_or_a_refusal_that_may_be_retried(client, wanted):
    from openai import InternalServerError
    from ray._private.worker import get_dashboard_url
    from ray.util.state import list_actors

    (engine,) = list_actors(
        address=f"http://{get_dashboard_url()}",
        filters=[("class_name", "=", "ServeReplica:loray:engine"), ("state", "=", "ALIVE")],
    )
    os.kill(engine.pid, signal.SIGKILL)
    refused, deadline = [], time.monotonic() + 240
    while time.monotonic() < deadline:
        try:
            answer = say(client.with_options(timeout=120), "critic")
            break
        except InternalServerError as error:
            refused.append(error)
            time.sleep(0.2)
    assert answer.choices[0].message.content == wanted["critic@1"]
    seen = {(error.status_code, error.code) for error in refused}
    assert seen <= {(503, "unavailable"), (504, "deadline_exceeded")}

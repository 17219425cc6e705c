"""Adapters come and go under running requests, and nobody ever hears the wrong one."""

import json
import random
import shutil
import threading

import pytest
import torch
from safetensors.torch import load_file, save_file

from loray.errors import AdapterError, RequestError
from loray.inference import GenerateRequest, SamplingParams
from tests.inference.test_engine_requests import Listener
from tests.inference.worlds import build_base, prompt, write_adapter

pytestmark = pytest.mark.slow  # seconds each: the second half of make test

PROMPT = prompt(8, 10)


def ask(adapter, name="r", new=12) -> GenerateRequest:
    return GenerateRequest(name, PROMPT, adapter, SamplingParams(new))


@pytest.fixture(scope="module")
def wanted(oracle, world):
    """What each adapter says, as it says it undisturbed."""
    return {name: oracle.generate([ask(name)])[0].token_ids for name in world.adapters}


def test_twenty_five_requests_over_two_slots_all_hear_their_own_adapter(new_engine, world, wanted):
    engine = new_engine(slots=2, max_batch=4)
    order = random.Random(0).choices(sorted(world.adapters), k=25)
    listeners = [Listener() for _ in order]
    work = list(enumerate(order))
    lock = threading.Lock()

    def client():
        while True:
            with lock:
                if not work:
                    return
                number, name = work.pop()
            with engine.holding(name, world.adapters[name]):
                engine.submit(ask(name, f"{number}"), listeners[number])

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for name, listener in zip(order, listeners, strict=True):
        assert listener.last.finish_reason == "length"
        assert listener.tokens == wanted[name], name
    assert len(engine.stats().resident) == 2


def test_an_evicted_adapter_answers_its_running_request_to_the_end(new_engine, world, wanted):
    engine = new_engine(slots=1)
    engine.load_adapter("a", world.adapters["a"])
    running = Listener(0.005)
    engine.submit(ask("a"), running)
    assert running.first.wait(30)
    assert engine.evict("a")
    assert not engine.is_resident("a")
    engine.load_adapter("b", world.adapters["b"])
    assert running.ended.is_set(), "the load had to wait for the slot"
    assert running.tokens == wanted["a"]
    assert engine.generate([ask("b")])[0].token_ids == wanted["b"]


def test_a_moved_key_never_answers_from_the_old_weights(new_engine, world, wanted):
    engine = new_engine(slots=2)
    engine.load_adapter("champion", world.adapters["a"])
    assert engine.generate([ask("champion")])[0].token_ids == wanted["a"]
    running = Listener(0.005)
    engine.submit(ask("champion", "old"), running)
    assert running.first.wait(30)
    engine.load_adapter("champion", world.adapters["b"])
    assert not running.ended.is_set()
    assert engine.generate([ask("champion", "new")])[0].token_ids == wanted["b"]
    assert running.last.finish_reason == "length"
    assert running.tokens == wanted["a"]
    assert engine.stats().num_free_slots == 1


def test_the_same_content_again_is_not_loaded_again(new_engine, world, tmp_path, monkeypatch):
    engine = new_engine()
    engine.load_adapter("a", world.adapters["a"])
    shutil.copytree(world.adapters["a"], tmp_path / "copy")

    def never(slot, weights):
        raise AssertionError("copied again")

    monkeypatch.setattr(engine._runner.lora, "fill", never)
    engine.load_adapter("a", tmp_path / "copy")


def test_loads_of_one_key_at_once_fill_one_slot(new_engine, world):
    engine = new_engine()
    start = threading.Barrier(6)

    def load():
        start.wait()
        engine.load_adapter("a", world.adapters["a"])

    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert engine.stats().num_free_slots == 5
    assert engine.is_resident("a")


def test_a_request_that_is_refused_does_not_keep_its_adapter(new_engine, world):
    engine = new_engine(slots=1)
    engine.load_adapter("a", world.adapters["a"])
    running = Listener(0.005)
    engine.submit(ask(None, "same"), running)
    with pytest.raises(RequestError, match="still in use"):
        engine.submit(ask("a", "same"), Listener())
    engine.load_adapter("b", world.adapters["b"], wait_seconds=0.0)
    assert running.last.finish_reason == "length"


def test_an_engine_without_slots_runs_the_base_alone(new_engine, world, oracle):
    engine = new_engine(slots=0, max_rank=0)
    assert engine.generate([ask(None)])[0].token_ids == oracle.generate([ask(None)])[0].token_ids
    with pytest.raises(AdapterError, match="rank"):
        engine.load_adapter("a", world.adapters["a"], wait_seconds=0.0)


def test_an_adapter_held_is_not_evicted_and_who_waits_is_told_why(new_engine, world):
    engine = new_engine(slots=1)
    with engine.holding("a", world.adapters["a"]):
        with pytest.raises(AdapterError, match="all 1 adapter slots are in use"):
            engine.load_adapter("b", world.adapters["b"], wait_seconds=0.05)
        assert engine.is_resident("a")
    engine.load_adapter("b", world.adapters["b"], wait_seconds=0.05)
    assert engine.stats().resident == ("b",)


def nothing_to_scale(folder):
    """A DoRA whose update takes an output's weights away, so that its norm is zero."""
    base = build_base()
    write_adapter(folder, base, 1, use_dora=True, r=1, lora_alpha=1)
    tensors = load_file(folder / "adapter_model.safetensors")
    name = "model.layers.0.mlp.up_proj"
    weight = build_base().get_submodule(name).weight
    tensors[f"base_model.model.{name}.lora_A.weight"] = -weight[:1].detach().clone()
    tensors[f"base_model.model.{name}.lora_B.weight"][0] = 1.0
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def broken_copies(world, tmp_path):
    """An adapter damaged or foreign in one way each, and what the engine says of it."""
    yield write_adapter(tmp_path / "wide", build_base(hidden_size=64, head_dim=16), 1), "wants"
    yield write_adapter(tmp_path / "deep", build_base(num_hidden_layers=3), 1), "no linear layer"
    yield write_adapter(tmp_path / "rank", build_base(), 1, r=9), "at most 8"
    yield nothing_to_scale(tmp_path / "dora"), "layers.0.mlp.up_proj has no weights to be scaled"
    yield tmp_path / "nowhere", "missing|no folder"
    nan = tmp_path / "nan"
    shutil.copytree(world.adapters["a"], nan)
    tensors = load_file(nan / "adapter_model.safetensors")
    next(iter(tensors.values()))[0, 0] = torch.nan
    save_file(tensors, nan / "adapter_model.safetensors")
    yield nan, "NaN"
    torn = tmp_path / "torn"
    shutil.copytree(world.adapters["a"], torn)
    data = (torn / "adapter_model.safetensors").read_bytes()
    (torn / "adapter_model.safetensors").write_bytes(data[:-100])
    yield torn, "safetensors"
    odd = tmp_path / "odd"
    shutil.copytree(world.adapters["a"], odd)
    config = json.loads((odd / "adapter_config.json").read_text())
    (odd / "adapter_config.json").write_text(json.dumps(config | {"modules_to_save": ["lm_head"]}))
    yield odd, "modules_to_save"


def test_4_2_rows_10_to_12_a_load_that_fails_changes_nothing(new_engine, world, wanted, tmp_path):
    engine = new_engine(slots=1)
    engine.load_adapter("a", world.adapters["a"])
    for folder, reason in broken_copies(world, tmp_path):
        with pytest.raises(AdapterError, match=reason):
            engine.load_adapter("b", folder)
        with pytest.raises(AdapterError, match=reason):
            engine.load_adapter("a", folder)
        assert engine.stats().resident == ("a",)
    assert engine.generate([ask("a")])[0].token_ids == wanted["a"]


def test_an_error_while_copying_leaves_the_slot_free_and_the_key_unknown(
    new_engine, world, wanted, monkeypatch
):
    engine = new_engine(slots=1)
    sound = engine._runner.lora.fill

    def fails(slot, weights):
        raise MemoryError("no room for the copy")

    monkeypatch.setattr(engine._runner.lora, "fill", fails)
    with pytest.raises(MemoryError, match="no room for the copy"):
        engine.load_adapter("a", world.adapters["a"])
    assert (engine.is_resident("a"), engine.stats().num_free_slots) == (False, 1)
    monkeypatch.setattr(engine._runner.lora, "fill", sound)
    engine.load_adapter("a", world.adapters["a"])
    assert engine.generate([ask("a")])[0].token_ids == wanted["a"]

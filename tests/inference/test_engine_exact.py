"""The engine says what transformers and PEFT say, whoever shares the batch."""

import threading

import pytest
import torch

from loray.inference import GenerateRequest, SamplingParams, wrapping
from tests.inference.worlds import (
    World,
    build_base,
    plain_generate,
    prompt,
    read_base,
    write_adapter,
)

pytestmark = pytest.mark.slow  # numerics, seconds each: the second half of make test
NEW = 16
GREEDY = SamplingParams(max_new_tokens=NEW)
NAMES = (None, "a", "b", "c", "d", "e", "f")


def ask(number: int, adapter: str | None, ids: tuple[int, ...]) -> GenerateRequest:
    return GenerateRequest(f"{adapter} {number}", ids, adapter, GREEDY)


def assert_equal_to_plain(engine, peft_model, jobs):
    answers = engine.generate([ask(i, name, ids) for i, (name, ids) in enumerate(jobs)])
    for (name, ids), answer in zip(jobs, answers, strict=True):
        assert answer.token_ids == plain_generate(peft_model, ids, name, NEW), name


@pytest.mark.parametrize("name", NAMES)
def test_greedy_tokens_equal_plain_peft_when_alone(oracle, peft_model, name):
    assert_equal_to_plain(oracle, peft_model, [(name, prompt(1, 9))])


def test_every_adapter_says_something_else(oracle):
    answers = oracle.generate([ask(0, name, prompt(1, 9)) for name in NAMES])
    assert len({answer.token_ids for answer in answers}) == len(NAMES)


def test_greedy_tokens_equal_plain_peft_when_all_share_a_batch(oracle, peft_model):
    jobs = [(NAMES[i % 7], prompt(10 + i, 3 + (i * 7) % 40)) for i in range(14)]
    assert_equal_to_plain(oracle, peft_model, jobs)


def test_greedy_tokens_equal_plain_peft_whenever_a_request_joins(oracle, peft_model):
    """Each request is submitted when the one before has 3 tokens, so that joins meet decodes."""
    jobs = [(NAMES[-i], prompt(40 + i, 5 + 3 * i)) for i in range(7)]
    tokens = [[] for _ in jobs]
    ended = threading.Semaphore(0)

    def start(number):
        def hear(event):
            tokens[number].extend(event.token_ids)
            if len(tokens[number]) == 3 and number + 1 < len(jobs):
                start(number + 1)
            if event.finish_reason is not None:
                ended.release()

        oracle.submit(ask(number, *jobs[number]), hear)

    start(0)
    for _ in jobs:
        assert ended.acquire(timeout=60)
    for (name, ids), found in zip(jobs, tokens, strict=True):
        assert tuple(found) == plain_generate(peft_model, ids, name, NEW), name


@pytest.mark.parametrize("family", ["mistral", "qwen2", "qwen3"])
def test_other_families_equal_plain_peft(new_engine, tmp_path, family):
    adapters = {
        name: write_adapter(tmp_path / name, build_base(family), seed)
        for seed, name in enumerate(("x", "y"), start=21)
    }
    world = World(family, adapters)
    engine = new_engine(model=world.base())
    for name, folder in adapters.items():
        engine.load_adapter(name, folder)
    jobs = [(name, prompt(i, 4 + 5 * i)) for i, name in enumerate((None, "x", "y"))]
    assert_equal_to_plain(engine, world.peft(), jobs)


def test_eager_attention_equals_plain_peft(new_engine, world, peft_model):
    model = world.base()
    model.set_attn_implementation("eager")
    engine = new_engine(model=model)
    engine.load_adapter("a", world.adapters["a"])
    assert_equal_to_plain(engine, peft_model, [("a", prompt(1, 9)), (None, prompt(2, 20))])


@pytest.mark.parametrize("unpacked", [True, False])
def test_an_nf4_base_equals_plain_peft(new_engine, world, tmp_path, unpacked, monkeypatch):
    if not unpacked:
        monkeypatch.setattr(wrapping, "MAX_UNPACKED_BYTES", 0)
    world.base().save_pretrained(tmp_path)

    class Quantized(World):
        def base(self):
            return read_base(tmp_path, nf4=True)

    quantized = Quantized("llama", {name: world.adapters[name] for name in "ac"})
    engine = new_engine(model=quantized.base())
    for name, folder in quantized.adapters.items():
        engine.load_adapter(name, folder)
    jobs = [(name, prompt(i, 4 + 5 * i)) for i, name in enumerate((None, "a", "c"))]
    assert_equal_to_plain(engine, quantized.peft(), jobs)


def test_entropies_are_those_of_the_distributions_that_plain_peft_has(oracle, peft_model):
    ids = prompt(3, 12)
    events = []
    ended = threading.Event()

    def hear(event):
        events.append(event)
        if event.finish_reason:
            ended.set()

    oracle.submit(ask(0, "c", ids), hear)
    assert ended.wait(60)
    tokens = [token for event in events for token in event.token_ids]
    found = torch.tensor([value for event in events for value in event.entropies])
    peft_model.set_adapter("c")
    with torch.inference_mode():
        logits = peft_model(input_ids=torch.tensor([[*ids, *tokens]])).logits[0, len(ids) - 1 : -1]
    wanted = torch.distributions.Categorical(logits=logits).entropy()
    assert torch.allclose(found, wanted, atol=1e-4)

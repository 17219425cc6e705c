"""The engine says what transformers and PEFT say, whoever shares the batch."""

import pytest

from loray.inference import GenerateRequest, SamplingParams
from tests.inference.worlds import plain_generate, prompt

NEW = 24
GREEDY = SamplingParams(max_new_tokens=NEW)


def ask(name: str, adapter: str | None, ids: tuple[int, ...]) -> GenerateRequest:
    return GenerateRequest(name, ids, adapter, GREEDY)


@pytest.mark.parametrize("adapter", [None, "a", "b", "c", "d", "e"])
def test_greedy_tokens_equal_plain_peft_when_alone(engine, peft_model, adapter):
    ids = prompt(1, 9)
    [answer] = engine.generate([ask("one", adapter, ids)])
    assert answer.token_ids == plain_generate(peft_model, ids, adapter, NEW)


def test_every_adapter_says_something_else(engine):
    ids = prompt(1, 9)
    names = [None, "a", "b", "c", "d", "e", "f"]
    answers = engine.generate([ask(str(n), n, ids) for n in names])
    assert len({answer.token_ids for answer in answers}) == len(names)


def test_greedy_tokens_equal_plain_peft_when_all_share_a_batch(engine, peft_model):
    names = [None, "a", "b", "c", "d", "e", "f"]
    jobs = [(names[i % 7], prompt(10 + i, 3 + (i * 7) % 40)) for i in range(24)]
    answers = engine.generate([ask(str(i), n, ids) for i, (n, ids) in enumerate(jobs)])
    for (name, ids), answer in zip(jobs, answers, strict=True):
        assert answer.token_ids == plain_generate(peft_model, ids, name, NEW), name

import math

import pytest
import torch

from loray.errors import AdapterNotFoundError, RequestError
from loray.inference import engine as engine_module
from tests.inference.worlds import prompt


def item(seed: int, length: int) -> tuple[tuple[int, ...], list[bool]]:
    """Tokens, of which about half are targets; the last is not always one."""
    chosen = torch.rand(length, generator=torch.Generator().manual_seed(seed)) < 0.5
    return prompt(seed, length), chosen.tolist()


def hf_loss(model, ids, mask) -> tuple[float, int]:
    """Sum and count by transformers' own loss, whose first label is never looked at."""
    labels = torch.tensor([[i if wanted else -100 for i, wanted in zip(ids, mask, strict=True)]])
    count = int((labels[0, 1:] != -100).sum())
    with torch.inference_mode():
        return float(model(input_ids=torch.tensor([ids]), labels=labels).loss) * count, count


@pytest.mark.parametrize("adapter", [None, "a", "d"])
def test_a_score_equals_the_loss_of_transformers_and_peft(oracle, peft_model, adapter, monkeypatch):
    monkeypatch.setattr(engine_module, "SCORE_TOKENS", 100)
    items = [item(i, 2 + (13 * i) % 50) for i in range(12)]
    scores = oracle.score(items, adapter)
    for (ids, mask), score in zip(items, scores, strict=True):
        if adapter is None:
            with peft_model.disable_adapter():
                nll, count = hf_loss(peft_model, ids, mask)
        else:
            peft_model.set_adapter(adapter)
            nll, count = hf_loss(peft_model, ids, mask)
        assert score.num_targets == count
        assert score.nll_sum == pytest.approx(0.0 if math.isnan(nll) else nll, rel=1e-5, abs=1e-4)


def test_what_follows_the_last_target_changes_nothing(oracle):
    ids, mask = prompt(1, 20), [False] * 5 + [True] * 5
    [short] = oracle.score([(ids[:10], mask)], "a")
    [long] = oracle.score([(ids, mask + [False] * 10)], "a")
    assert long == short


def test_neither_no_item_nor_no_target_is_an_error(oracle):
    assert oracle.score([], "a") == []
    [empty, first, none] = oracle.score([((), ()), ((5,), (True,)), ((5, 6), (False, False))], None)
    assert [empty.num_targets, first.num_targets, none.num_targets] == [0, 0, 0]
    assert empty.nll_sum == first.nll_sum == none.nll_sum == 0.0


def test_a_sequence_that_does_not_fit_is_refused(oracle):
    with pytest.raises(RequestError, match="129 tokens, at most 128"):
        oracle.score([(prompt(1, 129), [True] * 129)], None)


def test_an_adapter_that_is_not_in_memory_is_refused(oracle):
    with pytest.raises(AdapterNotFoundError, match="nobody"):
        oracle.score([((1, 2), (True, True))], "nobody")


def test_logits_in_pieces_give_the_same_scores(oracle, monkeypatch):
    from loray.inference import runner

    items = [item(i, 40) for i in range(3)]
    whole = oracle.score(items, "a")
    monkeypatch.setattr(runner, "LOGIT_ELEMENTS", 1000)
    pieces = oracle.score(items, "a")
    assert [s.nll_sum for s in pieces] == pytest.approx([s.nll_sum for s in whole], rel=1e-6)

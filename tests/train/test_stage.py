"""Stages one after another compute what the whole decoder does, bit for bit, whatever its kind."""

from typing import Any

import pytest
import torch
from torch import nn

from loray.errors import ModelError
from tests.families import NAMES, build

COMMON: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
SLIDING = {
    "use_sliding_window": True,
    "sliding_window": 3,
    "layer_types": ["full_attention", "sliding_attention"] * 2 + ["full_attention"],
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "tied llama": {"tie_word_embeddings": True},
    "mistral": {"sliding_window": 3},
    "qwen2": SLIDING,
    "qwen3": SLIDING,
    "gemma": {"tie_word_embeddings": True},
    "gemma2": SLIDING | {"tie_word_embeddings": True},
}
IDS = torch.arange(24).view(2, 12) % 90 + 1
PACKED = torch.arange(12) % 5


def make(kind: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(kind.rsplit(maxsplit=1)[-1], **(COMMON | KINDS[kind]))
    return AutoModelForCausalLM.from_config(config)


def stages_of(kind: str, stages: int) -> list[tuple[Any, nn.Module]]:
    """A model of its own for each stage, as on as many workers."""
    from loray.train.stage import keep_stage, parts_of

    models = [make(kind) for _ in range(stages)]
    return [(m, keep_stage(m, parts_of(m, stages), at)) for at, m in enumerate(models)]


@pytest.mark.parametrize("positions", [PACKED, torch.arange(12)], ids=["packed", "not packed"])
@pytest.mark.parametrize("kind", KINDS)
def test_stages_in_turn_give_what_the_decoder_gives(kind: str, positions: torch.Tensor) -> None:
    rows = positions.expand(2, 12)
    whole = make(kind).get_decoder()(input_ids=IDS, position_ids=rows, use_cache=False)
    hidden = IDS
    for _, stage in stages_of(kind, 3):
        hidden = stage(hidden, positions=rows)
    assert torch.equal(hidden, whole.last_hidden_state)


@pytest.mark.parametrize("name", NAMES)
def test_two_stages_of_every_family_give_what_its_decoder_gives(name: str) -> None:
    from loray.train.stage import keep_stage, parts_of

    rows = PACKED.expand(2, 12)
    whole = build(name).get_decoder()(input_ids=IDS, position_ids=rows, use_cache=False)
    hidden = IDS
    for at, model in enumerate((build(name), build(name))):
        hidden = keep_stage(model, parts_of(model, 2), at)(hidden, positions=rows)
    assert torch.equal(hidden, whole.last_hidden_state)


@pytest.mark.parametrize("kind", ["llama", "tied llama"])
def test_a_stage_has_the_names_of_all_and_the_weights_of_its_own(kind: str) -> None:
    whole = make(kind)
    names = [name for name, _ in whole.named_parameters()]
    held = []
    for model, _ in stages_of(kind, 3):
        parameters = dict(model.named_parameters())
        assert list(parameters) == names
        assert all(parameters[name].shape == p.shape for name, p in whole.named_parameters())
        held.append({name for name in names if not parameters[name].is_meta})
    ends = {"model.embed_tokens.weight"} if kind == "tied llama" else set()
    assert set.union(*held) == set(names)
    assert held[0] & held[2] == ends
    assert not held[1] & (held[0] | held[2])
    assert {name.split(".")[2] for name in held[1]} == {"2", "3"}


def test_what_other_stages_hold_takes_no_memory_in_four_bits_either(model) -> None:
    from loray.train.learner import build_learner, causal_lm
    from loray.train.stage import keep_stage, parts_of
    from tests.train.sequences import make_spec

    learner = build_learner(make_spec(model), device="cpu")
    inner = causal_lm(learner)
    keep_stage(inner, parts_of(inner, 2), 1)
    first, last = inner.get_decoder().layers
    assert all(parameter.is_meta for parameter in first.parameters())
    assert all(getattr(module, "quant_state", None) is None for module in first.modules())
    assert not any(parameter.is_meta for parameter in last.parameters())
    learning = {n for n, p in first.named_parameters() if p.requires_grad}
    assert learning == {n for n, p in last.named_parameters() if p.requires_grad}


def test_more_stages_than_layers_are_refused() -> None:
    from loray.train.stage import parts_of

    with pytest.raises(ModelError, match="has 5 layers, and each worker holds one at least; use 5"):
        parts_of(make("llama"), 6)

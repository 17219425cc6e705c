import pytest
import torch

from loray.errors import ModelError
from loray.inference.wrapping import check_model, unwrap, wrap
from tests.families import build
from tests.inference.worlds import build_base


def test_more_context_than_positions_is_refused():
    with pytest.raises(ModelError, match="max_context is 257, the base model's max_position"):
        check_model(build_base(), 257)


def test_positions_from_which_rotary_embeddings_depend_on_the_batch_are_refused():
    long = build("phi3, long")
    with pytest.raises(
        ModelError, match="beyond 128 tokens the base model's rotary .* at most 128"
    ):
        check_model(long, 129)
    check_model(long, 128)
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    check_model(build_base(rope_parameters=rope), 256)


def test_another_architecture_is_refused():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=10))
    with pytest.raises(ModelError, match="'gpt2', which loray can neither"):
        check_model(model, 16)


def test_a_wrapped_model_computes_the_same_and_comes_back_unchanged():
    model, ids = build_base(), torch.arange(20)[None]
    before, modules = model(ids).logits, dict(model.named_modules())
    stack = wrap(model, num_slots=2, max_rank=4)
    assert len(stack.layers) == 14
    assert torch.equal(model(ids).logits, before)
    unwrap(model, stack)
    assert dict(model.named_modules()) == modules


def test_unwrapping_twice_does_not_unwrap_a_later_engine():
    model = build_base()
    stack = wrap(model, num_slots=2, max_rank=4)
    unwrap(model, stack)
    later = wrap(model, num_slots=2, max_rank=4)
    unwrap(model, stack)
    assert (
        model.get_submodule("model.layers.0.mlp.up_proj")
        is later.layers["model.layers.0.mlp.up_proj"]
    )


def test_a_model_that_carries_adapters_already_is_refused():
    from peft import LoraConfig, get_peft_model

    model = build_base()
    wrap(model, num_slots=2, max_rank=4)
    with pytest.raises(ModelError, match="carries adapters already"):
        wrap(model, num_slots=2, max_rank=4)
    with pytest.raises(ModelError, match="carries adapters already"):
        wrap(get_peft_model(build_base(), LoraConfig(r=2)), num_slots=2, max_rank=4)

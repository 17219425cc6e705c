"""The activations that the planner counts against those that autograd keeps."""

from dataclasses import replace

import pytest

from loray.planner.activations import activation_bytes, kept_by_layer
from loray.planner.architecture import Architecture
from loray.planner.loss import loss_bytes
from tests.planner.shapes import SHAPES, spec

pytestmark = pytest.mark.filterwarnings("default")  # PEFT uses a name that transformers retires
TOKENS = 64
HIDDEN, INTERMEDIATE, HEADS, KV_HEADS = 128, 192, 4, 2

METHODS = {
    "full": "{kind: full}",
    "all": "{kind: lora, rank: 4, alpha: 8}",
    "attention": "{kind: lora, rank: 4, alpha: 8, targets: attention}",
    "mlp": "{kind: lora, rank: 4, alpha: 8, targets: mlp}",
    "q and v": "{kind: lora, rank: 4, alpha: 8, targets: [q_proj, v_proj]}",
    "o and gate": "{kind: lora, rank: 4, alpha: 8, targets: [o_proj, gate_proj]}",
    "dropped": "{kind: lora, rank: 4, alpha: 8, targets: [q_proj, v_proj], dropout: 0.1}",
    "patterns": "{kind: lora, rank: 4, alpha: 8, patterns: [{modules: down_proj, rank: 9}]}",
}


def kept(run, layers: int) -> int:
    """Bytes that autograd keeps of a pass through a Llama, weights not counted."""
    from transformers import LlamaConfig

    return kept_by(
        run,
        LlamaConfig(
            vocab_size=64,
            hidden_size=HIDDEN,
            intermediate_size=INTERMEDIATE,
            num_hidden_layers=layers,
            num_attention_heads=HEADS,
            num_key_value_heads=KV_HEADS,
        ),
    )


def kept_by(run, config) -> int:
    """The same of a model of `config`."""
    import torch
    from transformers import AutoModelForCausalLM

    from loray.models.adapter import attach_adapter

    model = AutoModelForCausalLM.from_config(config).to(getattr(torch, run.base_model.dtype))
    model.train().requires_grad_(run.method.kind == "full")
    if run.method.kind == "lora":
        model = attach_adapter(model, run.method).get_base_model()
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    found: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        at = tensor.untyped_storage().data_ptr()
        if at not in weights:
            found[at] = tensor  # held, so that no other takes its place
        return tensor

    positions = torch.arange(TOKENS)
    if run.data.sequence.packing:
        positions %= TOKENS // 4
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.get_decoder()(
            input_ids=torch.arange(TOKENS)[None], position_ids=positions[None], use_cache=False
        )
    return sum(tensor.untyped_storage().nbytes() for tensor in found.values())


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", METHODS)
def test_a_layer_keeps_to_the_byte_what_is_counted(method: str, dtype: str, packing: bool):
    assert_counted(method=METHODS[method], base_model__dtype=dtype, data__sequence__packing=packing)


@pytest.mark.parametrize("method", METHODS)
def test_under_zero_3_a_layer_keeps_the_input_of_every_weight(method: str, monkeypatch):
    from deepspeed.runtime.zero.linear import zero3_linear_wrap
    from torch import nn

    monkeypatch.setattr(nn.functional, "linear", zero3_linear_wrap)  # as `deepspeed.zero.Init` does
    strategy = "{kind: deepspeed, zero_stage: 3}"
    assert_counted(method=METHODS[method], train__strategy=strategy, resources__workers=2)


def assert_counted(**settings) -> None:
    run = spec(base_model__quantization="none", data__sequence__max_tokens=TOKENS, **settings)
    shape = Architecture(
        hidden=HIDDEN,
        intermediate=INTERMEDIATE,
        layers=1,
        heads=HEADS,
        kv_heads=KV_HEADS,
        head_size=HIDDEN // HEADS,
        vocabulary=64,
        is_tied=False,
    )
    assert kept(run, 3) - kept(run, 2) == TOKENS * kept_by_layer(run, shape)


def test_recomputing_keeps_the_inputs_of_all_layers_and_then_one_layer_or_the_loss():
    model = SHAPES["llama-2-7b"]
    settings = {"data__sequence__max_tokens": 1000, "data__sequence__packing": False}
    again = spec(**settings, train__gradient_checkpointing=True)
    inputs, norm = model.layers * model.hidden * 2, 4 * model.hidden
    loss = loss_bytes(again, model)
    layer = 1000 * (kept_by_layer(again, model) + 3 * model.intermediate * 2)
    assert activation_bytes(again, model) == 1000 * (inputs + norm) + max(loss, layer)
    whole = activation_bytes(spec(**settings), model)
    assert whole == 1000 * (model.layers * kept_by_layer(again, model) + norm) + loss


def test_the_loss_holds_a_block_of_logits_what_is_projected_and_what_goes_back():
    model = SHAPES["llama-3-8b"]
    settings = {"data__sequence__max_tokens": 1000, "resources__gpus_per_worker": 1}
    positions = 2**25 // 128_256
    there_and_back = 1000 * 2 * 4096 * 2
    assert loss_bytes(spec(**settings), model) == 6 * positions * 128_256 + there_and_back
    short = loss_bytes(spec(**{**settings, "data__sequence__max_tokens": 100}), model)
    assert short == 100 * (6 * 128_256 + 2 * 4096 * 2)
    learned = spec(**settings, method="{kind: full}", base_model__quantization="none")
    more = loss_bytes(learned, model) - loss_bytes(spec(**settings), model)
    larger = 6 * (1000 - positions) * 128_256  # blocks of up to 1,046 positions
    assert more == larger + (4 + 2) * 128_256 * 4096
    last, first = (replace(model, has_head=has_head) for has_head in (True, False))
    assert (loss_bytes(learned, last) > 0, loss_bytes(learned, first)) == (True, 0)


def test_norms_of_heads_are_counted():
    plain = SHAPES["llama-3-8b"]
    normed = replace(plain, head_norms="shared")
    more = kept_by_layer(spec(), normed) - kept_by_layer(spec(), plain)
    assert more == 4 * (4096 + 1024) + 4 * (32 + 8)

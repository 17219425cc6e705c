"""Adapter folders that must be refused when they are imported, and by which words."""

import math

from tests.inference.worlds import VOCAB
from tests.registry.foreign_adapters import (
    ATTENTION,
    Foreign,
    altered,
    as_link,
    as_pickle,
    config,
    files,
    into_subfolder,
    lfs,
    renamed,
)

LAYER = "layers.1."
REFUSED: dict[str, Foreign] = {
    "deeper base, renamed": Foreign(
        change=(renamed(LAYER, "layers.30."),),
        refused=("'model.layers.30.self_attn.q_proj'", "it has 2 layers, 0 to 1"),
    ),
    "deeper base": Foreign(
        trained_on="deep", refused=("'model.layers.2.self_attn.q_proj'", "a deeper one")
    ),
    "shallower base": Foreign(
        base="deep", trained_on="untied",
        refused=("model.layers.2.self_attn.q_proj of the base", "4 such modules", "fewer layers"),
    ),
    "inner model": Foreign(
        change=(renamed("base_model.model.model.", "base_model.model."),),
        refused=("'layers.0.self_attn.q_proj'", "calls model.layers.0", "inner model"),
    ),
    "vision model": Foreign(
        change=(renamed("model.model.layers", "model.model.language_model.layers"),),
        refused=("'model.language_model.layers.0.self_attn.q_proj'", "vision-language"),
    ),
    "another family": Foreign(
        change=(renamed("self_attn.q_proj", "self_attn.qkv_proj"), config(
            target_modules=["qkv_proj", "v_proj"])),
        refused=("'model.layers.0.self_attn.qkv_proj'", "names such as"),
    ),
    "another width": Foreign(
        trained_on="wide",
        refused=("lora_A.weight (4, 64) at model.layers.0.self_attn.q_proj", "48 inputs"),
    ),
    "rank above the slot": Foreign(
        {"rank_pattern": {"layers.1.self_attn.v_proj": 65}},
        refused=("rank 65 at model.layers.1.self_attn.v_proj", "at most 64", "--max-rank 65"),
    ),
    "a norm in full": Foreign({"modules_to_save": ["norm"]}, refused=("modules_to_save", "norm")),
    "DoRA on the head": Foreign(
        {"target_modules": [*ATTENTION, "lm_head"], "use_dora": True},
        refused=("DoRA on lm_head (use_dora)",),
    ),
    "DoRA on the embedding": Foreign(
        {"target_modules": [*ATTENTION, "embed_tokens"], "use_dora": True},
        refused=("embed_tokens",),
    ),
    "another head beside a LoRA on it": Foreign(
        {"target_modules": [*ATTENTION, "lm_head"]},
        change=(altered("base_layer", lambda t: t + 1),),
        refused=("brings lm_head, and row 0 of it differs",),
    ),
    "tokens added, in full": Foreign(
        {"modules_to_save": ["embed_tokens", "lm_head"]}, trained_on="extended",
        refused=(f"with {VOCAB + 4} rows, the base model has {VOCAB}", "nothing that was learned"),
    ),
    "token rows beyond the base": Foreign(
        {"trainable_token_indices": [VOCAB + 1]}, trained_on="extended",
        refused=(f"with {VOCAB + 2} rows, the base model has {VOCAB}",),
    ),
    "bias of B": Foreign({"lora_bias": True}, refused=("'lora_bias' is True", "bias of B")),
    "biases the base has not": Foreign(
        {"bias": "all"}, base="untied", trained_on="biased",
        refused=("bias for model.layers.0.self_attn.k_proj, the base model has none",),
    ),
    "LoRA on parameters": Foreign(
        {"target_parameters": ["mlp.gate_proj.weight"]}, refused=("target_parameters",)
    ),
    "PiSSA, unconverted": Foreign(
        change=(config(init_lora_weights="pissa"),),
        refused=("init_lora_weights", "path_initial_model_for_weight_conversion"),
    ),
    "a new key that is set": Foreign(
        change=(config(use_something=True),), refused=("'use_something' is a key",)
    ),
    "an expression without end": Foreign(
        change=(config(target_modules=r"(.*.*.*.*.*.*.*.*.*.*)*x"),),
        refused=("target_modules takes longer than 5 seconds",),
    ),
    "an expression that is none": Foreign(
        change=(config(target_modules="(q_proj"),), refused=("not a regular expression",)
    ),
    "an expression that matches a norm": Foreign(
        change=(config(target_modules=r".*layers.*(proj|norm)"),),
        refused=("matches model.layers.0.input_layernorm", "not a linear layer"),
    ),
    "pickle only": Foreign(change=(as_pickle,), refused=("adapter_model.bin, a pickle", "convert")),
    "subfolder": Foreign(change=(into_subfolder,), refused=("checkpoint-10", "name the one")),
    "link": Foreign(change=(as_link,), refused=("adapter_model.safetensors is a link", "cp -rL")),
    "an unknown file": Foreign(change=(files("run.py"),), refused=("holds 'run.py'",)),
    "another base": Foreign(
        change=(config(base_model_name_or_path="org/other"),),
        refused=("names the base model 'org/other'", "--base-is-the-same"),
    ),
    "NaN": Foreign(
        change=(altered("layers.0.self_attn.v_proj.lora_B", lambda t: t * math.nan),),
        refused=("layers.0.self_attn.v_proj.lora_B.weight' holds NaN",),
    ),
    "float64": Foreign(
        change=(altered("q_proj.lora_A", lambda t: t.double()),), refused=("is 'F64', wanted F32",)
    ),
    "names with the adapter's name": Foreign(
        change=(renamed(".lora_A.weight", ".lora_A.default.weight"),),
        refused=("lora_A.default", "an adapter's name in its tensors"),
    ),
    "saved under DistributedDataParallel": Foreign(
        change=(renamed("base_model.model.", "base_model.model.module."),),
        refused=(
            "'module.model.layers.0.self_attn.q_proj'",
            "the base model calls model.layers.0.self_attn.q_proj", "rename its tensors",
        ),
    ),
    "saved under torch.compile": Foreign(
        change=(renamed("base_model.model.", "base_model.model._orig_mod."),),
        refused=("'_orig_mod.model.layers.0.self_attn.q_proj'", "within a wrapper"),
    ),
    "saved twice over": Foreign(
        change=(renamed("base_model.model.", "base_model.model.base_model.model."),),
        refused=("the base model calls model.layers.0.self_attn.q_proj",),
    ),
    "names without PEFT's beginning": Foreign(
        change=(renamed("base_model.model.", ""),),
        refused=("'model.layers.0.self_attn.q_proj.lora_A.weight'", "does not begin with"),
    ),
    "a pointer of Git LFS": Foreign(
        change=(lfs("adapter_model.safetensors"),),
        refused=("adapter_model.safetensors: found a Git LFS pointer", "git lfs pull"),
    ),
    "a config that is a pointer of Git LFS": Foreign(
        change=(lfs("adapter_config.json"),), refused=("adapter_config.json: found a Git LFS",)
    ),
    "a token row named twice": Foreign(
        {"trainable_token_indices": [3, 3, 4]}, refused=("names the row 3 of model.embed_tokens",)
    ),
    "a layer below zero": Foreign(
        change=(config(layers_to_transform=[-1]),),
        refused=("'layers_to_transform' is [-1]; wanted numbers of layers",),
    ),
    "half of the tensors": Foreign(
        change=(altered("layers.1.self_attn.v_proj", lambda _: None),),
        refused=("model.layers.1.self_attn.v_proj of the base model", "not whole"),
    ),
}  # fmt: skip

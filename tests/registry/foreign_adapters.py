"""Adapter folders as people bring them: made by real PEFT over tiny bases, then altered."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.inference.worlds import VOCAB, build_base

BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "untied": ("llama", {"tie_word_embeddings": False}),
    "tied": ("llama", {}),
    "biased": ("qwen2", {"tie_word_embeddings": False}),
    "deep": ("llama", {"tie_word_embeddings": False, "num_hidden_layers": 4}),
    "wide": ("llama", {"tie_word_embeddings": False, "hidden_size": 64, "intermediate_size": 96}),
    "extended": ("llama", {"tie_word_embeddings": False, "vocab_size": VOCAB + 4}),
}
ATTENTION = ["q_proj", "v_proj"]
Change = Callable[[Path], None]


@dataclass(frozen=True)
class Foreign:
    """An adapter folder and what is to become of it."""

    options: dict[str, Any] = field(default_factory=dict)
    """Of `LoraConfig`."""
    base: str = "untied"
    """The base that it is imported for."""
    trained_on: str | None = None
    """Another base that it was made over."""
    change: tuple[Change, ...] = ()
    """What is done to the folder after PEFT saved it."""
    refused: tuple[str, ...] = ()
    """Words of the refusal; none where it is imported and must equal PEFT."""
    told: tuple[str, ...] = ()
    """Words of what the import reports."""
    terms: dict[str, Any] = field(default_factory=dict)


def config(**values: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def files(*names: str) -> Change:
    def change(folder: Path) -> None:
        for name in names:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"\x80\x04not to be read")

    return change


def renamed(old: str, new: str) -> Change:
    """The tensors by other names."""

    def change(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = folder / "adapter_model.safetensors"
        tensors = {name.replace(old, new): tensor for name, tensor in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})

    return change


def altered(name: str, how: Callable[[Any], Any]) -> Change:
    """Tensors of which `name` is a part, changed; None takes one out."""

    def change(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = folder / "adapter_model.safetensors"
        tensors = {k: how(v) if name in k else v for k, v in load_file(path).items()}
        kept = {k: v for k, v in tensors.items() if v is not None}
        save_file(kept, path, metadata={"format": "pt"})

    return change


def as_pickle(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def lfs(name: str) -> Change:
    """What a clone without Git LFS has in the place of a file."""
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 99\n"

    def change(folder: Path) -> None:
        (folder / name).write_text(pointer)

    return change


def into_subfolder(folder: Path) -> None:
    inner = folder / "checkpoint-10"
    inner.mkdir()
    for path in list(folder.iterdir()):
        if path.is_file():
            path.rename(inner / path.name)


def as_link(folder: Path) -> None:
    elsewhere = folder.parent / f"{folder.name}-weights"
    (folder / "adapter_model.safetensors").rename(elsewhere)
    (folder / "adapter_model.safetensors").symlink_to(elsewhere)


def make(case: Foreign, folder: Path) -> Path:
    """The folder of `case`, its base named as PEFT names it."""
    import torch
    from peft import LoraConfig, get_peft_model

    options: dict[str, Any] = {
        "r": 4, "lora_alpha": 8, "target_modules": ATTENTION, "task_type": "CAUSAL_LM",
    } | case.options  # fmt: skip
    model = get_peft_model(base_of(case.trained_on or case.base), LoraConfig(**options))
    generator = torch.Generator().manual_seed(5)
    seen: set[int] = set()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    config(base_model_name_or_path=case.base)(folder)
    for change in case.change:
        change(folder)
    return folder


def base_of(kind: str) -> Any:
    family, changes = BASES[kind]
    return build_base(family, **changes)


UNSLOTH = (
    r"(?:.*?(?:vision|image|visual|patch|vit).*?(?:self_attn|attention|mlp).*?(?:q_proj|fc).*?)|"
    r"(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense)\."
    r"(?:(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)))"
)
"""The expression that Unsloth writes, its alternatives shortened."""
TRAINERS = (
    "optimizer.pt", "scheduler.pt", "rng_state_0.pth", "training_args.bin", "trainer_state.json",
    "LICENSE", "random_states_0.pkl", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", ".gitattributes", "tokenizer.model", "global_step10/mp_rank_00.pt",
)  # fmt: skip

TAKEN: dict[str, Foreign] = {
    "plain": Foreign(),
    "all linear, rsLoRA": Foreign({"target_modules": "all-linear", "use_rslora": True}),
    "DoRA over biases": Foreign({"use_dora": True, "bias": "all"}, base="biased"),
    "trainer's checkpoint": Foreign(
        change=(files(*TRAINERS), files("README.md")), told=TRAINERS[:11]
    ),
    "keys of a later PEFT": Foreign(
        change=(config(some_future_config=None, enable_lora=None, use_something=False, more={}),),
        told=("some_future_config (null)", "enable_lora (null)", "use_something (false)"),
    ),
    "keys of an old PEFT": Foreign(
        change=(config(merge_weights=False, use_dora=None),),
        told=("merge_weights (false)",),
    ),
    "Unsloth's mapping": Foreign(
        change=(
            config(
                auto_mapping={
                    "base_model_class": "LlamaForCausalLM",
                    "parent_library": "transformers.models.llama.modeling_llama",
                    "unsloth_fixed": True,
                }
            ),
        ),
        told=("auto_mapping.unsloth_fixed",),
    ),
    "expression": Foreign({"target_modules": r".*\.(q|v|up)_proj"}, told=("6 modules",)),
    "Unsloth's expression": Foreign({"target_modules": UNSLOTH}, told=("14 modules",)),
    "expression excludes": Foreign(
        {"target_modules": "all-linear", "exclude_modules": r".*layers\.0\.mlp.*"},
        told=("exclude_modules",),
    ),
    "expressions in patterns": Foreign(
        {
            "target_modules": [*ATTENTION, "down_proj"],
            "rank_pattern": {r".*layers\.0.*proj": 2, "down_proj": 7},
            "alpha_pattern": {r"layers\.[01]\.mlp\.(up|down)_proj": 3},
        },
        told=("rank_pattern, alpha_pattern",),
    ),
    "layers pattern": Foreign(
        {"layers_to_transform": [1], "layers_pattern": "layers"}, told=("2 modules",)
    ),
    "layers pattern that is empty": Foreign(
        {"layers_to_transform": [0], "layers_pattern": []}, told=()
    ),
    "one module by its whole name": Foreign(
        {"target_modules": ["model.layers.0.mlp.up_proj", "q_proj"], "layers_to_transform": [1]}
    ),
    "head": Foreign(
        {"target_modules": [*ATTENTION, "lm_head"]}, told=("lm_head, equal to the base",)
    ),
    "head, tied": Foreign({"target_modules": [*ATTENTION, "lm_head"]}, base="tied"),
    "head, by an expression": Foreign({"target_modules": r".*(q_proj|lm_head)"}),
    "embedding": Foreign({"target_modules": [*ATTENTION, "embed_tokens"]}),
    "embedding and head, tied": Foreign(
        {"target_modules": [*ATTENTION, "embed_tokens", "lm_head"], "r": 6}, base="tied"
    ),
    "embedding, tying ensured": Foreign(
        {"target_modules": [*ATTENTION, "embed_tokens"], "ensure_weight_tying": True}, base="tied"
    ),
    "embedding in full, tying ensured": Foreign(
        {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, base="tied"
    ),
    "tying asked where nothing is tied": Foreign(
        {"modules_to_save": ["lm_head"], "ensure_weight_tying": True}
    ),
    "token rows": Foreign({"trainable_token_indices": [3, 7]}, told=("2 rows of model.embed",)),
    "token rows, tied": Foreign({"trainable_token_indices": [7, 3]}, base="tied"),
    "token rows of both": Foreign(
        {"trainable_token_indices": {"embed_tokens": [3, 7], "lm_head": [5]}}
    ),
    "token rows of both, tied": Foreign(
        {"trainable_token_indices": {"embed_tokens": [3, 7], "lm_head": [5]}}, base="tied"
    ),
    "tokens added to base and adapter": Foreign(
        {"modules_to_save": ["embed_tokens", "lm_head"]}, base="extended"
    ),
    "EVA, when it is over": Foreign(
        change=(config(init_lora_weights="eva", eva_config={"rho": 2.0}),), told=("eva_config",)
    ),
    "base spelled with a slash": Foreign(change=(config(base_model_name_or_path="untied/"),)),
    "base quantized elsewhere": Foreign(
        change=(config(base_model_name_or_path="unsloth/llama-bnb-4bit"),),
        terms={"is_same_base": True},
        told=("names the base unsloth/llama-bnb-4bit",),
    ),
    "rank above the slot, which is raised": Foreign({"r": 12}, terms={"max_rank": 12}),
}
"""What is imported and must then say in the engine what plain PEFT says."""

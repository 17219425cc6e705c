"""Base folders as people bring them, each with what is wrong with it."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bases import CONFIG, shapes_of, write_base, write_tensors, write_tokenizer

Change = Callable[[Path], object]
LAYER = "model.layers.1.mlp.up_proj.weight"


def config(**values: Any) -> Change:
    """Keys of `config.json` set; those set to `...` taken out."""

    def change(folder: Path) -> None:
        found = json.loads((folder / "config.json").read_text()) | values
        found = {key: value for key, value in found.items() if value is not ...}
        (folder / "config.json").write_text(json.dumps(found))

    return change


def weights(dtype: str = "F32", **shapes: Any) -> Change:
    """The weights written anew; a shape that is None is left out."""

    def change(folder: Path) -> None:
        given = {name.replace("__", "."): size for name, size in shapes.items()}
        found = {k: v for k, v in (shapes_of(CONFIG) | given).items() if v is not None}
        write_tensors(folder / "model.safetensors", found, dtype=dtype)

    return change


def text(name: str, content: str | bytes) -> Change:
    def change(folder: Path) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)

    return change


def without(*names: str) -> Change:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def cut_in_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:200])


def longer(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as stream:
        stream.write(b"\0" * 8)


def link_to_nowhere(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("gone.safetensors")


def pipe(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")


def index_pipe(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors.index.json")


def sharded(*, lost: bool = False, twice: bool = False, unheld: bool = False) -> Change:
    """Two files and an index; one of them lost, with a weight of the other, or without one."""

    def change(folder: Path) -> None:
        names = list(shapes_of(CONFIG))
        parts = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
        (folder / "model.safetensors").unlink()
        for file, some in parts.items():
            held = [*some, names[0]] if twice and file == "b.safetensors" else some
            write_tensors(folder / file, {n: shapes_of(CONFIG)[n] for n in held})
        weight_map = {name: file for file, some in parts.items() for name in some}
        if unheld:
            weight_map["model.more.weight"] = "a.safetensors"
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        if lost:
            (folder / "b.safetensors").unlink()

    return change


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def tokenizer(change: Callable[[dict[str, Any]], object]) -> Change:
    def changed(folder: Path) -> None:
        path = folder / "tokenizer.json"
        found = json.loads(path.read_text())
        change(found)
        path.write_text(json.dumps(found))

    return changed


def more_tokens(special: bool) -> Change:
    token = {
        "id": 300, "content": "<more>", "special": special, "single_word": False,
        "lstrip": False, "rstrip": False, "normalized": False,
    }  # fmt: skip
    return tokenizer(lambda found: found["added_tokens"].append(token))


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 99\n"
BROKEN: dict[str, tuple[Change, tuple[str, ...]]] = {
    "another family": (config(model_type="falcon"), ("type 'falcon'", "neither train nor serve")),
    "no type": (config(model_type=...), ("names no model_type",)),
    "a classifier": (
        config(architectures=["LlamaForSequenceClassification"]), ("causal language model",)
    ),
    "config is not JSON": (text("config.json", "{"), ("config.json is not JSON",)),
    "config is a list": (text("config.json", "[]"), ("is not a JSON object",)),
    "config lacks a number": (config(hidden_size=...), ("lacks hidden_size",)),
    "negative layers": (config(num_hidden_layers=-2), ("num_hidden_layers -2",)),
    "layers as text": (config(num_hidden_layers="2"), ("num_hidden_layers '2'",)),
    "a billion layers": (config(num_hidden_layers=10**9), ("wanted a whole number from 1 to",)),
    "heads do not divide": (config(num_key_value_heads=3), ("3 num_key_value_heads",)),
    "hidden size and heads": (config(hidden_size=66), ("which 4 heads do not divide",)),
    "epsilon": (config(rms_norm_eps=-1.0), ("rms_norm_eps -1.0",)),
    "end beyond the vocabulary": (config(eos_token_id=[257, 301]), ("eos_token_id 301",)),
    "pad beyond the vocabulary": (config(pad_token_id=300), ("pad_token_id 300",)),
    "AWQ": (
        config(quantization_config={"quant_method": "awq", "bits": 4}),
        ("quantized already ('awq'", "base_model.quantization: nf4"),
    ),
    "bitsandbytes": (
        config(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        ("quantized already ('bitsandbytes'",),
    ),
    "8-bit weights": (weights(dtype="F8_E4M3"), ("as F8_E4M3", "quantized from")),
    "zero bytes": (text("model.safetensors", ""), ("found a file of 0 bytes",)),
    "LFS pointer": (text("model.safetensors", POINTER), ("Git LFS pointer", "git lfs pull")),
    "cut off": (cut, ("it is cut off",)),
    "cut off in the header": (cut_in_header, ("its header would be", "cut off")),
    "more bytes": (longer, ("it has more",)),
    "not safetensors": (text("model.safetensors", b"\x08\0\0\0\0\0\0\0garbage!"), ("not JSON",)),
    "pickles only": (pickle_only, ("PyTorch pickles only (pytorch_model.bin)", "save_pretrained")),
    "GGUF": (
        lambda f: (f / "model.safetensors").rename(f / "model-q4.gguf"), ("GGUF files only",)
    ),
    "no weights": (without("model.safetensors"), ("found no weights",)),
    "lost shard": (sharded(lost=True), ("names b.safetensors, which the folder lacks",)),
    "weight in two shards": (sharded(twice=True), ("holds model.embed_tokens.weight, which",)),
    "index names what no shard holds": (sharded(unheld=True), ("names model.more.weight",)),
    "index is not JSON": (
        lambda f: (without("model.safetensors")(f), text("model.safetensors.index.json", "x")(f)),
        ("index.json cannot be read",),
    ),
    "missing weight": (weights(model__layers__1__mlp__up_proj__weight=None), (f"lack {LAYER}",)),
    "another shape": (
        weights(model__layers__1__mlp__up_proj__weight=(100, 64)),
        (f"{LAYER} of shape (100, 64); config.json wants (128, 64)",),
    ),
    "fewer layers in the config": (
        config(num_hidden_layers=1), ("hold model.layers.1.", "1 layers")
    ),
    "tied, with a head of its own": (
        weights(lm_head__weight=(300, 32)), ("tie_word_embeddings", "differs from the embedding")
    ),
    "untied, without a head": (config(tie_word_embeddings=False), ("lack lm_head.weight",)),
    "no tokenizer": (without("tokenizer.json", "tokenizer_config.json"), ("no tokenizer.json",)),
    "slow tokenizer": (
        lambda f: (f / "tokenizer.json").rename(f / "tokenizer.model"),
        ("only tokenizer.model of a slow tokenizer",),
    ),
    "tokenizer is not JSON": (text("tokenizer.json", "{"), ("tokenizer.json cannot be read",)),
    "tokenizer without a model": (
        text("tokenizer.json", "{}"), ("tokenizer.json has no model with a vocabulary",)
    ),
    "token beyond the embedding": (more_tokens(special=False), ("'<more>' with id 300",)),
    "pad token that is not there": (
        lambda f: write_tokenizer(f, pad_token="<pad>"), ("the pad_token '<pad>', which",)
    ),
    "dtype": (config(dtype="int4"), ("dtype 'int4'",)),
    "an activation that is none": (
        config(hidden_act="wibble"), ("hidden_act 'wibble'; wanted an activation",)
    ),
    "a flag in quotes": (
        config(tie_word_embeddings="false"), ("tie_word_embeddings 'false'; wanted true or false",)
    ),
    "dropout of 2": (config(attention_dropout=2.0), ("attention_dropout 2.0",)),
    "whole initializer range": (config(initializer_range=-1), ("initializer_range -1",)),
    "window of -5": (
        config(model_type="mistral", sliding_window=-5), ("sliding_window -5; wanted positions",)
    ),
    "rope as text": (config(rope_scaling="linear"), ("rope_scaling 'linear'; wanted an object",)),
    "rope as a list": (config(rope_parameters=[1, 2]), ("rope_parameters [1, 2]",)),
    "rope of no kind": (
        config(rope_scaling={"rope_type": "wibble"}), ("the rope_type 'wibble' in rope_scaling",)
    ),
    "rope without a factor": (
        config(rope_scaling={"rope_type": "yarn"}), ("factor None in rope_scaling of type yarn",)
    ),
    "rope of factor 0": (
        config(rope_scaling={"type": "linear", "factor": 0.0}), ("factor 0.0 in rope_scaling",)
    ),
    "half of Llama 3's rope": (
        config(rope_scaling={"rope_type": "llama3", "factor": 8.0}),
        ("low_freq_factor None", "high_freq_factor None", "original_max_position_embeddings None"),
    ),
    "an adapter beside it": (
        text("adapter_config.json", "{}"), ("holds an adapter_config.json, too", "of its own")
    ),
    "config is a pointer": (text("config.json", POINTER), ("json: found a Git LFS pointer",)),
    "config with a byte order mark": (
        text("config.json", b"\xef\xbb\xbf{}"), ("config.json is not JSON (Unexpected UTF-8 BOM",)
    ),
    "config in UTF-16": (text("config.json", "{}".encode("utf-16")), ("config.json is not JSON",)),
    "tokenizer is a pointer": (
        text("tokenizer.json", POINTER), ("tokenizer.json: found a Git LFS pointer",)
    ),
    "generation_config is a list": (
        text("generation_config.json", "[]"), ("generation_config.json is not a JSON object",)
    ),
    "biases that the config has not": (
        weights(model__layers__0__self_attn__q_proj__bias=(64,)),
        ("hold model.layers.0.self_attn.q_proj.bias", "correct config.json (attention_bias"),
    ),
    "a layer far beyond": (
        weights(model__layers__7__mlp__up_proj__weight=(128, 64)),
        ("hold model.layers.7.mlp.up_proj.weight", "0 to 1"),
    ),
    "link to nowhere": (link_to_nowhere, ("it is a link to gone.safetensors, which is not there",)),
    "named pipe": (pipe, ("model.safetensors: it is not a regular file",)),
    "index is a named pipe": (index_pipe, ("index.json cannot be read (it is not a regular",)),
    "not a number": (config(rope_theta=math.inf), ("rope_theta",)),
}  # fmt: skip
"""A folder's change, and words of what is found."""

SOUND: dict[str, Change] = {
    "plain": lambda _: None,
    "sharded": sharded(),
    "bfloat16": weights(dtype="BF16"),
    "names without model.": weights(
        **dict.fromkeys((n.replace(".", "__") for n in shapes_of(CONFIG)), None),
        **{n.removeprefix("model.").replace(".", "__"): s for n, s in shapes_of(CONFIG).items()},
    ),
    "untied": lambda f: write_base(f, tie_word_embeddings=False),
    "special token beyond the embedding, unused": more_tokens(special=True),
    "code of its own": config(auto_map={"AutoModel": "modeling.Evil"}),
    "a class of its own": config(architectures=["TinyLlamaForCausalLM"]),
    "the class as it once was": config(architectures=["LLaMAForCausalLM"]),
    "no class": config(architectures=None),
    "heads as many as transformers fills in": config(num_key_value_heads=2, head_dim=None),
    "what old files hold beside": weights(model__layers__0__self_attn__rotary_emb__inv_freq=(8,)),
    "a head for rewards beside": weights(v_head__summary__weight=(1, 64)),
    "no pad": lambda f: (config(pad_token_id=None)(f), write_tokenizer(f, pad_token=None)),
    "Llama 3's rope": config(
        rope_scaling={
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    ),
    "rope of today": config(rope_parameters={"rope_type": "default", "rope_theta": 1e4}),
    "no scaling": config(rope_scaling=None, sliding_window=None, attention_dropout=0),
    "a window that is not used": config(use_sliding_window=False, sliding_window=0),
    "generation_config": text("generation_config.json", '{"temperature": 0.6}'),
    "old pad": config(pad_token_id=-1),
    "pickles beside": text("pytorch_model.bin", "pickle"),
    "tied head in the file": weights(lm_head__weight=(300, 64)),
    "old name of dtype": config(dtype=..., torch_dtype="float16"),
}
"""Folders that nothing is wrong with."""


def changed(folder: Path, change: Change) -> Path:
    """A base with a change."""
    write_base(folder)
    change(folder)
    return folder

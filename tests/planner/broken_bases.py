"""Base folders as people bring them, each with what is wrong with it."""

import json
import math
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
    "no pad": lambda f: (config(pad_token_id=None)(f), write_tokenizer(f, pad_token=None)),
    "old pad": config(pad_token_id=-1),
    "pickles beside": text("pytorch_model.bin", "pickle"),
    "tied head in the file": weights(lm_head__weight=(300, 64)),
    "old name of dtype": config(dtype=..., torch_dtype="float16"),
}
"""Folders that nothing is wrong with."""


def broken(folder: Path, name: str) -> Path:
    """The base of that name."""
    write_base(folder)
    (BROKEN[name][0] if name in BROKEN else SOUND[name])(folder)
    return folder

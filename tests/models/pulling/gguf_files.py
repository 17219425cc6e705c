"""Tiny GGUF files as llama.cpp's converter writes them, and wheels that hold one."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bases import TEMPLATE

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("t h", "th e", "\u0120 t", "\u0120 \u0120")
ALPHABET = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256))]
ALPHABET += [chr(256 + n) for n in range(256 - len(ALPHABET))]
"""The letters that stand for bytes in byte-level vocabularies."""
VOCABULARY = [*SPECIAL, *ALPHABET, *(merge.replace(" ", "") for merge in MERGES)]
PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
}  # fmt: skip
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def tiny_model(kind: str = "llama") -> Any:
    """A random model of 2 layers with `VOCABULARY`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        kind, vocab_size=len(VOCABULARY), hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128,
        head_dim=128 if kind == "qwen3" else 32,  # what transformers takes of Qwen3 in a GGUF file
        tie_word_embeddings=kind != "qwen2", bos_token_id=1, eos_token_id=2, pad_token_id=2,
        rms_norm_eps=1e-5,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            parameter.data = torch.randn_like(parameter) * 0.2
    return model.eval()


def write_gguf(
    path: Path,
    model: Any,
    *,
    stored: str = "F32",
    split: str = "smollm",
    keys: Mapping[str, Any] = {},
) -> Path:
    """The file of `model`, its matrices stored as `stored`; `keys` are laid over the header."""
    import gguf

    kind, config = model.config.model_type, model.config
    writer = gguf.GGUFWriter(path, kind)
    for name, value in {
        f"{kind}.context_length": config.max_position_embeddings,
        f"{kind}.embedding_length": config.hidden_size,
        f"{kind}.block_count": config.num_hidden_layers,
        f"{kind}.feed_forward_length": config.intermediate_size,
        f"{kind}.attention.head_count": config.num_attention_heads,
        f"{kind}.attention.head_count_kv": config.num_key_value_heads,
        f"{kind}.rope.dimension_count": config.head_dim,
        f"{kind}.vocab_size": config.vocab_size,
        **({f"{kind}.attention.key_length": config.head_dim} if kind == "qwen3" else {}),
    }.items():
        writer.add_uint32(name, value)
    writer.add_float32(f"{kind}.attention.layer_norm_rms_epsilon", config.rms_norm_eps)
    writer.add_float32(f"{kind}.rope.freq_base", config.rope_parameters["rope_theta"])
    writer.add_string("general.license", "mit")
    writer.add_string("tokenizer.ggml.model", keys.get("tokenizer", "gpt2"))
    writer.add_string("tokenizer.ggml.pre", split)
    writer.add_array("tokenizer.ggml.tokens", VOCABULARY)
    writer.add_array("tokenizer.ggml.token_type", [3] * len(SPECIAL) + [1] * (len(VOCABULARY) - 3))
    writer.add_array("tokenizer.ggml.merges", list(MERGES))
    for name, at in (("bos", 1), ("eos", 2), ("unknown", 0), ("padding", 2)):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", at)
    writer.add_string("tokenizer.chat_template", TEMPLATE)
    for name, value in keys.items():
        if "." in name:
            writer.add_float32(name, value)
    _add_tensors(writer, model, stored, keys.get("tensor"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tensors(writer: Any, model: Any, stored: str, extra: str | None) -> None:
    import gguf
    import numpy as np

    if extra is not None:
        writer.add_tensor(extra, np.ones(16, dtype=np.float32))
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        data = tensor.numpy()
        if model.config.model_type == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            data = _interleaved(data, data.shape[0] // model.config.head_dim)
        is_matrix = data.ndim == 2
        how = gguf.GGMLQuantizationType[stored if is_matrix else "F32"]
        packed = gguf.quantize(np.ascontiguousarray(data), how)
        writer.add_tensor(gguf_name(name), packed, raw_dtype=how)


def _interleaved(data: Any, heads: int) -> Any:
    """Rows of a rotary projection in llama.cpp's order: pairs beside each other."""
    return data.reshape(heads, 2, -1, data.shape[1]).swapaxes(1, 2).reshape(data.shape)


def gguf_name(name: str) -> str:
    """llama.cpp's name of a weight of transformers."""
    stem, _, end = name.rpartition(".")
    if stem in TOP:
        return f"{TOP[stem]}.{end}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{PARTS[part]}.{end}"


def write_wheel(
    folder: Path, files: Mapping[str, bytes], *, name: str = "tiny_gguf", wrong: str | None = None
) -> Path:
    """A wheel of version 1.0; RECORD has another digest of the file `wrong`."""
    about = f"{name}-1.0.dist-info"
    members = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        "License: MIT\n".encode(),
        f"{about}/LICENSE": b"Permission is granted\n",
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [
        f"{n},sha256={_record_digest(d if n != wrong else b'')},{len(d)}"
        for n, d in members.items()
    ]
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
        archive.writestr(f"{about}/RECORD", "\n".join([*lines, f"{about}/RECORD,,"]))
    return path


def _record_digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()

"""Folders of base models as transformers saves them, made without torch: zeros and a tokenizer."""

import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "vocab_size": 300,
    "tie_word_embeddings": True,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 256,
    "dtype": "float32",
}
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_end|>", "<|im_start|>")
Shapes = dict[str, tuple[int, ...]]


def write_base(folder: Path, **changes: Any) -> Path:
    """A base that nothing is wrong with; `changes` are laid over its config."""
    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIG | changes
    (folder / "config.json").write_text(json.dumps(config))
    write_tensors(folder / "model.safetensors", shapes_of(config))
    write_tokenizer(folder)
    return folder


def shapes_of(config: dict[str, Any]) -> Shapes:
    """Names and shapes of a Llama's weights."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim") or hidden // heads
    layer: Shapes = {
        "self_attn.q_proj": (heads * head, hidden), "self_attn.k_proj": (kv * head, hidden),
        "self_attn.v_proj": (kv * head, hidden), "self_attn.o_proj": (hidden, heads * head),
        "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner), "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }  # fmt: skip
    shapes: Shapes = {"model.embed_tokens.weight": (config["vocab_size"], hidden)}
    for number in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{number}.{k}.weight": v for k, v in layer.items()}
    shapes["model.norm.weight"] = (hidden,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], hidden)
    return shapes


def write_tensors(path: Path, shapes: Shapes, *, dtype: str = "F32") -> None:
    """A safetensors file of zeros."""
    width = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}.get(dtype, 1)
    header, size = {}, 0
    for name, shape in shapes.items():
        length = width
        for side in shape:
            length *= side
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [size, size := size + length],
        }
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))


def write_tokenizer(folder: Path, **changes: Any) -> None:
    """A tokenizer of bytes with the control tokens of ChatML; `changes` of its config."""
    (folder / "tokenizer.json").write_text(_tokenizer())
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIAL[0],
        "eos_token": SPECIAL[1], "pad_token": SPECIAL[0], "chat_template": TEMPLATE,
    } | changes  # fmt: skip
    kept = {key: value for key, value in config.items() if value is not None}
    (folder / "tokenizer_config.json").write_text(json.dumps(kept))


@cache
def _tokenizer() -> str:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: at for at, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    return str(made.to_str())

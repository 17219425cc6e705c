"""A GGUF file, dequantized, as a folder of safetensors that transformers and loray read.

What a quantized file means is what dequantizing gives: a scale of 16 bits times a whole number,
plus a minimum. That fits float32 and no narrower type, so float32 is written unless a narrower type
holds every number of the file exactly, or another type is asked for.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from loray.errors import ModelError
from loray.models.pulling.gguf_header import ARCHITECTURES, GgufHeader

if TYPE_CHECKING:
    import torch

Dtype = Literal["exact", "float32", "bfloat16", "float16"]
SHARD = "4GB"
"""Weights of a file, at most."""
_NOISE = (
    "_model_name_or_path", "_name_or_path", "quantization_config", "transformers_version",
    "chunk_size_feed_forward", "id2label", "label2id", "output_attentions", "output_hidden_states",
    "problem_type", "return_dict", "is_encoder_decoder",
)  # fmt: skip
"""Of a config: what says nothing of the model, or differs between versions of transformers."""
_DIGITS = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ],
}
"""How SmolLM splits text, which transformers does not know by its name in GGUF files."""


def convert(gguf: Path, header: GgufHeader, folder: Path, *, dtype: Dtype = "exact") -> str:
    """Write weights, config, tokenizer and chat template; returns the type of the weights.

    The whole model is in memory meanwhile, in float32.

    Raises:
        ModelError: transformers cannot read the file, or it holds a number that is not finite.
    """
    os.environ["TQDM_DISABLE"] = "1"  # transformers' bar has no other switch
    import torch  # noqa: PLC0415 (as heavy as it is, only here)
    from huggingface_hub import save_torch_state_dict  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging  # noqa: PLC0415

    logging.set_verbosity_error()  # its report of weights is in the error below
    place, name = str(gguf.parent), gguf.name
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            place, gguf_file=name, dtype=torch.float32, local_files_only=True
        )
        tokenizer: Any = AutoTokenizer.from_pretrained(place, gguf_file=name, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
        raise ModelError(
            f"transformers cannot read {name} ({str(error)[:200]}); fetch it again, or pull the "
            "model that it was made from"
        ) from error
    weights = _weights(model, header)
    chosen = _narrowest(weights) if dtype == "exact" else getattr(torch, dtype)
    narrow = {key: _cast(key, tensor, chosen) for key, tensor in weights.items()}
    folder.mkdir(parents=True)
    save_torch_state_dict(narrow, folder, max_shard_size=SHARD)
    word = str(chosen).removeprefix("torch.")
    _write_configs(model, header, folder, word)
    tokenizer.save_pretrained(folder)
    _mend_tokenizer(folder, header)
    return word


def _weights(model: Any, header: GgufHeader) -> dict[str, "torch.Tensor"]:  # noqa: ANN401
    """All weights once: where the output projection is the embedding, without the first."""
    found = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        found.pop("lm_head.weight", None)
    held = sum(tensor.numel() for tensor in found.values())
    if held != header.parameters:
        raise ModelError(
            f"the file holds {header.parameters:,} weights, and transformers made {held:,} of them;"
            " wanted the same; pull the model that it was made from"
        )
    return found


def _narrowest(weights: dict[str, "torch.Tensor"]) -> "torch.dtype":
    import torch  # noqa: PLC0415

    for dtype in (torch.bfloat16, torch.float16):
        if all(torch.equal(tensor.to(dtype).float(), tensor) for tensor in weights.values()):
            return dtype
    return torch.float32


def _cast(name: str, tensor: "torch.Tensor", dtype: "torch.dtype") -> "torch.Tensor":
    found = tensor.to(dtype).contiguous()
    if not bool(found.isfinite().all()):
        raise ModelError(
            f"{name} holds a number that is infinite or NaN as {dtype}; wanted finite weights; ask "
            "for --dtype float32, or fetch the file again"
        )
    return found


def _write_configs(model: Any, header: GgufHeader, folder: Path, dtype: str) -> None:  # noqa: ANN401
    import numpy as np  # noqa: PLC0415

    given = model.config.to_dict()
    config = {key: value for key, value in given.items() if key not in _NOISE}
    config["architectures"], config["dtype"] = [ARCHITECTURES[header.architecture]], dtype
    # The file has 1e-05 as a float32; written in full it would read 9.999999747378752e-06.
    config["rms_norm_eps"] = float(str(np.float32(config["rms_norm_eps"])))
    _write_json(folder / "config.json", config)
    ends = ("bos_token_id", "eos_token_id", "pad_token_id")
    _write_json(
        folder / "generation_config.json",
        {name: config[name] for name in ends if config.get(name) is not None},
    )


def _mend_tokenizer(folder: Path, header: GgufHeader) -> None:
    """Lay what transformers does not take from a GGUF file over what it saved."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    if header.split == "smollm":
        tokenizer["pre_tokenizer"] = _DIGITS
    elif header.split in ("qwen2", "deepseek-r1-qwen"):
        tokenizer["normalizer"] = {"type": "NFC"}
    _write_json(path, tokenizer)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    kept = {k: v for k, v in config.items() if k not in ("is_local", "local_files_only")}
    _write_json(path, kept | {"model_max_length": header.positions})


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

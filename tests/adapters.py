"""Adapter folders as PEFT writes them, made without torch."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loray.errors import AdapterError
from loray.models.adapter_files import check_adapter_folder

MODULES = ("model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj")
RANK, WIDTH = 4, 8


def adapter_document() -> dict[str, Any]:
    """The `adapter_config.json` of PEFT 0.21.2 for a plain LoRA."""
    empty = (
        "alora_invocation_tokens", "arrow_config", "auto_mapping", "corda_config", "eva_config",
        "exclude_modules", "kasa_config", "layer_replication", "layers_pattern",
        "layers_to_transform", "lora_ga_config", "megatron_config", "modules_to_save",
        "monteclora_config", "revision", "target_parameters", "trainable_token_indices",
        "use_bdlora", "velora_config",
    )  # fmt: skip
    off = (
        "ensure_weight_tying", "fan_in_fan_out", "lora_bias", "use_dora", "use_qalora",
        "use_rslora",
    )  # fmt: skip
    return {
        **dict.fromkeys(empty),
        **dict.fromkeys(off, False),
        "alpha_pattern": {},
        "base_model_name_or_path": "models/tiny",
        "bias": "none",
        "inference_mode": True,
        "init_lora_weights": True,
        "loftq_config": {},
        "lora_alpha": 8,
        "lora_dropout": 0.0,
        "megatron_core": "megatron.core",
        "peft_type": "LORA",
        "peft_version": "0.21.2",
        "qalora_group_size": 16,
        "r": RANK,
        "rank_pattern": {},
        "target_modules": ["q_proj", "v_proj"],
        "task_type": "CAUSAL_LM",
    }


def write_adapter(
    folder: Path,
    *,
    seed: int = 0,
    tensors: dict[str, np.ndarray[Any, Any] | None] | None = None,
    dtype: str = "F32",
    base: str = "models/tiny",
) -> Path:
    """Write a sound adapter of rank 4; `tensors` replaces some of its weights, or drops them."""
    folder.mkdir(parents=True)
    document = adapter_document() | {"base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(document, indent=2, sort_keys=True))
    random = np.random.default_rng(seed)
    weights: dict[str, np.ndarray[Any, Any] | None] = {}
    for module in MODULES:
        prefix = f"base_model.model.{module}"
        weights[f"{prefix}.lora_A.weight"] = random.normal(size=(RANK, WIDTH))
        weights[f"{prefix}.lora_B.weight"] = random.normal(size=(WIDTH, RANK))
    weights |= tensors or {}
    write_weights(folder, {k: v for k, v in weights.items() if v is not None}, dtype=dtype)
    return folder


def change(folder: Path, **values: Any) -> None:
    """Set keys of the folder's `adapter_config.json`."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refused(folder: Path, *words: str) -> None:
    """Assert that the folder is refused, in ASCII and with these words."""
    with pytest.raises(AdapterError) as caught:
        check_adapter_folder(folder)
    message = str(caught.value)
    assert message.isascii()
    for word in words:
        assert word in message


def write_weights(
    folder: Path, tensors: dict[str, np.ndarray[Any, Any]], *, dtype: str = "F32"
) -> None:
    """Write `adapter_model.safetensors`; numbers are cut to `dtype`, not rounded."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, values in tensors.items():
        part = _bytes(values, dtype)
        header[name] = {
            "dtype": dtype,
            "shape": list(values.shape),
            "data_offsets": [len(data), len(data) + len(part)],
        }
        data += part
    text = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def _bytes(values: np.ndarray[Any, Any], dtype: str) -> bytes:
    if dtype == "BF16":  # the upper half of a float32
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()

"""Adapters with singular values that are known beforehand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.adapters import adapter_document, write_weights

Q = "model.layers.0.self_attn.q_proj"
V = "model.layers.1.self_attn.v_proj"
DOWN = "model.layers.10.mlp.down_proj"


def factors_of(
    values: Sequence[float], *, inputs: int, outputs: int, rank: int, seed: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A and B whose product has exactly these singular values, in no form that shows them."""
    random = np.random.default_rng(seed)
    left = np.linalg.qr(random.normal(size=(outputs, len(values))))[0]
    right = np.linalg.qr(random.normal(size=(inputs, len(values))))[0]
    mix = random.normal(size=(len(values), rank))  # B A = (left values mix) (pinv(mix) right^T)
    a = np.linalg.pinv(mix) @ right.T
    return a, (left * np.asarray(values)) @ mix


def write_spectrum(
    folder: Path,
    modules: Mapping[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]],
    *,
    dtype: str = "F32",
    **config: Any,
) -> Path:
    """An adapter with these factors; `config` are keys of its `adapter_config.json`."""
    folder.mkdir(parents=True)
    targets = sorted({name.rpartition(".")[2] for name in modules})
    document = adapter_document() | {"target_modules": targets} | config
    (folder / "adapter_config.json").write_text(json.dumps(document))
    tensors = {}
    for name, (a, b) in modules.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = a
        tensors[f"base_model.model.{name}.lora_B.weight"] = b
    write_weights(folder, tensors, dtype=dtype)
    return folder


def random_factors(
    inputs: int, outputs: int, rank: int, seed: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    return random.normal(size=(rank, inputs)), random.normal(size=(outputs, rank))

"""What an adapter's file may hold beside A and B: biases, and modules in full."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loray.models.adapter_files import adapter_digest, check_adapter_folder, tensor_entries
from tests.adapters import change, refused, write_adapter

QUERY = "model.layers.0.self_attn.q_proj"


OWN = f"base_model.model.{QUERY}.base_layer.bias"
"""A bias as PEFT names it where the module is targeted, and where it is not."""
OTHER = "base_model.model.model.layers.0.self_attn.k_proj.bias"


@pytest.mark.parametrize(
    ("bias", "names", "word"),
    [
        ("none", (), None),
        ("lora_only", (OWN,), None),
        ("lora_only", (), None),
        ("all", (OWN, OTHER), None),
        ("none", (OWN,), "with bias 'none'"),
        ("lora_only", (OTHER,), "with bias 'lora_only'"),
        ("all", (OWN.replace(".base_layer", ""),), "belongs to no LoRA"),
        ("all", (OTHER.replace(".bias", ".base_layer.bias"),), "belongs to no LoRA"),
        ("all", ("base_model.model.bias",), "belongs to no LoRA"),
    ],
)
def test_biases_are_taken_where_the_config_says_that_they_are(
    tmp_path: Path, bias: str, names: tuple[str, ...], word: str | None
) -> None:
    ones = np.ones(8, np.float32)
    folder = write_adapter(tmp_path / "adapter", tensors=dict.fromkeys(names, ones))
    change(folder, bias=bias)
    if word is None:
        assert check_adapter_folder(folder).bias == bias
        assert {entry.name for entry in tensor_entries(folder)} >= set(names)
    else:
        refused(folder, word)


@pytest.mark.parametrize("shape", [(8, 1), (7,), (0,)])
def test_a_bias_of_another_shape_than_the_outputs_is_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    folder = write_adapter(tmp_path / "adapter", tensors={OWN: np.ones(shape, np.float32)})
    change(folder, bias="all")
    refused(folder, "base_layer.bias' has shape")


def test_a_bias_that_is_no_number_is_refused_and_the_digest_knows_biases(tmp_path: Path) -> None:
    bad = np.ones(8, np.float32)
    folders = [
        write_adapter(tmp_path / f"{at}", tensors={OWN: bad * value})
        for at, value in enumerate((1.0, 2.0, math.nan))
    ]
    for folder in folders:
        change(folder, bias="lora_only")
    assert adapter_digest(folders[0]) != adapter_digest(folders[1])
    refused(folders[2], "base_layer.bias", "NaN or infinity")


HEAD = "base_model.model.lm_head.weight"
EMBEDDING = "base_model.model.model.embed_tokens.weight"


@pytest.mark.parametrize(
    ("modules", "tensors", "word"),
    [
        (["lm_head"], {HEAD: (20, 8)}, None),
        (["embed_tokens", "lm_head"], {HEAD: (20, 8), EMBEDDING: (20, 8)}, None),
        (None, {HEAD: (20, 8)}, "belongs to no LoRA"),
        (["lm_head"], {EMBEDDING: (20, 8)}, "belongs to no LoRA"),
        (["lm_head"], {}, "modules_to_save names 'lm_head', but no tensor"),
        (["lm_head"], {HEAD: (20,)}, "of modules_to_save, has ['weight'] of shape (20,)"),
        (["lm_head"], {HEAD: (20, 0)}, "of shape (20, 0)"),
        (["lm_head"], {HEAD: (20, 8), HEAD.replace("weight", "bias"): (20,)}, "belongs to no LoRA"),
    ],
)
def test_modules_in_full_are_taken_where_the_config_names_them(
    tmp_path: Path, modules: list[str] | None, tensors: dict[str, Any], word: str | None
) -> None:
    made = {name: np.ones(shape, np.float32) for name, shape in tensors.items()}
    folder = write_adapter(tmp_path / "adapter", tensors=made)
    plain = adapter_digest(folder)
    change(folder, modules_to_save=modules)
    if word is None:
        assert set(check_adapter_folder(folder).modules_to_save or ()) == set(modules or ())
        assert adapter_digest(folder) != plain
        listed = adapter_digest(folder)
        change(folder, modules_to_save=list(reversed(modules or [])))
        assert adapter_digest(folder) == listed
    else:
        refused(folder, word)

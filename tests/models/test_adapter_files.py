"""Rows are those of the checklist of bad inputs in the threat model."""

import json
import math
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loray.errors import AdapterError
from loray.models.adapter_files import adapter_digest, check_adapter_folder, tensor_entries
from tests.adapters import adapter_document, change, refused, write_adapter, write_weights

QUERY = "model.layers.0.self_attn.q_proj"
A = f"base_model.model.{QUERY}.lora_A.weight"
B = f"base_model.model.{QUERY}.lora_B.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


def test_what_peft_writes_is_taken(folder: Path) -> None:
    config = check_adapter_folder(folder)
    assert (config.r, config.lora_alpha, config.target_modules) == (4, 8, ("q_proj", "v_proj"))
    assert config.scaling(QUERY) == 2.0
    assert tensor_entries(folder)[0].module == QUERY
    (folder / "README.md").write_text("a card\n")
    assert check_adapter_folder(folder) == config


def test_a_config_with_the_keys_of_an_older_peft_is_taken(folder: Path) -> None:
    few = {k: adapter_document()[k] for k in ("peft_type", "r", "lora_alpha", "target_modules")}
    (folder / "adapter_config.json").write_text(json.dumps(few))
    assert check_adapter_folder(folder).base_model_name_or_path is None


@pytest.mark.parametrize("name", ["adapter_model.bin", "adapter_model.pt", "x.pkl", ".hidden"])
def test_row_09_a_pickle_or_any_other_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x80\x04.")
    refused(folder, name, "only adapter_config.json")


def test_row_09_a_pickle_instead_of_safetensors_is_refused(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    refused(folder, "adapter_model.bin")


def test_row_10_a_torn_file_is_refused_wherever_it_was_cut(folder: Path) -> None:
    weights = folder / "adapter_model.safetensors"
    whole = weights.read_bytes()
    for length in [*range(0, len(whole), 37), len(whole) - 1]:
        weights.write_bytes(whole[:length])
        refused(folder, "adapter_model.safetensors")
    weights.write_bytes(whole + b"\0")
    refused(folder, "end at byte")


def entry(shape: list[Any], start: int, end: int, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("header", "size", "word"),
    [
        ({A: entry([4, 8], 0, 128), B: entry([8, 4], 64, 192)}, 192, "starts at"),
        ({A: entry([4, 8], 0, 128), B: entry([8, 4], 160, 288)}, 288, "starts at"),
        ({A: entry([4, 8], 0, 128), B: entry([8, 4], 128, 256)}, 200, "end at byte"),
        ({A: entry([4, 8], 0, 64), B: entry([8, 4], 64, 192)}, 192, "wanted 128"),
        ({A: entry([4, 8], 128, 0)}, 0, "wanted 128"),
        ({A: entry([4, -8], 0, 128)}, 128, "impossible"),
        ({A: entry([4, True], 0, 16)}, 16, "impossible"),
        ({A: entry([4, 8.0], 0, 128)}, 128, "impossible"),
        ({A: entry([1 << 62, 1 << 62], 0, 128)}, 128, "impossible"),
        ({A: entry([4, 8], 0, 128, dtype="I8")}, 128, "wanted F32"),
        ({A: entry([4, 4], 0, 128, dtype="F64")}, 128, "wanted F32"),
        ({A: entry([4, 8], 0, 128, dtype=["F32"])}, 128, "wanted F32"),
        ({A: [1, 2]}, 0, "no dtype"),
        ({A: entry([4, 8], 0, 128) | {"extra": 1}}, 128, "no dtype"),
        ([A], 0, "no object"),
    ],
)
def test_row_10_a_header_that_lies_is_refused(
    folder: Path, header: Any, size: int, word: str
) -> None:
    text = json.dumps(header).encode()
    data = struct.pack("<Q", len(text)) + text + bytes(size)
    (folder / "adapter_model.safetensors").write_bytes(data)
    refused(folder, word)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"{A}": {json.dumps(entry([4, 8], 0, 128))}, "{A}": 1}}',
        '{"a": NaN}',
        "[" * 100_000,
        '{"a": ' + "9" * 5000 + "}",
        "",
    ],
)
def test_row_10_duplicate_names_and_wild_json_in_the_header_are_refused(
    folder: Path, text: str
) -> None:
    data = struct.pack("<Q", len(text)) + text.encode() + bytes(128)
    (folder / "adapter_model.safetensors").write_bytes(data)
    refused(folder, "adapter_model.safetensors: its header")


def test_row_10_a_header_longer_than_the_file_is_refused(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 1 << 63) + b"{}")
    refused(folder, "header would be")


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 17, -1])
def test_row_10_one_number_that_is_not_finite_is_refused(
    tmp_path: Path, dtype: str, value: float, place: int
) -> None:
    bad = np.ones((8, 4), np.float32)
    bad.reshape(-1)[place] = value
    folder = write_adapter(tmp_path / "adapter", tensors={B: bad}, dtype=dtype)
    refused(folder, "lora_B.weight", "NaN or infinity")


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_the_largest_finite_numbers_are_taken(tmp_path: Path, dtype: str) -> None:
    largest = {"F32": 3.4028235e38, "F16": 65504.0, "BF16": 3.3895314e38}[dtype]
    values = np.full((8, 4), largest, np.float32)
    folder = write_adapter(tmp_path / "adapter", tensors={B: values}, dtype=dtype)
    check_adapter_folder(folder)


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        ({A: None}, "lora_B.weight"),
        ({B: None}, "lora_A.weight"),
        ({A: np.ones((5, 8), np.float32)}, "(5, 8)"),
        ({B: np.ones((8, 5), np.float32)}, "(8, 5)"),
        ({B: np.ones((4, 8), np.float32)}, "(4, 8)"),
        ({A: np.ones(4, np.float32)}, "(4,)"),
        ({A: np.ones((4, 8, 1, 1), np.float32)}, "(4, 8, 1, 1)"),
        ({A: np.ones((4, 0), np.float32)}, "(4, 0)"),
        ({"base_model.model.lm_head.weight": np.ones((2, 2), np.float32)}, "lm_head"),
        ({A.replace("q_proj", "k_proj"): np.ones((4, 8), np.float32)}, "k_proj"),
        ({A.replace("lora_A", "lora_C"): np.ones((4, 8), np.float32)}, "lora_C"),
        ({A.replace("base_model.model.", ""): np.ones((4, 8), np.float32)}, "model.layers"),
        ({f"{A}\n": np.ones((4, 8), np.float32)}, "\\n"),
        (
            {f"base_model.model.{QUERY}.lora_magnitude_vector": np.ones(8, np.float32)},
            "lora_magnitude_vector",
        ),
    ],
)
def test_row_10_unexpected_names_and_wrong_shapes_are_refused_by_name(
    tmp_path: Path, tensors: dict[str, Any], word: str
) -> None:
    refused(write_adapter(tmp_path / "adapter", tensors=tensors), word)


def test_row_10_a_target_without_tensors_is_refused(folder: Path) -> None:
    change(folder, target_modules=["q_proj", "v_proj", "o_proj"])
    refused(folder, "'o_proj'", "no tensor")


def test_row_13_a_python_file_is_refused(folder: Path) -> None:
    (folder / "modeling.py").write_text("print()")
    refused(folder, "modeling.py")


def _link(path: Path) -> None:
    target = path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(target)


def _hard_link(path: Path) -> None:
    os.link(path, path.parent.parent / "elsewhere")


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))


@pytest.mark.parametrize("spoil", [_link, _hard_link, _fifo, _folder, _socket])
@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "README.md"])
def test_row_14_what_is_no_plain_file_is_refused(
    folder: Path, spoil: Callable[[Path], None], name: str
) -> None:
    (folder / "README.md").write_text("a card\n")
    spoil(folder / name)
    refused(folder, name)


def test_row_14_files_over_their_size_are_refused(folder: Path) -> None:
    (folder / "README.md").write_bytes(bytes(1_100_000))
    refused(folder, "README.md has 1100000 bytes")


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    refused(folder, "adapter_model.safetensors is missing")
    refused(folder / "nowhere", "is no folder")


def test_the_digest_knows_what_matters_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    first = adapter_digest(folder)
    change(
        folder,
        base_model_name_or_path="elsewhere/tiny",
        peft_version="0.20.0",
        target_modules=["v_proj", "q_proj"],
    )
    assert adapter_digest(folder) == first
    change(folder, lora_alpha=16)
    assert adapter_digest(folder) != first
    other = write_adapter(tmp_path / "other", tensors={B: np.full((8, 4), 2, np.float32)})
    assert adapter_digest(other) != first


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_bytes_never_raise_anything_but_an_adapter_error(
    folder: Path, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(["adapter_config.json", "adapter_model.safetensors"]))
    whole = (folder / name).read_bytes()
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    (folder / name).write_bytes(broken)
    try:
        check_adapter_folder(folder)
    except AdapterError:
        pass
    finally:
        (folder / name).write_bytes(whole)


def test_the_check_reads_weights_of_three_types_written_by_safetensors(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = write_adapter(tmp_path / "adapter")
    names = [entry.name for entry in tensor_entries(folder)]
    tensors = {name: np.zeros((4, 8) if "lora_A" in name else (8, 4), np.float16) for name in names}
    save_file(tensors, folder / "adapter_model.safetensors")
    check_adapter_folder(folder)
    write_weights(folder, tensors)
    assert {entry.dtype for entry in tensor_entries(folder)} == {"F32"}

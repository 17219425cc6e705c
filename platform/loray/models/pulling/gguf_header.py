"""Whether a GGUF file can be converted exactly, by its header alone.

What transformers does not carry over is refused, never left out: a scaled rotary embedding, or a
tokenizer whose rules are not known, would give a model that answers and is not the one in the file.
Source of the format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loray.errors import ModelError, UnsupportedError

if TYPE_CHECKING:
    from gguf import GGUFReader

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
"""What is converted, and transformers' class of it."""
SPLITS = (
    "gpt-2",
    "smollm",
    "llama-bpe",
    "llama3",
    "llama-v3",
    "qwen2",
    "deepseek-r1-qwen",
    "tekken",
)
"""Rules of splitting text (`tokenizer.ggml.pre`) that are known here or to transformers."""
_KEYS = frozenset({
    "context_length", "embedding_length", "block_count", "feed_forward_length", "vocab_size",
    "attention.head_count", "attention.head_count_kv", "attention.layer_norm_rms_epsilon",
    "attention.key_length", "attention.value_length", "rope.freq_base", "rope.dimension_count",
})  # fmt: skip
"""Keys of an architecture that transformers reads, or that follow from others."""
_TENSOR = re.compile(
    r"(token_embd|output_norm|output|blk\.\d+\.(attn_(q|k|v|output|norm|q_norm|k_norm)"
    r"|ffn_(gate|up|down|norm)))\.(weight|bias)"
)


@dataclass(frozen=True)
class GgufHeader:
    """What is needed of a header."""

    architecture: str
    name: str
    licence: str | None
    split: str
    positions: int
    types: frozenset[str]
    """How its tensors are stored, as ggml calls it: F32, Q4_1, ..."""
    parameters: int


def read_header(path: Path) -> GgufHeader:
    """The header of `path`.

    Raises:
        ModelError: it is no GGUF file, or damaged.
        UnsupportedError: it cannot be converted exactly; with every reason.
    """
    from gguf import GGUFReader  # noqa: PLC0415 (numpy maps the file; only here)

    with path.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise ModelError(f"{path} does not begin as a GGUF file; fetch it again")
    try:
        reader = GGUFReader(path)
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path} cannot be read as GGUF ({str(error)[:200]}); it is cut off or damaged; fetch "
            "it again"
        ) from error
    if reasons := list(_against(reader)):
        raise UnsupportedError(
            f"{path.name} cannot be converted exactly: {'; '.join(reasons)}; pull the model that "
            "it was made from, in safetensors"
        )
    return GgufHeader(
        architecture=str(_value(reader, "general.architecture")),
        name=str(_value(reader, "general.name") or path.stem),
        licence=_licence(reader),
        split=str(_value(reader, "tokenizer.ggml.pre")),
        positions=int(
            _value(reader, f"{_value(reader, 'general.architecture')}.context_length") or 0
        ),
        types=frozenset(tensor.tensor_type.name for tensor in reader.tensors),
        parameters=sum(int(tensor.n_elements) for tensor in reader.tensors),
    )


def _against(reader: "GGUFReader") -> Iterator[str]:
    kind = _value(reader, "general.architecture")
    if kind not in ARCHITECTURES:
        yield f"it is of type {kind!a}, and {', '.join(ARCHITECTURES)} are converted"
        return
    keys = (key.removeprefix(f"{kind}.") for key in reader.fields if key.startswith(f"{kind}."))
    if unknown := sorted(set(keys) - _KEYS):
        yield f"its header has {', '.join(unknown)[:200]}, which would be left out"
    tensors = [t.name for t in reader.tensors if _TENSOR.fullmatch(t.name) is None]
    if tensors:
        yield f"it holds {', '.join(sorted(tensors)[:3])}, which would be left out"
    model, split = _value(reader, "tokenizer.ggml.model"), _value(reader, "tokenizer.ggml.pre")
    if model != "gpt2":
        yield f"its tokenizer is of kind {model!a}, and byte-level BPE (gpt2) alone is converted"
    elif split not in SPLITS:
        yield f"its tokenizer splits text by the rule {split!a}, which is not known"


def _value(reader: "GGUFReader", key: str) -> Any:  # noqa: ANN401 (as the file has it)
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _licence(reader: "GGUFReader") -> str | None:
    found = _value(reader, "general.license")
    return found[:100] if isinstance(found, str) and found.isprintable() else None

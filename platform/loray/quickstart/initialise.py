"""A small Llama with its own tokenizer, untrained: where pretraining and tests start.

`python -m loray.quickstart.initialise CORPUS.jsonl FOLDER` writes the shape of models/tiny.

The vocabulary is a byte-level BPE, so every text can be written and read back. Control tokens come
first: `<|endoftext|>` (beginning and padding), `<|user|>`, `<|assistant|>`, `<|system|>` and
`<|end|>` (end of a turn, and what stops generation).
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedTokenizerFast

BOS, USER, ASSISTANT, SYSTEM, END = CONTROL_TOKENS = (
    "<|endoftext|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|end|>",
)
NUM_BYTES = 256

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] not in ['system', 'user', 'assistant'] -%}"
    "{{- raise_exception('unknown role ' + message['role'] + '; use system, user or assistant') -}}"
    "{%- endif -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


class ModelShape(TypedDict, total=False):
    """What a random model looks like; what is left out comes from `SMALLEST`."""

    vocab_size: int
    """Most tokens, control tokens included; a small corpus or none at all fills fewer."""
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    """Heads of keys and values, shared by groups of query heads."""
    intermediate: int
    """Width between the gate and down projections."""
    max_positions: int
    seed: int
    dtype: Literal["float32", "bfloat16"]
    """Type of the weights on disk."""


SMALLEST: ModelShape = {
    "vocab_size": len(CONTROL_TOKENS) + NUM_BYTES,
    "hidden_size": 32,
    "layers": 2,
    "heads": 4,
    "kv_heads": 2,
    "intermediate": 64,
    "max_positions": 512,
    "seed": 0,
    "dtype": "float32",
}
"""Enough for tests: 30 thousand weights."""

TINY: ModelShape = {
    "vocab_size": 4096,
    "hidden_size": 192,
    "layers": 4,
    "heads": 4,
    "kv_heads": 2,
    "intermediate": 512,
    "max_positions": 512,
    "seed": 0,
    "dtype": "float32",
}
"""models/tiny: 2.4 million weights, most of them seen a few times in an hour of two CPU cores."""


def write_random_model(
    folder: Path, texts: Iterable[str] | None = None, **given: Unpack[ModelShape]
) -> None:
    """Write a transformers folder: tokenizer trained on `texts`, seeded random weights.

    The same arguments give the same bytes.

    Args:
        folder: Made when missing.
        texts: What the tokenizer learns its merges from; with none it knows single bytes only.
        given: The shape, by the names of `ModelShape`.
    """
    import torch  # noqa: PLC0415 - heavy, and not needed to read this module's names
    from transformers import LlamaForCausalLM  # noqa: PLC0415

    shape = SMALLEST | given
    tokenizer = train_tokenizer(texts, shape["vocab_size"], shape["max_positions"])
    config = _llama_config(shape, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(shape["seed"])
        model = LlamaForCausalLM(config)
    model.to(getattr(torch, shape["dtype"])).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train_tokenizer(
    texts: Iterable[str] | None, vocab_size: int, max_positions: int
) -> "PreTrainedTokenizerFast":
    """Learn a byte-level BPE of at most `vocab_size` tokens and give it control tokens and chat.

    Source: arXiv:1508.07909 for the merges; GPT-2's pattern cuts text into words before them.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts or (), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BOS,
        pad_token=BOS,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, SYSTEM],
        chat_template=CHAT_TEMPLATE,
        model_max_length=max_positions,
        clean_up_tokenization_spaces=False,
    )


def _llama_config(shape: ModelShape, tokenizer: "PreTrainedTokenizerFast") -> "LlamaConfig":
    from transformers import LlamaConfig  # noqa: PLC0415

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape["hidden_size"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"],
        intermediate_size=shape["intermediate"],
        max_position_embeddings=shape["max_positions"],
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _texts(corpus: Path) -> Iterator[str]:
    with corpus.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


def main() -> None:
    """Read the command line and write the model."""
    parser = argparse.ArgumentParser(description="Write models/tiny before its pretraining.")
    parser.add_argument("corpus", type=Path, help="JSON Lines with a column `text`")
    parser.add_argument("folder", type=Path, help="where the model goes")
    arguments = parser.parse_args()
    write_random_model(arguments.folder, _texts(arguments.corpus), **TINY)


if __name__ == "__main__":
    main()

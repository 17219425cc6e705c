"""The modules of a base model on this disk, by the names and shapes in its files; needs no torch.

A weight of two dimensions belongs to a linear layer, but for the embedding; one of one dimension
to a norm. `V` vocabulary, `H` hidden size.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loray.errors import ModelError
from loray.models.base_weights import BaseTensor, read_base_weights

PREFIX = "model."
"""What transformers puts before the names of a decoder that was saved without its head."""
HEAD = "lm_head"
EMBEDDING = "embed_tokens"
_EMBEDDINGS = (EMBEDDING, "embed_in", "wte", "word_embeddings")
_HEADS = (HEAD, "embed_out")
_BARE = ("layers.", f"{EMBEDDING}.")
"""How names begin in files without the prefix."""


@dataclass(frozen=True)
class BaseModules:
    """What an adapter over this base may name."""

    linears: Mapping[str, tuple[int, int]]
    """(outputs, inputs) of each linear layer, the head left out."""
    embedding: str
    """Name of the input embedding, (V, H)."""
    head: str
    """Name of the output projection."""
    table_shape: tuple[int, int]
    """(V, H) of the embedding and the head."""
    is_tied: bool
    """The head is the embedding."""
    biased: frozenset[str]
    """Modules that have a bias."""
    weights: Mapping[str, BaseTensor]
    """Where each module's weight lies; a tied head's is the embedding's."""

    @property
    def tables(self) -> tuple[str, str]:
        """The embedding and the head."""
        return self.embedding, self.head

    @property
    def names(self) -> list[str]:
        """All modules that have a weight, norms included, in the order of their names."""
        return sorted(self.weights)

    @property
    def head_shapes(self) -> Mapping[str, tuple[int, int]]:
        """(outputs, inputs) of each linear layer, the head included."""
        return {**self.linears, self.head: self.table_shape}


def read_base_modules(folder: Path) -> BaseModules:
    """The modules of the model in `folder`.

    Raises:
        ModelError: its config or the headers of its weights cannot be read.
    """
    try:
        config: Any = json.loads((folder / "config.json").read_bytes().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{folder / 'config.json'} cannot be read ({error}); fetch the base model again"
        ) from None
    found = read_base_weights(folder)
    if found.faults or not isinstance(config, dict):
        faults = "; ".join(found.faults) or "config.json is not a JSON object"
        raise ModelError(f"the base model {folder}: {faults}")
    return modules_of(config, found.tensors, folder)


def modules_of(
    config: Mapping[str, Any], tensors: Mapping[str, BaseTensor], folder: Path
) -> BaseModules:
    """The same, of a config and headers that were read already.

    Raises:
        ModelError: there is no embedding, which every decoder has.
    """
    named = {with_prefix(name, tensors): tensor for name, tensor in tensors.items()}
    weights = _parts(named, ".weight")
    embedding = next((n for n in weights if n.rpartition(".")[2] in _EMBEDDINGS), None)
    if embedding is None or len(weights[embedding].shape) != 2:
        raise ModelError(
            f"the base model {folder} has no embedding that loray knows (such as {EMBEDDING}); "
            "wanted a decoder such as Llama"
        )
    head = next((name for name in _HEADS if name in weights), None)
    is_tied = head is None or bool(config.get("tie_word_embeddings", False))
    head = head or HEAD
    if is_tied:
        weights[head] = weights[embedding]
    rows, columns = weights[embedding].shape
    return BaseModules(
        linears={
            name: (tensor.shape[0], tensor.shape[1])
            for name, tensor in weights.items()
            if len(tensor.shape) == 2 and name not in (embedding, head)
        },
        embedding=embedding,
        head=head,
        table_shape=(rows, columns),
        is_tied=is_tied,
        biased=frozenset(_parts(named, ".bias")),
        weights=weights,
    )


def with_prefix(name: str, names: Mapping[str, object]) -> str:
    """A tensor's name in the loaded model: `model.` is added where the files leave it out."""
    is_bare = any(known.startswith(_BARE) for known in names)
    return f"{PREFIX}{name}" if is_bare and not name.startswith(f"{HEAD}.") else name


def _parts(named: Mapping[str, BaseTensor], ending: str) -> dict[str, BaseTensor]:
    return {n.removesuffix(ending): t for n, t in named.items() if n.endswith(ending)}

"""Shapes of a decoder and of its linear layers, from which everything else is counted."""

from dataclasses import dataclass
from typing import Literal

ATTENTION = "self_attn"
"""The block of a decoder layer that holds its attention; all else is its MLP."""

Shapes = dict[str, tuple[int, int]]
"""(inputs, outputs) by the last part of a linear layer's name."""


@dataclass(frozen=True)
class Listed:
    """What the files of a model hold whose type is not known, in place of what follows from it."""

    stem: str
    """What comes before a layer's number in names, such as `model.layers`."""
    linears: tuple[tuple[str, int, int], ...]
    """Name in a layer, inputs and outputs of each linear layer."""
    norm_weights: int
    """Of a layer's norms, and whatever else it has."""
    beside: int
    """Weights outside of the layers that are neither embedding, output projection nor last norm."""

    def shapes(self, *, of_attention: bool) -> Shapes:
        """(inputs, outputs) of the linear layers in the attention, or of all others."""
        return {
            name.rpartition(".")[2]: (inputs, outputs)
            for name, inputs, outputs in self.linears
            if ("att" in name.rpartition(".")[0]) == of_attention
        }

    def path(self, projection: str) -> str:
        """Its name in a layer."""
        return next(n for n, _, _ in self.linears if n.rpartition(".")[2] == projection)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The numbers of a `config.json` that shapes follow from."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    is_tied: bool
    """The output projection is the embedding, transposed."""
    biased: tuple[str, ...] = ()
    """Projections that have a bias."""
    is_fused: bool = False
    """q, k and v are one projection, gate and up another one (Phi-3)."""
    layer_norms: int = 2
    """Norms of the hidden size in each layer."""
    norm_kind: Literal["rms", "wide rms", "layer"] = "rms"
    """A `wide` one scales in float32 (Gemma, OLMo 2); `layer` does, and takes the mean away, too
    (Cohere)."""
    head_norms: Literal["none", "shared", "own"] = "none"
    """Whether q and k are normalised: with one weight for all heads (Qwen3, Gemma 3), or with one
    for every output (OLMo 2)."""
    is_parallel: bool = False
    """Attention and MLP read the same norm (Cohere)."""
    is_eager: bool = False
    """Attention makes the scores of all pairs of tokens, since it caps them (Gemma 2)."""
    window: int | None = None
    """Positions that a token sees in the layers that see fewest, where not all do."""
    has_logit_cap: bool = False
    """Logits are capped (Gemma 2)."""
    listed: Listed | None = None
    """Of a type that is not tested, what its files hold."""
    stored_type: str = "bfloat16"
    """Of the numbers in its files."""
    first_layer: int = 0
    """The number of its first layer; a stage of a pipeline may begin later."""
    has_embedding: bool = True
    has_head: bool = True
    """The last norm and the output projection, which only the last stage of a pipeline has."""

    @property
    def layer_numbers(self) -> range:
        """The numbers of its layers in the whole model."""
        return range(self.first_layer, self.first_layer + self.layers)

    @property
    def query_size(self) -> int:
        """Numbers of all heads' queries of a token."""
        return self.heads * self.head_size

    @property
    def key_size(self) -> int:
        """Numbers of all heads' keys of a token; values are as many."""
        return self.kv_heads * self.head_size

    @property
    def attention_shapes(self) -> Shapes:
        """(inputs, outputs) of a layer's projections around its attention."""
        if self.listed is not None:
            return self.listed.shapes(of_attention=True)
        q, kv = self.query_size, self.key_size
        if self.is_fused:
            return {"qkv_proj": (self.hidden, q + 2 * kv), "o_proj": (q, self.hidden)}
        return {
            "q_proj": (self.hidden, q),
            "k_proj": (self.hidden, kv),
            "v_proj": (self.hidden, kv),
            "o_proj": (q, self.hidden),
        }

    @property
    def mlp_shapes(self) -> Shapes:
        """(inputs, outputs) of the projections of a layer's MLP."""
        if self.listed is not None:
            return self.listed.shapes(of_attention=False)
        down = {"down_proj": (self.intermediate, self.hidden)}
        if self.is_fused:
            return {"gate_up_proj": (self.hidden, 2 * self.intermediate), **down}
        return {
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            **down,
        }

    @property
    def linear_shapes(self) -> Shapes:
        """(inputs, outputs) of a layer's projections."""
        return self.attention_shapes | self.mlp_shapes

    @property
    def norm_weights(self) -> int:
        """Weights of all norms in a layer."""
        if self.listed is not None:
            return self.listed.norm_weights
        heads = {
            "none": 0,
            "shared": 2 * self.head_size,
            "own": self.query_size + self.key_size,
        }
        return self.layer_norms * self.hidden + heads[self.head_norms]

    def module_name(self, layer: int, projection: str) -> str:
        """The dotted name of a projection in the base model."""
        if self.listed is not None:
            return f"{self.listed.stem}.{layer}.{self.listed.path(projection)}"
        part = ATTENTION if projection in self.attention_shapes else "mlp"
        return f"model.layers.{layer}.{part}.{projection}"

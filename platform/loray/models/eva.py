"""EVA: A begins where a module's inputs are largest. Source: arXiv:2410.07170, sec. 3.

    X = U S V      A = V_r      B = 0

`X` (N, I) are the inputs of a module over `N` tokens of the data, `V_r` (r, I) the first r right
singular vectors: no other r orthonormal rows keep more of the inputs, `||X A'||`, and with it of
the first gradient that B gets. Every module keeps the rank that it was given (the paper's rho = 1),
so that what was counted and reserved for it holds. X is not centred.

X is not held: the strongest directions so far, each as long as its singular value, are decomposed
together with the next rows (incremental singular value decomposition; Ross et al., IJCV 77, 2008,
sec. 2.1). What is dropped in between is weaker than `SPARE` directions beyond the rank.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from loray.errors import ModelError

ROWS_AT_ONCE = 256
"""Rows that are decomposed together with what is kept."""
SPARE = 64
"""Directions that are followed beyond the rank."""
NOISE = 1e-6
"""Singular values below this share of the largest are rounding, and no direction."""

SAME_INPUTS = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}
"""Projections that read what another one of their block reads: decomposed once for all of them."""

Named = Mapping[str, LoraLayer]


class Directions:
    """The directions in which rows are largest, without the rows."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self._kept: Tensor | None = None

    @torch.no_grad()
    def add(self, rows: Tensor) -> None:
        """Take in rows (N, I).

        Raises:
            ModelError: they hold NaN or infinity.
        """
        if not bool(torch.isfinite(rows).all()):
            raise ModelError(
                "method.init is eva, and the inputs of a layer are NaN or infinite before any "
                "training: the base model's weights hold NaN, or overflow; fetch it again"
            )
        for some in rows.split(ROWS_AT_ONCE):
            part = some.double()
            both = part if self._kept is None else torch.cat([self._kept, part])
            # With both = U S V: both both' = U S S U', and U' both = S V.
            vectors = torch.linalg.eigh(both @ both.T).eigenvectors.flip(1)
            self._kept = vectors[:, : self.rank + SPARE].T @ both

    def first(self, rank: int) -> Tensor:
        """The strongest directions (rank, I), float64, of length 1, the strongest first.

        Their signs are such that the largest entry is above zero; fewer rows come back where there
        are fewer directions.
        """
        assert self._kept is not None, "no rows were added"  # noqa: S101
        lengths = self._kept.norm(dim=1)
        strongest = self._kept[:rank][lengths[:rank] > NOISE * lengths[0]]
        largest = strongest.gather(1, strongest.abs().argmax(dim=1, keepdim=True))
        found: Tensor = strongest / (strongest.norm(dim=1, keepdim=True) * largest.sign())
        return found


@contextmanager
def watched_inputs(layers: Named) -> Iterator[dict[str, Directions]]:
    """By `source_of` layers' names, the directions of the inputs that pass inside the `with`."""
    ranks: dict[str, int] = {}
    for name, layer in layers.items():
        source = source_of(name, layers)
        ranks[source] = max(ranks.get(source, 0), _a_of(layer).shape[0])
    found = {name: Directions(rank) for name, rank in ranks.items()}
    handles = [
        cast("nn.Module", layers[name]).register_forward_pre_hook(_adds_to(directions))
        for name, directions in found.items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def source_of(name: str, layers: Iterable[str]) -> str:
    """The first of the adapted layers that reads what layer `name` reads."""
    return next(other for other in layers if _read_by(other) == _read_by(name))


@torch.no_grad()
def take_directions(layers: Named, found: Mapping[str, Directions]) -> None:
    """Put the directions of its inputs into every layer's A.

    Raises:
        ModelError: the inputs of a layer have fewer directions than its rank.
    """
    for name, layer in layers.items():
        a = _a_of(layer)
        rows = found[source_of(name, layers)].first(a.shape[0])
        if len(rows) < len(a):
            raise ModelError(
                f"method.init is eva and {name} has rank {len(a)}, but its inputs over the first "
                f"sequences have only {len(rows)} directions; use a rank of at most {len(rows)}, "
                "more data, or another init"
            )
        a.copy_(rows)


def _read_by(name: str) -> tuple[str, str]:
    """What a layer reads: its block, and the projection that stands for all that read the same."""
    block, _, projection = name.rpartition(".")
    return block, SAME_INPUTS.get(projection, projection)


def _a_of(layer: LoraLayer) -> nn.Parameter:
    return cast("nn.Parameter", layer.lora_A["default"].weight)


def _adds_to(directions: Directions) -> Any:  # noqa: ANN401 (a hook, by torch's own type)
    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows = inputs[0]
        directions.add(rows.reshape(-1, rows.shape[-1]))

    return hook

"""The singular values of LoRA updates, without ever forming one.

Shapes: A (r, I), B (O, r); the update is U = s B A, (O, I), where s is alpha / r, or
alpha / sqrt(r) with rsLoRA. With B = P M and A^T = Q N (QR), U = s P (M N^T) Q^T, and the columns
of P and Q are orthonormal: the singular values of U are those of an r x r matrix. They and what is
summed from them are float64. Energy is the sum of their squares, the squared Frobenius norm of U.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np

from loray.models.adapter_files import check_adapter_folder
from loray.models.factors import Array, read_factors


@dataclass(frozen=True)
class ModuleSpectrum:
    """How the update of one module spreads over directions."""

    module: str
    """Dotted name in the base model."""
    rank: int
    """Inner dimension of A and B."""
    singular_values: tuple[float, ...]
    """Of (alpha / r) B A, largest first; as many as r, or as the smaller side of the module."""

    @cached_property
    def _tails(self) -> tuple[float, ...]:
        """Energy from each direction on, the smallest added first; zero behind the last."""
        squares = [value**2 for value in reversed(self.singular_values)]
        return tuple(accumulate(squares, initial=0.0))[::-1]

    @property
    def energy(self) -> float:
        """Squared Frobenius norm of the update."""
        return self._tails[0]

    def dropped(self, rank: int) -> float:
        """Energy outside the `rank` largest directions.

        No update of that rank is closer than by the root of this. Source: Eckart and Young,
        The approximation of one matrix by another of lower rank, 1936.
        """
        return self._tails[min(rank, len(self.singular_values))]

    def kept(self, rank: int) -> float:
        """Share of the energy in the `rank` largest directions, 0 to 1; 1 for a zero update."""
        return 1.0 - self.dropped(rank) / self.energy if self.energy else 1.0

    def rank_keeping(self, share: float) -> int:
        """The smallest rank that keeps this share of the energy; 0 for a zero update."""
        allowed = (1.0 - share) * self.energy
        ranks = range(len(self.singular_values) + 1)
        return next(rank for rank in ranks if self.dropped(rank) <= allowed)

    @property
    def effective_rank(self) -> float:
        """How many directions the update uses; 0 for a zero update."""
        return effective_rank(self.singular_values)


def adapter_spectra(folder: Path) -> tuple[ModuleSpectrum, ...]:
    """The spectrum of every module of an adapter, in the order of its layers.

    Raises:
        AdapterError: the folder is not what an adapter may be.
    """
    config = check_adapter_folder(folder)
    return tuple(
        ModuleSpectrum(
            module=found.module,
            rank=found.rank,
            singular_values=singular_values(found.a, found.b, config.scaling(found.module)),
        )
        for found in read_factors(folder)
    )


def kept_in_all(spectra: Sequence[ModuleSpectrum], rank: int) -> float:
    """Share of all modules' energy that is kept when each is cut to `rank`."""
    total = math.fsum(found.energy for found in spectra)
    dropped = math.fsum(found.dropped(rank) for found in spectra)
    return 1.0 - dropped / total if total else 1.0


def effective_rank(values: Iterable[float]) -> float:
    """The exponential of the entropy of singular values over their sum; 0 if all are zero.

    Source: Roy and Vetterli, The effective rank: a measure of effective dimensionality, 2007.
    """
    positive = [value for value in values if value > 0.0]
    total = math.fsum(positive)
    return math.exp(-math.fsum(v / total * math.log(v / total) for v in positive)) if total else 0.0


def singular_values(a: Array, b: Array, scaling: float) -> tuple[float, ...]:
    """Of `scaling` B A, largest first."""
    values = scaling * np.linalg.svd(_core(a, b), compute_uv=False)
    return tuple(float(value) for value in values)


def update_norm(a: Array, b: Array) -> float:
    """Frobenius norm of B A."""
    return float(np.linalg.norm(_core(a, b)))


def _core(a: Array, b: Array) -> Array:
    """M N^T: at most (r, r), with the singular values and the norm of B A."""
    m, n = (np.asarray(np.linalg.qr(factor, mode="r")) for factor in (b, a.T))
    core: Array = m @ n.T
    return core


def best_factors(a: Array, b: Array, rank: int) -> tuple[Array, Array]:
    """A' (rank, I) and B' (O, rank) of equal norms, whose product is the closest to B A.

    Closest by the Frobenius norm: the first `rank` terms of the singular value decomposition.
    Source: Eckart and Young, 1936.
    """
    p, m = np.linalg.qr(b)
    q, n = np.linalg.qr(a.T)
    left, values, right = np.linalg.svd(m @ n.T)
    terms = min(rank, len(values))  # a module narrower than its rank has fewer; the rest is zero
    roots = np.zeros(rank)
    roots[:terms] = np.sqrt(values[:terms])
    new_a, new_b = np.zeros((rank, a.shape[1])), np.zeros((len(b), rank))
    new_a[:terms] = right[:terms] @ q.T
    new_b[:, :terms] = p @ left[:, :terms]
    return roots[:, None] * new_a, new_b * roots

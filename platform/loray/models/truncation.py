"""A lower-rank adapter from a trained one: each module's best approximation, checked on the file.

alpha changes with the rank so that what B A is multiplied by stays the same in every module. A
reader that knows no patterns is then right where it was right before.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from loray.errors import AdapterError
from loray.models.adapter_config import AdapterConfig
from loray.models.adapter_files import check_adapter_folder, tensor_entries
from loray.models.adapter_tensors import EMBEDDING_A
from loray.models.factors import (
    SMALLEST_STEP,
    UNIT_ROUNDOFF,
    Array,
    Factors,
    read_factors,
    read_others,
    write_factors,
)
from loray.models.spectrum import ModuleSpectrum, adapter_spectra, best_factors, update_norm


@dataclass(frozen=True)
class ModuleCut:
    """What cutting did to one module; norms are Frobenius norms of (alpha / r) B A."""

    module: str
    old_rank: int
    rank: int
    norm: float
    """Of the update before."""
    dropped: float
    """Root of the energy of the singular values that were left out."""
    error: float
    """Norm of the difference between both updates, from the numbers in both files."""


@dataclass(frozen=True)
class Truncation:
    """What cutting did to an adapter."""

    modules: tuple[ModuleCut, ...]

    @property
    def relative_error(self) -> float:
        """Norm of the difference over the norm of the update, over all modules."""
        return _norm(cut.error for cut in self.modules) / self._whole

    @property
    def kept(self) -> float:
        """Share of the energy that the directions left hold."""
        return 1.0 - (_norm(cut.dropped for cut in self.modules) / self._whole) ** 2

    @property
    def ranks(self) -> tuple[int, int]:
        """The highest rank of any module, before and after."""
        return (
            max(cut.old_rank for cut in self.modules),
            max(cut.rank for cut in self.modules),
        )

    @property
    def _whole(self) -> float:
        return _norm(cut.norm for cut in self.modules) or 1.0


def ranks_at_most(spectra: tuple[ModuleSpectrum, ...], rank: int) -> dict[str, int]:
    """Every module's rank when none may be higher than `rank`.

    Raises:
        AdapterError: there is nothing to cut.
    """
    top = max(found.rank for found in spectra)
    if not 1 <= rank < top:
        wanted = f"wanted 1 to {top - 1}" if top > 1 else "nothing is below it"
        raise AdapterError(
            f"the adapter has rank {top} and was to be cut to {rank}; {wanted}; "
            "a higher rank needs a training of its own"
        )
    return {found.module: min(found.rank, rank) for found in spectra}


def ranks_that_keep(spectra: tuple[ModuleSpectrum, ...], share: float) -> dict[str, int]:
    """Every module's smallest rank that keeps this share of its energy, at least 1.

    Raises:
        AdapterError: every module needs the rank it has.
    """
    ranks = {found.module: max(1, found.rank_keeping(share)) for found in spectra}
    if all(ranks[found.module] == found.rank for found in spectra):
        raise AdapterError(
            f"every module needs all of its rank to keep {share:.4%} of its energy, so there is "
            "nothing to cut; keep a smaller share, or name a rank"
        )
    return ranks


def truncate_adapter(folder: Path, target: Path, ranks: Mapping[str, int]) -> Truncation:
    """Write the adapter of `folder` with `ranks` into `target`, and measure what was written.

    A module whose rank stays is copied bit for bit; so is what the adapter
    brings beside its updates, a LoRA on the embedding included.

    Args:
        ranks: the new rank of every module, at most the one it has.

    Raises:
        AdapterError: it is no plain LoRA, or what was written is not as close as it must be.
    """
    config = check_adapter_folder(folder)
    if config.use_dora:
        raise AdapterError(
            "the adapter is a DoRA, whose magnitudes belong to the whole update, so cutting B A "
            "alone would not be the closest adapter; train it again with a lower rank"
        )
    made = {found.module: _cut(found, ranks[found.module]) for found in read_factors(folder)}
    kept = {
        e.module: config.rank(e.module) for e in tensor_entries(folder) if e.part == EMBEDDING_A
    }
    new = cut_config(config, {module: cut.rank for module, cut in made.items()} | kept)
    write_factors(target, new, made, read_others(folder))
    return measure(folder, target)


def cut_config(config: AdapterConfig, ranks: Mapping[str, int]) -> AdapterConfig:
    """`config` with `ranks`, and alphas that leave every module's scaling as it is."""
    alphas = {module: _alpha(config, module, rank) for module, rank in ranks.items()}
    top = max(ranks.values())
    usual = Counter(alpha for module, alpha in alphas.items() if ranks[module] == top)
    alpha = usual.most_common(1)[0][0]
    changed = {
        "r": top,
        "lora_alpha": alpha,
        "rank_pattern": {_key(m, ranks): rank for m, rank in ranks.items() if rank != top},
        "alpha_pattern": {_key(m, ranks): own for m, own in alphas.items() if own != alpha},
    }
    return config.model_copy(update=changed)


def _key(module: str, modules: Iterable[str]) -> str:
    """A pattern that fits `module` alone; PEFT before 0.14 knows no `^`, so only where needed."""
    is_end = any(other.endswith(f".{module}") for other in modules)
    return f"^{module}" if is_end else module


def _alpha(config: AdapterConfig, module: str, rank: int) -> float:
    """The alpha that with `rank` scales as the module's alpha does with the rank it has."""
    alpha, old = config.alpha(module), config.rank(module)
    return alpha * math.sqrt(rank / old) if config.use_rslora else alpha * rank / old


def _cut(found: Factors, rank: int) -> Factors:
    if rank == found.rank:
        return found
    a, b = best_factors(found.a, found.b, rank)
    return replace(found, a=a, b=b)


def measure(folder: Path, target: Path) -> Truncation:
    """Hold a cut adapter's file against its parent's, and against what singular values promise.

    Raises:
        AdapterError: a module is farther off than its dropped singular values and the rounding of
            its numbers allow.
    """
    config, new = check_adapter_folder(folder), check_adapter_folder(target)
    cuts = []
    spectra = adapter_spectra(folder)
    for spectrum, old, cut in zip(spectra, read_factors(folder), read_factors(target), strict=True):
        before, after = config.scaling(old.module), new.scaling(old.module)
        found = ModuleCut(
            module=old.module,
            old_rank=old.rank,
            rank=cut.rank,
            norm=math.sqrt(spectrum.energy),
            dropped=math.sqrt(spectrum.dropped(cut.rank)),
            error=_difference(old, before, cut, after),
        )
        allowed = found.dropped + after * _rounding(cut) + 1e-12 * found.norm
        if found.error > allowed:
            raise AdapterError(
                f"{found.module} cut to rank {found.rank} is off by {found.error:.6g}, its dropped "
                f"singular values allow {allowed:.6g}; nothing was kept; please report this"
            )
        cuts.append(found)
    return Truncation(tuple(cuts))


def _difference(old: Factors, before: float, cut: Factors, after: float) -> float:
    """Norm of `before` B A - `after` B' A', through factors of the difference itself."""
    a = np.concatenate([old.a, cut.a])
    b = np.concatenate([before * old.b, -after * cut.b], axis=1)
    return update_norm(a, b)


def _rounding(cut: Factors) -> float:
    """How far B A may be off because the numbers of A and B were rounded for the file."""
    a, b = float(np.linalg.norm(cut.a)), float(np.linalg.norm(cut.b))
    off_a, off_b = _off(cut.a, cut.dtype_a), _off(cut.b, cut.dtype_b)
    return a * off_b + b * off_a + 2 * off_a * off_b


def _off(values: Array, dtype: str) -> float:
    norm = float(np.linalg.norm(values))
    return UNIT_ROUNDOFF[dtype] * norm + SMALLEST_STEP[dtype] * math.sqrt(values.size)


def _norm(values: Iterable[float]) -> float:
    return math.sqrt(math.fsum(value**2 for value in values))

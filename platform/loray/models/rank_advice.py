"""What a trained adapter's singular values say about its rank, in words.

The words rest on the smallest rank of each module that keeps a share of its energy. Which rank to
begin with is a rule of thumb: little for style, much for facts. Source: arXiv:2106.09685, sec. 7.2
(little), arXiv:2405.09673 (much).
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loray.models.spectrum import ModuleSpectrum

RULE_OF_THUMB = (
    "To begin with: rank 8 to 16 for style and format, 64 to 128 for facts and logic; raise it "
    "only when the adapter underfits, which is when the loss on its own training rows stays high."
)
WORTH_CUTTING = 0.75
"""Share of the ranks below which cutting module by module is worth a word."""
NAMED = 3
"""Modules that are named before the rest is counted."""


@dataclass(frozen=True)
class RankSummary:
    """All modules of an adapter together; of those whose update is zero nothing is said."""

    keep: float
    """The share of a module's energy that is to be kept."""
    num_modules: int
    zero: tuple[str, ...]
    """Modules whose update is exactly zero."""
    rank: int
    """The highest of any module."""
    enough: int
    """The smallest rank at which every module keeps the share."""
    median: float
    """Of the modules' own smallest ranks."""
    full: int
    """Modules that need all the rank they have."""
    auto_share: float
    """What the modules need of the ranks they have, both added up; 0 to 1."""
    by_projection: dict[str, tuple[int, int]]
    """Per last part of the name: the highest rank, and the highest that is needed."""

    @property
    def practical(self) -> int:
        """`enough`, as a rank to train with: a power of two, at most the rank there is."""
        return min(self.rank, power_of_two(self.enough))


def power_of_two(rank: int) -> int:
    """The smallest power of two that is not below `rank`."""
    return 1 << max(0, rank - 1).bit_length()


def summarise(spectra: Sequence[ModuleSpectrum], keep: float) -> RankSummary:
    """Count what the modules need to keep a share of their energy."""
    alive = [found for found in spectra if found.energy > 0.0]
    needs = {found.module: found.rank_keeping(keep) for found in alive}
    by_projection: dict[str, tuple[int, int]] = {}
    for found in alive:
        name = found.module.rpartition(".")[2]
        rank, needed = by_projection.get(name, (0, 0))
        by_projection[name] = max(rank, found.rank), max(needed, needs[found.module])
    return RankSummary(
        keep=keep,
        num_modules=len(spectra),
        zero=tuple(found.module for found in spectra if found.energy == 0.0),
        rank=max(found.rank for found in spectra),
        enough=max(needs.values(), default=0),
        median=statistics.median(needs.values() or [0]),
        full=sum(needs[found.module] == found.rank for found in alive),
        auto_share=sum(needs.values()) / max(1, sum(found.rank for found in alive)),
        by_projection=by_projection,
    )


def advise(summary: RankSummary, ref: str) -> tuple[str, ...]:
    """Sentences for whoever chooses the next rank.

    Args:
        ref: the version, as it is written in commands.
    """
    return tuple(_advice(summary, ref))


def _advice(found: RankSummary, ref: str) -> Iterator[str]:
    if found.zero:
        yield _zero(found)
    if not found.by_projection:
        return
    share, num_alive = f"{100 * found.keep:.4g}%", found.num_modules - len(found.zero)
    if found.practical < found.rank:
        yield (
            f"{share} of the energy of every module lies in {found.enough} of {found.rank} "
            f"directions (median {found.median:g}): rank {found.practical} is enough to train "
            f"with; `loray registry rank {ref} --truncate {found.enough}` cuts this version."
        )
    elif saving := _saving(found):
        yield (
            f"The modules differ: {found.full} of {num_alive} need all of their rank for {share} "
            f"of their energy, half of them at most {found.median:g} of {found.rank}; "
            f"`loray registry rank {ref} --truncate auto` gives each the rank it needs."
        )
        yield (
            f"To train with ranks of their own: method.patterns: [{', '.join(saving)}], each with "
            "an alpha in proportion."
        )
    else:
        yield (
            f"The rank is used: {share} of the energy takes up to {found.enough} of {found.rank} "
            f"directions, {found.median:g} in the median module"
            + (f"; {found.full} of {num_alive} need all they have. " if found.full else ". ")
            + "If the adapter underfits, raise the rank; if it does not, this is no reason to."
        )
        if found.auto_share <= WORTH_CUTTING:
            yield (
                f"`loray registry rank {ref} --truncate auto` gives each module what it needs, "
                f"{found.auto_share:.0%} of the ranks there are."
            )
    yield RULE_OF_THUMB


def _saving(found: RankSummary) -> list[str]:
    """Patterns for projections that half their rank would do for, as a spec has them."""
    return [
        f"{{modules: {name}, rank: {power_of_two(needed)}}}"
        for name, (rank, needed) in sorted(found.by_projection.items())
        if power_of_two(needed) < rank
    ]


def _zero(found: RankSummary) -> str:
    named = ", ".join(found.zero[:NAMED])
    more = f" and {len(found.zero) - NAMED} more" if len(found.zero) > NAMED else ""
    return (
        f"{len(found.zero)} of {found.num_modules} modules have an update of exactly zero "
        f"({named}{more}): nothing was learned there; see `loray doctor run SPEC` of its training."
    )

"""Spectra as a table: the layers of one projection in a row, or every module in its own."""

import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from loray.cli.output import say, show_table

if TYPE_CHECKING:
    from loray.models.spectrum import ModuleSpectrum

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def show_spectra(spectra: "Sequence[ModuleSpectrum]", keep: float, *, is_grouped: bool) -> None:
    """Print what each projection, or each module, needs and what lower ranks keep.

    Args:
        keep: the share of each module's energy that is to be kept.
    """
    shown = powers_below(max(found.rank for found in spectra))
    groups = grouped(spectra) if is_grouped else {found.module: [found] for found in spectra}
    needed = f"{100 * keep:.4g}% in"
    kept = [f"kept at {rank}" for rank in shown]
    rows = []
    for name, some in groups.items():
        figures = (
            _range(some, lambda found: found.rank, "d"),
            _range(some, lambda found: found.energy**0.5, ".4g"),
            _range(some, lambda found: found.effective_rank, ".1f"),
            _range(some, lambda found: found.rank_keeping(keep), "d"),
            *(percent(min(found.kept(rank) for found in some)) for rank in shown),
        )
        layers = (_runs([_layer(found.module) for found in some]),) if is_grouped else ()
        rows.append((name, *layers, *figures))
    first = ("projection", "layers") if is_grouped else ("module",)
    show_table((*first, "rank", "norm", "effective rank", needed, *kept), rows)
    if is_grouped and len(groups) < len(spectra):
        say("of several modules: lowest to highest; kept: the least of any (--all lists each)")


def grouped(spectra: "Sequence[ModuleSpectrum]") -> "dict[str, list[ModuleSpectrum]]":
    """Modules by their names, the numbers of layers and experts left open, in order."""
    groups: dict[str, list[ModuleSpectrum]] = {}
    for found in spectra:
        groups.setdefault(_NUMBER.sub("*", found.module), []).append(found)
    return groups


def powers_below(rank: int) -> list[int]:
    """Powers of two below the rank."""
    return [1 << exponent for exponent in range((rank - 1).bit_length())]


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.2f}%"


def _range(
    some: "Sequence[ModuleSpectrum]", figure: "Callable[[ModuleSpectrum], float]", form: str
) -> str:
    """A figure of all of them, from the lowest to the highest."""
    values = [figure(found) for found in some]
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def _layer(module: str) -> int | None:
    """The first number in a module's name."""
    found = _NUMBER.search(module)
    return None if found is None else int(found[0])


def _runs(layers: Sequence[int | None]) -> str:
    """Numbers of layers, those that follow one another as a range."""
    numbers = sorted({layer for layer in layers if layer is not None})
    runs = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    ends = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"{r[0]}" if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in ends) or "-"

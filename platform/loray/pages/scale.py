"""Axes: where a value lies on the page, and which values get a tick."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self


@dataclass(frozen=True)
class Axis:
    """A linear map from values to page coordinates."""

    low: float
    high: float
    start: float
    """Page coordinate of `low`."""
    end: float
    """Page coordinate of `high`."""
    ticks: tuple[float, ...]

    @classmethod
    def over(
        cls,
        values: Sequence[float],
        *,
        start: float,
        end: float,
        is_snug: bool = False,
        ticks: Sequence[float] = (),
    ) -> Self:
        """An axis that holds all `values`.

        Args:
            is_snug: end at the outermost values rather than at the ticks beyond them.
            ticks: where ticks go; round numbers when not given.
        """
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        if low == high:
            low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
        marks = tuple(ticks) or round_ticks(low, high)
        if is_snug:
            marks = tuple(tick for tick in marks if low <= tick <= high)
        else:
            low, high = min(low, marks[0]), max(high, marks[-1])
        return cls(low, high, start, end, marks)

    def place(self, value: float) -> float:
        """The page coordinate of `value`."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def round_ticks(low: float, high: float, *, about: int = 5) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten, from at or below `low` to at or above `high`."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(index * step for index in range(first, last + 1))


def tick_label(tick: float, ticks: Sequence[float]) -> str:
    """`tick` with just the decimals that tell it from its neighbours."""
    step = min((b - a for a, b in pairwise(ticks)), default=1.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return f"{tick:,.{decimals}f}"

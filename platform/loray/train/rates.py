"""Which learning rate to train with: a short run whose rate rises at every step.

The loss falls while the rate is useful and rises once it is too high; a good rate to train with
lies an order of magnitude below the turn. Source: Smith, "Cyclical learning rates",
arXiv:1506.01186, sec. 3.3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loray.errors import TrainingError

SMOOTHING = 0.8
"""Share of the old value in the running mean of the loss."""
RISEN = 2.0
"""The run ends once the mean loss is this many times the lowest."""
FALLEN = 0.02
"""Share of the first loss that must be gone, or nothing was learned."""
SAFETY = 10.0
"""The rate at the turn over the rate to train with."""


@dataclass(frozen=True)
class RateRange:
    """The rates to try."""

    lowest: float
    highest: float
    steps: int

    def rate(self, step: int) -> float:
        """The rate of `step` (from 0): each is the one before times the same factor."""
        return self.lowest * math.pow(self.highest / self.lowest, step / max(self.steps - 1, 1))


@dataclass(frozen=True)
class RateCurve:
    """The rates that were tried, and the loss (nats per target token) after those before each."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def smooth(self) -> list[float]:
        """The running mean of the losses, without a bias towards zero at its start."""
        found, mean = [], 0.0
        for at, loss in enumerate(self.losses, start=1):
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            found.append(mean / (1 - SMOOTHING**at))
        return found


@dataclass(frozen=True)
class RateAdvice:
    """What a curve says."""

    turn: float
    """The rate at which the loss was lowest."""
    suggested: float
    is_open: bool
    """Whether the loss still fell at the highest rate that was tried."""


def is_over(losses: Sequence[float]) -> bool:
    """Whether a run has gone far enough to show where the loss turns."""
    if not math.isfinite(losses[-1]):
        return True
    smooth = RateCurve((), tuple(losses)).smooth
    return smooth[-1] > RISEN * min(smooth)


def advise(curve: RateCurve) -> RateAdvice:
    """The rate to train with.

    Raises:
        TrainingError: the loss fell at no rate.
    """
    smooth = [loss if math.isfinite(loss) else math.inf for loss in curve.smooth]
    if math.isinf(smooth[0]):
        raise TrainingError(
            "the loss is no number before anything was learned; check the base model's weights"
        )
    at = min(range(len(smooth)), key=smooth.__getitem__)
    if smooth[at] > (1 - FALLEN) * smooth[0]:
        raise TrainingError(
            f"the loss fell at no rate from {curve.rates[0]:.3g} to {curve.rates[-1]:.3g} "
            f"({smooth[0]:.3f} at first, {smooth[at]:.3f} at best); try --highest above that, more "
            "--steps, or see what is learned with `loray data preview`"
        )
    turn = curve.rates[at]
    return RateAdvice(turn, _rounded(turn / SAFETY), is_open=at == len(smooth) - 1)


def _rounded(rate: float) -> float:
    """Two digits: more would claim too much."""
    return float(f"{rate:.1e}")

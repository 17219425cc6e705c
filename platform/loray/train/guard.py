"""What watches a run's loss, and decides when to go back and try otherwise.

Every worker has a guard of its own. It sees only numbers that are equal on all of them, and it is
saved with each checkpoint, so all workers decide alike and a resumed run decides as an undisturbed
one would.

- Divergence in the first steps, or a loss that is no number there: back to the beginning with a
  tenth of the learning rate. A loss that high is no accident of one batch: five in a row are above
  all of those that the model had on the first five batches before it learned anything.
- A spike or a loss that is no number later: back to the last checkpoint, and the steps' data is
  passed over. Source: arXiv:2204.02311, sec. 5.1 (PaLM restarted before spikes, without the data).
- A loss that jumps about: noted, nothing is done.

Each is done a few times at most; then the run ends, or goes on and says so.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from statistics import fmean, median, stdev
from typing import Any, Literal

from loray.artifacts.diagnosis import Diagnosis, Kind, diagnosis_of
from loray.errors import TrainingError
from loray.spec.train import GuardSpec

FIRST = 5
"""Losses that say what the model could do before it learned, and losses that divergence takes."""
DIVERGED = 1.5
"""How many times the loss before training a diverged run's loss is, in the mean."""
RECENT = 32
"""Losses that say what is usual."""
ENOUGH = 24
"""Losses after which a spike can be told."""
USUAL = 8
"""Losses of which the median is the usual one."""
SPIKE_DEVIATIONS, SPIKE_RATIO, SPIKE_NATS = 6.0, 1.5, 0.25
"""A spike is above the usual loss by so many deviations, this factor, and so many nats."""
ERRATIC = 0.5
"""Median change from step to step, over the median loss, of a loss that jumps about."""
RATE_CUT = 0.1
"""What a restart multiplies the learning rate by."""


@dataclass
class GuardState:
    """All that a guard remembers."""

    rate_factor: float = 1.0
    """What the spec's learning rate is multiplied by."""
    skipped: list[int] = field(default_factory=list)
    """Steps of the data that are passed over, sorted."""
    restarts: int = 0
    rollbacks: int = 0
    untrained: list[float] = field(default_factory=list)
    """Losses on the first batches before anything was learned."""
    recent: list[float] = field(default_factory=list)
    """The latest losses that were no spike."""
    latest: list[float] = field(default_factory=list)
    """The last few losses, spikes or not."""
    spiking: int = 0
    """How many of them in a row were spikes."""
    diagnoses: list[Diagnosis] = field(default_factory=list)

    def to_json(self) -> str:
        """For a checkpoint."""
        return json.dumps({**asdict(self), "diagnoses": [d.record() for d in self.diagnoses]})

    @classmethod
    def from_json(cls, text: str) -> "GuardState":
        """What `to_json` wrote."""
        record: dict[str, Any] = json.loads(text)
        record["diagnoses"] = [diagnosis_of(found) for found in record["diagnoses"]]
        return cls(**record)


@dataclass(frozen=True)
class Judgement:
    """What a step's loss calls for."""

    diagnosis: Diagnosis
    back_to: Literal["beginning", "checkpoint", "earlier"] | None = None
    """Where the run is set back to; `earlier`: the last checkpoint is spoilt. None: go on."""
    suspects: tuple[int, ...] = ()
    """Steps of the data whose rows are to be looked at."""


class Guard:
    """Judges every step of a run."""

    def __init__(self, spec: GuardSpec) -> None:
        self._spec = spec
        self.state = GuardState()

    def take_over(self, state: GuardState) -> None:
        """Continue with what another guard remembered."""
        self.state = state

    def data_step(self, step: int) -> int:
        """The step of the data that `step` (from 0) learns from."""
        for skipped in self.state.skipped:
            step += skipped <= step
        return step

    def judge(self, step: int, loss: float, grad_norm: float, *, saved: int) -> Judgement | None:
        """What the loss of `step` (from 0) calls for; None while all is well.

        Args:
            saved: steps that the last checkpoint had done.

        Raises:
            TrainingError: it went wrong as often as it may.
        """
        state = self.state
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            return self._not_finite(step, loss, grad_norm, saved)
        state.latest = [*state.latest, loss][-FIRST:]
        if self._has_diverged(step):
            return self._restart(step, "divergence", self._divergence_words())
        if self._is_spike(loss):
            return self._spike(step, loss, saved)
        state.spiking = 0
        state.recent = [*state.recent, loss][-RECENT:]
        return self._erratic(step)

    def set_back(self, decided: GuardState) -> None:
        """Go on with what was decided, and with the losses of the state that was taken over."""
        decided.recent, decided.latest = self.state.recent, self.state.latest
        decided.spiking = 0
        self.state = decided

    def note(self, diagnosis: Diagnosis) -> None:
        """Remember a diagnosis; of a kind that is noted once, the first counts."""
        self.state.diagnoses.append(diagnosis)

    def has_noted(self, kind: Kind) -> bool:
        """Whether there is such a diagnosis already."""
        return any(found.kind == kind for found in self.state.diagnoses)

    # -- rules --------------------------------------------------------------------------------

    def _has_diverged(self, step: int) -> bool:
        before, latest = self.state.untrained, self.state.latest
        if not before or step >= self._spec.watched_steps or len(latest) < FIRST:
            return False
        rise = fmean(latest) - fmean(before)
        is_far = rise > (DIVERGED - 1) * fmean(before) and rise > 4 * standard_error(before, latest)
        return is_far and min(latest) > max(before)

    def _is_spike(self, loss: float) -> bool:
        if len(self.state.recent) < ENOUGH:
            return False
        usual = self._usual()
        # In logarithms, since noise grows with the loss; by the changes from step to step, since it
        # falls meanwhile. Of normal noise their median is 0.954 deviations.
        changes = [abs(_log(b) - _log(a)) for a, b in pairwise(self.state.recent)]
        rise = _log(loss) - _log(usual)
        is_odd = rise > SPIKE_DEVIATIONS * median(changes) / 0.954
        # However much it jumps about, what was learned does not make it worse than untrained.
        is_odd |= bool(self.state.untrained) and loss > DIVERGED * max(self.state.untrained)
        return is_odd and rise > math.log(SPIKE_RATIO) and loss - usual > SPIKE_NATS

    def _is_erratic(self) -> bool:
        if len(self.state.recent) < RECENT:
            return False
        changes = [abs(b - a) for a, b in pairwise(self.state.recent)]
        return median(changes) > ERRATIC * median(self.state.recent)

    def _usual(self) -> float:
        return median(self.state.recent[-USUAL:])

    # -- what follows from them -----------------------------------------------------------------

    def _not_finite(self, step: int, loss: float, grad_norm: float, saved: int) -> Judgement:
        words = f"the loss is {loss} and the gradient's norm {grad_norm}"
        if step < self._spec.watched_steps:
            return self._restart(step, "not_finite", words)
        return self._roll_back(step, "not_finite", words, saved)

    def _restart(self, step: int, kind: Kind, seen: str) -> Judgement:
        """Back to the beginning, gentler."""
        state = self.state
        if state.restarts >= self._spec.max_restarts:
            raise TrainingError(
                f"step {step + 1}: {kind.replace('_', ' ')}: {seen}, after {state.restarts} "
                f"restart(s), the last at {state.rate_factor:g} of train.optimizer.learning_rate; "
                "look at the data (loray data preview), then lower the rate"
            )
        state.rate_factor *= RATE_CUT
        state.restarts += 1
        done = f"started again with the learning rate times {state.rate_factor:g}"
        return Judgement(
            Diagnosis(kind, step + 1, seen, done), "beginning", (self.data_step(step),)
        )

    def _roll_back(self, step: int, kind: Kind, seen: str, saved: int) -> Judgement:
        """Back to the last checkpoint, without the data of this step and of the one before."""
        state = self.state
        if state.rollbacks >= self._spec.max_rollbacks:
            raise TrainingError(
                f"step {step + 1}: {seen}, after {state.rollbacks} rollback(s); look at the rows "
                "that loray doctor run names, or lower train.optimizer.learning_rate"
            )
        # Straight after a checkpoint it is the checkpoint that is spoilt, by the step before it.
        is_spoilt = step == saved > 0
        first = step - 1 if is_spoilt else max(step - 1, saved)
        suspects = tuple(self.data_step(at) for at in range(first, step + 1))
        state.rollbacks += 1
        state.skipped = sorted({*state.skipped, *suspects})
        done = (
            "went back to step {step}, " + f"and the data of {len(suspects)} step(s) is passed over"
        )
        back_to: Literal["earlier", "checkpoint"] = "earlier" if is_spoilt else "checkpoint"
        return Judgement(Diagnosis(kind, step + 1, seen, done), back_to, suspects)

    def _spike(self, step: int, loss: float, saved: int) -> Judgement | None:
        state = self.state
        seen = f"the loss is {loss:.3f} where {self._usual():.3f} is usual"
        state.spiking += 1
        may_roll_back = state.rollbacks < self._spec.max_rollbacks
        if step >= self._spec.watched_steps and may_roll_back:
            return self._roll_back(step, "spike", seen, saved)
        if state.spiking == FIRST:  # it stays up there: that is what is usual from now on
            state.spiking, state.recent = 0, list(state.latest)
        if state.spiking != 1:
            return None
        done = f"went on, as in all of the first {self._spec.watched_steps} steps"
        if step >= self._spec.watched_steps:
            done = f"went on, since {state.rollbacks} rollback(s) are all that train.guard allows"
        return Judgement(Diagnosis("spike", step + 1, seen, done), None, (self.data_step(step),))

    def _erratic(self, step: int) -> Judgement | None:
        if self.has_noted("erratic") or not self._is_erratic():
            return None
        seen = f"the loss jumps about: over {RECENT} steps half of its changes are more than "
        seen += f"{ERRATIC:.0%} of its median, {median(self.state.recent):.3f}"
        done = "a larger train.batch.global_size steadies it; see the rows that cost most"
        steps = range(max(step - FIRST + 1, 0), step + 1)
        suspects = tuple(map(self.data_step, steps))
        return Judgement(Diagnosis("erratic", step + 1, seen, done), None, suspects)

    def _divergence_words(self) -> str:
        return (
            f"the last {FIRST} losses are {min(self.state.latest):.3f} or more; before anything "
            f"was learned they were {max(self.state.untrained):.3f} or less"
        )


def _log(loss: float) -> float:
    return math.log(max(loss, 1e-9))


def standard_error(one: Sequence[float], other: Sequence[float]) -> float:
    """Of the difference of the means of two samples."""
    return math.sqrt(stdev(one) ** 2 / len(one) + stdev(other) ** 2 / len(other))

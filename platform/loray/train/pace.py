"""How long a run still takes, told from how long its steps took so far."""

MINUTE, HOUR = 60.0, 3600.0


class Pace:
    """Steps of a run as the driver sees them pass."""

    def __init__(self, steps: int) -> None:
        """Begin to count.

        Args:
            steps: of the whole run.
        """
        self._steps = steps
        self._first: tuple[int, float] | None = None

    def left(self, step: int, now: float) -> str:
        """How long the steps after `step` take, in words; empty until that can be told.

        Args:
            step: that was done last; the first one told is where counting begins.
            now: seconds of a clock that does not go back.
        """
        if self._first is None or step < self._first[0]:  # workers began again, further back
            self._first = step, now
        first, began = self._first
        if step == first or step >= self._steps:
            return ""
        seconds = (now - began) / (step - first) * (self._steps - step)
        if seconds < MINUTE:
            return f"{seconds:.0f} s left"
        if seconds < HOUR:
            return f"{seconds / MINUTE:.0f} min left"
        return f"{seconds / HOUR:.1f} h left"

"""From checkpoints to a verdict: score on held-out rows, pick the best, hold it to the gates."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loray.evaluate.run import evaluate_to as evaluate_to
    from loray.evaluate.scorecard import Scorecard as Scorecard

STAGE_VERSION = 2
"""Raised whenever the same checkpoints and rows would get other scores than before."""

_HOME = {"evaluate_to": "loray.evaluate.run", "Scorecard": "loray.evaluate.scorecard"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (a module's attributes have no one type)
    """Load what is heavy when it is first asked for, so that planning stays light."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)

"""The engine behind evaluation and serving: one base model, many adapters, one shared batch.

Nothing heavy is imported until a name that needs torch is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from loray.inference.request import Completion, Event, GenerateRequest, SamplingParams, Score
from loray.inference.text import AnswerStream, Said, answer_stream

if TYPE_CHECKING:
    from loray.inference.engine import Engine, EngineStats

__all__ = [
    "AnswerStream",
    "Completion",
    "Engine",
    "EngineStats",
    "Event",
    "GenerateRequest",
    "Said",
    "SamplingParams",
    "Score",
    "answer_stream",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the type is in the TYPE_CHECKING block above
    """`Engine` and `EngineStats`, whose module imports torch, on first use."""
    if name in __all__:
        return getattr(import_module("loray.inference.engine"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

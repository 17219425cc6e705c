"""From a corpus to token sequences: read, clean, split, render, pack; no row vanishes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loray.data.identity import source_identity as source_identity
    from loray.data.identity import source_stamps as source_stamps
    from loray.data.run import curate_to as curate_to

STAGE_VERSION = 5
"""Raised whenever the same corpus and spec would give other files than before."""

_HOME = {
    "curate_to": "loray.data.run",
    "source_identity": "loray.data.identity",
    "source_stamps": "loray.data.identity",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (a module's attributes have no one type)
    """Load what is heavy when it is first asked for, so that planning stays light."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)

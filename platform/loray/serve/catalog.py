"""Which adapter versions may be served; serving knows no registry, it is passed a `Catalog`.

A reference is `name`, `name@3` or `name@alias`. It is resolved at every request, so that a moved
alias is seen; from then on only the version's digest names it, in every cache and every log.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loray.spec.base import NAME_PATTERN

MAX_REFERENCE_CHARS = 64 + 1 + 64

_REFERENCE = re.compile(f"{NAME_PATTERN[1:-1]}(@{NAME_PATTERN[1:-1]})?")


@dataclass(frozen=True)
class AdapterVersion:
    """One immutable version of an adapter."""

    name: str
    version: int
    digest: str
    """64 hex digits over its content: its key in the engine and its id in Ray's router."""
    created: int = 0
    """Seconds since 1970."""

    @property
    def ref(self) -> str:
        """The written identity, `name@3`."""
        return f"{self.name}@{self.version}"


class Catalog(Protocol):
    """Where adapters come from; it travels to replicas, so it must pickle."""

    def resolve(self, ref: str) -> AdapterVersion:
        """The version that `ref` names now.

        Raises:
            AdapterNotFoundError: there is none, or it is not for the served base.
            NameRefusedError: there can be none of that name.
            LorayError: the catalog cannot be asked at present.
        """

    def listing(self) -> Sequence[tuple[str, AdapterVersion]]:
        """Every reference that a client may use, and what it names now."""

    def folder(self, version: AdapterVersion) -> Path:
        """A local folder with the version's verified files, downloaded if need be.

        Raises:
            LorayError: the files cannot be had, or are not what the version says.
        """


def is_reference(text: str) -> bool:
    """Whether `text` has the form of a reference; nothing else reaches a catalog."""
    return _REFERENCE.fullmatch(text) is not None and ".." not in text

"""Base models that are on this machine: pulled ones, those under `models/`, and the hub's cache."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loray.artifacts.digests import cache_home
from loray.models.hub_cache import snapshots
from loray.models.pulling.provenance import read_provenance

BELOW = "models"
"""Where `loray model pull` puts a folder that nobody names."""


@dataclass(frozen=True)
class FoundBase:
    """A base model on this disk."""

    name: str
    """A folder, as a spec would name it, or a hub id."""
    revision: str | None
    """Commit of a hub id; of a pulled folder that of its source."""
    folder: Path
    source: str
    """`hub cache`, what it was pulled from, or `folder`."""


def found_bases() -> list[FoundBase]:
    """All of them, folders first."""
    here = Path.cwd()
    folders = {p.parent.absolute() for p in sorted(Path(BELOW).glob("*/config.json"))}
    folders |= set(_remembered())
    found = []
    for folder in sorted(folders):
        about = read_provenance(folder)
        name = folder.relative_to(here) if folder.is_relative_to(here) else folder
        source = about.source if about else "folder"
        found.append(FoundBase(str(name), about.revision if about else None, folder, source))
    cached = (FoundBase(s.repo, s.revision, s.folder, "hub cache") for s in snapshots())
    return [*found, *cached]


def remember(folder: Path) -> None:
    """Note a pulled folder for `found_bases`; a note that cannot be written only costs its line."""
    place = folder.absolute()
    note = _notes() / f"{hashlib.sha256(os.fsencode(place)).hexdigest()[:32]}.json"
    with suppress(OSError):
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        note.write_text(json.dumps({"folder": str(place)}), encoding="utf-8")


def _remembered() -> Iterator[Path]:
    for note in sorted(_notes().glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            folder = Path(json.loads(note.read_text(encoding="utf-8"))["folder"])
            if (folder / "config.json").is_file():
                yield folder


def _notes() -> Path:
    return cache_home() / "pulled"

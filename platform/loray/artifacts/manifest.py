"""The manifest: what an artifact holds, what made it, and the mark that it is complete."""

from typing import Any, Literal

from loray.spec.base import StrictModel

MANIFEST_NAME = "manifest.json"
StageKind = Literal["dataset", "training", "evaluation"]


class FileEntry(StrictModel):
    """One file of an artifact."""

    path: str
    """Relative to the artifact's folder, with forward slashes."""
    size: int
    """Bytes."""
    sha256: str


class Stage(StrictModel):
    """The identity of what a stage makes: the same recipe always gives the same one."""

    kind: StageKind
    name: str
    fingerprint: str

    @property
    def folder(self) -> str:
        """Where the artifact lies under the storage root."""
        return f"{self.kind}s/{self.name}-{self.fingerprint}"


class Manifest(StrictModel):
    """Written last; a folder without one does not exist for anyone."""

    stage: Stage
    stage_version: int
    """The version of the stage's own code whose results would differ from an older one's."""
    recipe: dict[str, Any]
    """The blocks of the spec, and the library versions, that the fingerprint covers."""
    inputs: dict[str, str]
    """Fingerprints and digests of what went in, by name."""
    files: tuple[FileEntry, ...]
    statistics: dict[str, Any]
    """Counts and times that the stage reports."""
    environment: dict[str, str]
    """Versions of Python and of the libraries, whether or not they are in the fingerprint."""
    created: str
    """When it was committed, ISO 8601 in UTC."""

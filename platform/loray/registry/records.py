"""What the registry holds and hands out: frozen values, read from the database and from blobs."""

from typing import Annotated, Literal

from pydantic import Field

from loray.artifacts.manifest import FileEntry
from loray.spec.base import StrictModel

State = Literal["registered", "evaluated", "promotable", "rejected", "withdrawn"]
EventKind = Literal["registered", "state", "alias", "rollback"]

Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,1024}$")]
Scores = dict[Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,128}$")], float]


class Lineage(StrictModel):
    """Where a version comes from; null where nothing is known, as for an adapter made elsewhere."""

    base_model: Text
    """Path or hub id, as the adapter's config names it."""
    base_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 over the base model's files; what a server compares."""
    base_revision: Text | None = None
    """Commit of a hub id."""
    spec_digest: Text | None = None
    dataset: Text | None = None
    """Fingerprint of the dataset artifact; likewise the next two."""
    training: Text | None = None
    evaluation: Text | None = None
    checkpoint_step: Annotated[int, Field(ge=0)] | None = None
    code_version: Text | None = None
    parents: tuple[Text, ...] = ()
    """Versions, as `name@3`, that this one was made from."""


class VersionManifest(StrictModel):
    """A version's content: a blob of its own, whose digest is the version's digest."""

    format: Literal[1] = 1
    name: str
    adapter_digest: str
    files: tuple[FileEntry, ...]
    lineage: Lineage
    scores: Scores


class Version(StrictModel):
    """An immutable version; only its state ever changes."""

    name: str
    number: int
    """From 1, without gaps, never used again."""
    digest: str
    """SHA-256 of the manifest: names the version's content in caches."""
    adapter_digest: str
    """As `loray.models.adapter_files.adapter_digest` computes it."""
    state: State
    lineage: Lineage
    scores: Scores
    created: str
    """ISO 8601, UTC."""

    @property
    def ref(self) -> str:
        """The written identity, `name@number`."""
        return f"{self.name}@{self.number}"


class Alias(StrictModel):
    """A name that moves from version to version."""

    name: str
    alias: str
    version: int | None
    """Null when it was never set, or was removed."""
    generation: int
    """Counts the moves; what a mover must have seen."""


class Adapter(StrictModel):
    """A name in the registry."""

    name: str
    last_version: int
    aliases: dict[str, int]
    """Alias to version number."""


class Event(StrictModel):
    """A line of the log that is only ever appended to."""

    id: int
    at: str
    """ISO 8601, UTC."""
    who: str
    kind: EventKind
    name: str
    alias: str | None
    generation: int | None
    from_version: int | None
    to_version: int | None
    from_state: State | None
    to_state: State | None
    reason: str


class Fault(StrictModel):
    """Something that `fsck` found wrong."""

    subject: str
    """A version's or alias's reference, or `database`."""
    what: str


class Sweep(StrictModel):
    """What `gc` deleted, or would delete when it ran dry."""

    dry_run: bool
    blobs: tuple[str, ...]
    """Digests that no version refers to."""
    partial: tuple[str, ...]
    """Names of folders that interrupted work left behind."""
    num_bytes: int
    """Size of the blobs."""
    names: tuple[str, ...] = ()
    """Of a dry run: adapters that manifests among the blobs were written for."""

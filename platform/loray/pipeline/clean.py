"""What a storage root holds that nothing needs any more, and its removal.

Kept are the newest artifact of each kind and name (an unchanged spec finds it fresh), what the
versions behind aliases were made from, the inputs of what is kept, and everything of a run that is
under way. Adapters in the registry are copies of their own: cleaning never touches them.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR
from typing import Literal, get_args

from loray.artifacts.manifest import Manifest, Stage, StageKind
from loray.artifacts.store import Store
from loray.errors import ArtifactError, LeaseError
from loray.pipeline.leased import is_search_of, run_of
from loray.registry import Registry, RunLedger
from loray.registry.storage_failures import explaining_storage_failures
from loray.spec.run import StorageSpec

DAY_SECONDS = 86_400
CLOCK_DAYS = 1.0
"""Dates that lie further ahead are no difference between clocks that run well."""
UNREADABLE = "its manifest is damaged, or of a newer loray; delete its folder yourself if need be"
DATED_AHEAD = "it is dated in the future; set this machine's clock right"
ItemKind = Literal["dataset", "training", "evaluation", "work", "fetched copy"]


@dataclass(frozen=True)
class Item:
    """One folder under the storage root, or of its local scratch."""

    kind: ItemKind
    name: str
    """Its folder, below the root or the scratch folder."""
    num_bytes: int
    age_days: float
    """Negative of what is dated in the future."""
    stage: Stage | None
    """Of an artifact, also of one that an interrupted commit left without a manifest."""
    path: Path | None
    """Of a local folder."""
    kept: str = ""
    """Why it stays; empty for what may go."""


@dataclass(frozen=True)
class Selection:
    """Which items may go."""

    older_than_days: float = 30.0
    larger_than_bytes: int = 0
    kinds: tuple[ItemKind, ...] = get_args(ItemKind)


@explaining_storage_failures()
def look_through(storage: StorageSpec, selection: Selection) -> list[Item]:
    """Every item, the largest first, each with the reason why it is kept if it is.

    Raises:
        RegistryError: the registry cannot be read, so nobody knows what its aliases need; or the
            disk or S3 failed.
    """
    store = Store(storage.root)
    manifests, unreadable = _manifests(store)
    needed = _needed(manifests, Registry(storage.registry, storage.root))
    needed |= dict.fromkeys(unreadable, UNREADABLE)
    live = RunLedger(storage.registry).live_keys()
    items = [*_artifacts(store, manifests), *_scratch(store)]
    found = [replace(item, kept=_why_kept(item, selection, needed, live)) for item in items]
    return sorted(found, key=lambda item: (-item.num_bytes, item.name))


def remove(storage: StorageSpec, items: Iterable[Item]) -> Iterator[Item]:
    """Delete what may go of `items`, each under its lease; yields what is gone, one by one.

    What came to be needed since `look_through` stays, too: a run has started, or an alias moved.

    Raises:
        RegistryError: as in `look_through`.
    """
    store, ledger = Store(storage.root), RunLedger(storage.registry)
    needed = _needed(_manifests(store)[0], Registry(storage.registry, storage.root))
    for item in items:
        if item.kept or (item.path is None and item.stage in needed):
            continue
        key = "" if item.stage is None else item.stage.folder
        try:
            with ledger.acquire(key) if key else nullcontext():
                if _is_under_way(item, [other for other in ledger.live_keys() if other != key]):
                    continue
                _delete(store, item)
        except LeaseError:  # a run has started in the meantime
            continue
        yield item


@explaining_storage_failures()
def _delete(store: Store, item: Item) -> None:
    if item.path is not None:
        shutil.rmtree(item.path, onerror=_unless_gone)
    elif item.stage is not None:
        store.delete(item.stage)


def _unless_gone(
    _: object, __: str, info: tuple[type[BaseException], BaseException, object]
) -> None:
    """Raise what kept a file from being deleted, unless another cleaning was faster."""
    if not isinstance(info[1], FileNotFoundError):
        raise info[1]


def _why_kept(
    item: Item, selection: Selection, needed: Mapping[Stage, str], live: Sequence[str]
) -> str:
    if item.kind not in selection.kinds:
        return "not of the chosen kinds"
    if _is_under_way(item, live):
        return "a run of that name is under way"
    if item.path is None and item.stage is not None and item.stage in needed:
        return needed[item.stage]
    is_ahead = item.age_days < -CLOCK_DAYS
    if is_ahead or max(0.0, item.age_days) < selection.older_than_days:
        return DATED_AHEAD if is_ahead else f"younger than {selection.older_than_days:g} days"
    if item.num_bytes < selection.larger_than_bytes:
        return "small"
    return ""


def _is_under_way(item: Item, live: Iterable[str]) -> bool:
    """Whether a lease of the item's run is held: on a stage, to publish it, or to try its rates."""
    if item.stage is None:
        return item.path is not None and any(is_search_of(key, item.path.name) for key in live)
    return item.stage.name in map(run_of, live)


def _needed(manifests: Sequence[Manifest], registry: Registry) -> dict[Stage, str]:
    """Artifacts that something needs, each with what does."""
    by_mark = {(str(m.stage.kind), m.stage.fingerprint): m for m in manifests}
    newest = {(m.stage.kind, m.stage.name): m.stage for m in manifests}  # they come oldest first
    needed = dict.fromkeys(newest.values(), "the newest of its name")
    for alias, marks in _behind_aliases(registry):
        for found in filter(None, map(by_mark.get, marks)):
            needed.setdefault(found.stage, f"{alias} was made from it")
    for stage in list(needed):
        inputs = by_mark[stage.kind, stage.fingerprint].inputs
        for found in filter(None, map(by_mark.get, inputs.items())):
            needed.setdefault(found.stage, f"an input of {stage.folder}")
    return needed


def _behind_aliases(registry: Registry) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each alias, with the kinds and fingerprints of what its version was made from."""
    adapters = registry.adapters()
    versions = {(version.name, version.number): version for version in registry.versions()}
    for adapter in adapters:
        for alias, number in adapter.aliases.items():
            lineage = versions[adapter.name, number].lineage
            marks = [(kind, getattr(lineage, kind)) for kind in get_args(StageKind)]
            yield f"{adapter.name}@{alias}", [(kind, mark) for kind, mark in marks if mark]


@explaining_storage_failures()
def _manifests(store: Store) -> tuple[list[Manifest], list[Stage]]:
    """Every readable manifest, oldest first; and the artifacts with an unreadable one."""
    found, unreadable = [], []
    for stage in store.stages():
        try:
            manifest = store.read_manifest(stage)
        except ArtifactError:
            unreadable.append(stage)
        else:
            found += [] if manifest is None else [manifest]
    return sorted(found, key=lambda manifest: manifest.created), unreadable


def _artifacts(store: Store, manifests: Sequence[Manifest]) -> Iterator[Item]:
    known = {manifest.stage: manifest for manifest in manifests}
    for stage in store.stages():
        num_bytes, changed = store.weigh(stage)
        if stage in known:
            changed = datetime.fromisoformat(known[stage].created).timestamp()
        yield Item(stage.kind, stage.folder, num_bytes, _days_since(changed), stage, None)


def _scratch(store: Store) -> Iterator[Item]:
    """Work folders of runs that ended without a result, and copies of what lies in a bucket."""
    kinds: tuple[tuple[ItemKind, Path], ...] = (
        ("work", store.scratch / ".work"),
        ("fetched copy", store.scratch / "fetched"),
    )
    for kind, base in kinds:
        folders = [f for of_kind in get_args(StageKind) for f in base.glob(f"{of_kind}s/*-*")]
        folders += base.glob("rates-*")
        for folder in sorted(f for f in folders if f.is_dir() and not f.is_symlink()):
            if not (files := list(_files_in(folder))):
                continue  # gone since it was listed
            changed = max(file.st_mtime for file in files)
            name, _, mark = folder.name.rpartition("-")
            stage = None
            if folder.parent != base:
                of_kind = folder.parent.name.removesuffix("s")
                stage = Stage.model_validate({"kind": of_kind, "name": name, "fingerprint": mark})
            size = sum(file.st_size for file in files if not S_ISDIR(file.st_mode))
            place = folder.relative_to(store.scratch).as_posix()
            yield Item(kind, place, size, _days_since(changed), stage, folder)


def _files_in(folder: Path) -> Iterator[os.stat_result]:
    """Of a folder and what it holds; a run or another cleaning may take any of it meanwhile."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent), *(Path(parent, name) for name in names)):
            with suppress(FileNotFoundError):
                yield path.lstat()


def _days_since(seconds: float) -> float:
    """Negative of a date in the future."""
    return (datetime.now(UTC).timestamp() - seconds) / DAY_SECONDS

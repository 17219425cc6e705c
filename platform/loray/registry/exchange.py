"""Adapters on their way in and out: from a folder to blobs, and from blobs to a folder."""

import logging
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from loray.artifacts.describe import file_entries
from loray.artifacts.digests import file_digest
from loray.errors import AdapterError, RegistryError
from loray.models.adapter_files import (
    adapter_digest,
    check_adapter_folder,
    copy_adapter_folder,
)
from loray.models.adapter_import import is_same_place
from loray.registry.blobs import Blobs, copy_blob, put_bytes, read_bytes, scratch_folder
from loray.registry.names import check_name
from loray.registry.private import make_private, private_folder
from loray.registry.records import Lineage, Scores, Version, VersionManifest
from loray.registry.unfinished import unfinished_folder
from loray.registry.versions import NewVersion

Layout = Literal["peft", "ray-serve-llm"]

logger = logging.getLogger(__name__)


def take_in(
    blobs: Blobs, name: str, folder: Path, key: str, lineage: Lineage, scores: Scores
) -> NewVersion:
    """Check an adapter folder and put its files into blobs; `folder` is left as it is.

    Raises:
        AdapterError: the folder is not what an adapter may be, or is made for another base model.
    """
    with scratch_folder(blobs) as staged:
        copy_adapter_folder(folder, staged)
        config = check_adapter_folder(staged)
        check_base(config.base_model_name_or_path, lineage.base_model)
        manifest = VersionManifest(
            name=check_name(name),
            adapter_digest=adapter_digest(staged),
            files=tuple(file_entries(staged)),
            lineage=lineage,
            scores=scores,
        )
        for entry in manifest.files:
            blobs.put(staged / entry.path, entry.sha256)
    data = manifest.model_dump_json(indent=1).encode()
    return NewVersion(manifest, put_bytes(blobs, data), len(data), key)


def check_base(named: str | None, wanted: str) -> None:
    """Hold an adapter's own word on its base model against the registry's.

    Raises:
        AdapterError: they differ, or the adapter names a URL.
    """
    if named is not None and not is_same_place(named, wanted):
        raise AdapterError(
            f"adapter_config.json names the base model {ascii(named)[:200]}, the registry was told "
            f"{ascii(wanted)[:200]}; register it for the base it was trained on, "
            "or correct base_model_name_or_path if both are the same model"
        )


def read_manifest(blobs: Blobs, digest: str) -> VersionManifest:
    """A version's manifest, verified.

    Raises:
        AdapterError: its blob is missing, damaged or of another format.
    """
    try:
        return VersionManifest.model_validate_json(read_bytes(blobs, digest))
    except ValidationError as error:
        raise AdapterError(
            f"the registry's manifest {digest} is of another format "
            f"({error.error_count()} faults); use the loray that wrote it, or a newer one"
        ) from None


def fetch(blobs: Blobs, version: Version) -> Path:
    """A local folder with exactly the version's files, every byte verified now.

    A fetched copy that was tampered with is set aside and made again from the blobs.

    Raises:
        AdapterError: a blob is missing or damaged.
    """
    manifest = read_manifest(blobs, version.digest)
    folder = blobs.scratch / "fetched" / version.digest
    if _holds(folder, manifest):
        return folder
    private_folder(blobs.scratch)
    private_folder(folder.parent)
    with scratch_folder(blobs) as scratch:
        fresh = scratch / "fresh"
        _write_files(blobs, manifest, fresh)
        make_private(fresh)
        if folder.exists():
            logger.warning("%s differs from %s; it is made again", folder, version.ref)
            _set_aside(folder, scratch / "stale")
        try:
            fresh.rename(folder)
        except OSError:  # another fetch put it there first
            if not _holds(folder, manifest):
                raise
    return folder


def _set_aside(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except FileNotFoundError:  # another fetch did
        return


def _write_files(blobs: Blobs, manifest: VersionManifest, folder: Path) -> None:
    folder.mkdir()
    for entry in manifest.files:
        copy_blob(blobs, entry.sha256, folder / entry.path)


def _holds(folder: Path, manifest: VersionManifest) -> bool:
    """Whether the folder has exactly the manifest's files, plain and unchanged."""
    if not folder.is_dir():
        return False
    wanted = {entry.path: entry.sha256 for entry in manifest.files}
    found = list(folder.iterdir())
    if {path.name for path in found} != wanted.keys():
        return False
    return all(
        path.is_file() and not path.is_symlink() and file_digest(path) == wanted[path.name]
        for path in found
    )


def export(blobs: Blobs, version: Version, folder: Path, layout: Layout) -> Path:
    """Write a version where others read it; the folder that holds `adapter_config.json`.

    Raises:
        RegistryError: there is something at that place already.
        AdapterError: a blob is missing or damaged.
    """
    target = folder if layout == "peft" else folder / ray_serve_folder(version)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RegistryError(f"{target} is there already; name a folder that is new or empty")
    target.parent.mkdir(parents=True, exist_ok=True)
    with unfinished_folder(target.parent, "export") as unfinished:
        fresh = unfinished / "fresh"
        _write_files(blobs, read_manifest(blobs, version.digest), fresh)
        if target.exists():
            target.rmdir()
        fresh.rename(target)
    return target


def ray_serve_folder(version: Version) -> str:
    """The folder name by which Ray Serve LLM finds it under `dynamic_lora_loading_path`.

    It is what follows the base's id in the model id `{base}:{suffix}:{id}` that clients send:
    the adapter's name and the version's number.
    """
    return f"{version.name}:{version.number}"

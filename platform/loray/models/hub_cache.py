"""Where the hub's client keeps models on this disk, found without importing it.

A repository is a folder `models--ORG--NAME`: `blobs/` holds files by their ETag, which is the
SHA-256 of a large one; `snapshots/COMMIT/` links to them by name; `refs/` maps branches to commits.
Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Snapshot(NamedTuple):
    """A revision of a repository that is in the cache, in full or in part."""

    repo: str
    revision: str
    """Commit."""
    folder: Path


def cache_folder() -> Path:
    """The cache, by the variables that the client reads: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return _written_out(named)
    home = os.environ.get("HF_HOME")
    if home:
        return _written_out(home) / "hub"
    above = os.environ.get("XDG_CACHE_HOME")
    return (Path(above) if above else Path.home() / ".cache") / "huggingface" / "hub"


def snapshot_folder(repo: str, revision: str) -> Path:
    """Where the files of a commit are, or would be."""
    return cache_folder() / repository_folder(repo) / "snapshots" / revision


def repository_folder(repo: str) -> str:
    """The name of a repository's folder in the cache."""
    return f"models--{repo.replace('/', '--')}"


def snapshots() -> Iterator[Snapshot]:
    """Every revision in the cache that has a `config.json`."""
    try:
        repositories = sorted(cache_folder().glob("models--*--*"))
    except OSError:
        return
    for repository in repositories:
        repo = repository.name.removeprefix("models--").replace("--", "/", 1)
        for config in sorted(repository.glob("snapshots/*/config.json")):
            yield Snapshot(repo, config.parent.name, config.parent)


def blob_sha256(path: Path) -> str | None:
    """The SHA-256 that the cache names a snapshot's file by; None of other files.

    Small files are named by Git's SHA-1, and files outside of a cache by nothing.
    """
    if not path.is_symlink():
        return None
    blob = path.resolve()
    is_cached = blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name) is not None
    return blob.name if is_cached else None


def _written_out(path: str) -> Path:
    return Path(os.path.expandvars(Path(path).expanduser()))

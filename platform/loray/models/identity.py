"""What a base model is, by its content; needs no torch.

The same files give the same name, whether they lie in a folder or in the hub's cache. Files that
transformers does not read, such as a model card or where a folder came from, do not count.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from loray.artifacts.digests import remembered_digest
from loray.errors import ModelError
from loray.models.base_weights import INDEX, WEIGHTS
from loray.models.hub_cache import blob_sha256, snapshot_folder

TOKENIZER_NAMES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja",
)  # fmt: skip
_CONFIG_NAMES = ("config.json", "generation_config.json")
_UNCOUNTED = ("merges.txt",)
"""Of a slow tokenizer, which no base of ours can have; it never counted."""


def base_digest(path: str, revision: str | None = None) -> str:
    """64 hex digits that name a base model's weights, config, tokenizer and chat template.

    By the bytes of its files, where they are on this disk. A hub id that is not is named by its
    revision, which is a commit.

    Raises:
        ModelError: `path` is neither a folder with a `config.json` nor a hub id with a revision.
    """
    return _digest(path, revision, _of_base)


def tokenizer_digest(path: str, revision: str | None = None) -> str:
    """64 hex digits that name a base model's tokenizer and chat template, whatever its weights.

    Raises:
        ModelError: as `base_digest`.
    """
    return _digest(path, revision, _of_tokenizer)


def revision_digest(path: str, revision: str | None) -> str | None:
    """What a hub id is called where its files are not on the disk; None of a folder."""
    if revision is None:
        return None
    return hashlib.sha256(f"{path}@{revision}".encode()).hexdigest()


def base_digests(path: str, revision: str | None = None) -> frozenset[str]:
    """Every name that versions may know a base by: by its content, and by id and revision.

    Machines without a hub id's files, and versions that were registered before content counted,
    know it by the second.

    Raises:
        ModelError: as `base_digest`.
    """
    former = revision_digest(path, revision)
    return frozenset({base_digest(path, revision), *([former] if former else [])})


def folder_of(path: str, revision: str | None) -> Path:
    """Where a base model's files are, or would be, on this disk."""
    if Path(path).is_dir() or revision is None:
        return Path(path)
    return snapshot_folder(path, revision)


def _digest(path: str, revision: str | None, counted: Callable[[Path], Iterator[str]]) -> str:
    folder = folder_of(path, revision)
    if (folder / "config.json").is_file():
        names = sorted(name for name in set(counted(folder)) if (folder / name).is_file())
        stats = ((name, (folder / name).stat()) for name in names)
        return _folder_digest(folder, tuple((n, s.st_size, s.st_mtime_ns) for n, s in stats))
    named = revision_digest(path, revision)
    if named is None:
        raise ModelError(
            f"base_model.path is {path!r}: there is no such folder with a config.json, and as a "
            "hub id it needs base_model.revision (a commit); correct the path or add the revision"
        )
    return named


@lru_cache(maxsize=64)
def _folder_digest(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    """Digest of the files that `stamps` names; hashed once, until one of them changes."""
    lines = (f"{name} {_file_digest(folder / name)}\n" for name, _, _ in stamps)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    """A large file of the hub's cache bears its digest as its name."""
    return blob_sha256(path) or remembered_digest(path)


def _of_base(folder: Path) -> Iterator[str]:
    """The files that decide what the model computes."""
    yield from _CONFIG_NAMES
    yield from _of_tokenizer(folder)
    if (folder / WEIGHTS).is_file():
        yield WEIGHTS
    elif (folder / INDEX).is_file():
        yield INDEX
        yield from _indexed(folder / INDEX)


def _of_tokenizer(folder: Path) -> Iterator[str]:
    yield from (name for name in TOKENIZER_NAMES if name not in _UNCOUNTED)
    yield from (path.name for path in folder.glob("*.jinja"))


def _indexed(index: Path) -> Iterator[str]:
    """The files that an index of weights names, where it can be read."""
    try:
        named = json.loads(index.read_bytes())["weight_map"].values()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    yield from (name for name in named if isinstance(name, str) and name == Path(name).name)

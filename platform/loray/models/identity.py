"""What a base model is, by its content; needs no torch."""

import hashlib
from functools import lru_cache
from pathlib import Path

from loray.artifacts.digests import remembered_digest
from loray.errors import ModelError

IDENTIFYING_SUFFIXES = (".json", ".jinja", ".safetensors", ".model")
TOKENIZER_NAMES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja",
)  # fmt: skip


def base_digest(path: str, revision: str | None = None) -> str:
    """64 hex digits that name a base model's weights, config, tokenizer and chat template.

    A local folder is named by the bytes of its files; a hub id by its revision, which is a commit.

    Raises:
        ModelError: `path` is neither a folder with a `config.json` nor a hub id with a revision.
    """
    return _digest(path, revision, _identifying_files(Path(path)))


def tokenizer_digest(path: str, revision: str | None = None) -> str:
    """64 hex digits that name a base model's tokenizer and chat template, whatever its weights.

    Raises:
        ModelError: as `base_digest`.
    """
    files = [p for p in _identifying_files(Path(path)) if p.name in TOKENIZER_NAMES]
    return _digest(path, revision, files)


def _digest(path: str, revision: str | None, files: list[Path]) -> str:
    if (Path(path) / "config.json").is_file():
        stamps = tuple((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files)
        return _folder_digest(Path(path), stamps)
    if revision is None:
        raise ModelError(
            f"base_model.path is {path!r}: there is no such folder with a config.json, and as a "
            "hub id it needs base_model.revision (a commit); correct the path or add the revision"
        )
    return hashlib.sha256(f"{path}@{revision}".encode()).hexdigest()


@lru_cache(maxsize=64)
def _folder_digest(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    """Digest of the files that `stamps` names; hashed once, until one of them changes."""
    lines = [f"{name} {remembered_digest(folder / name)}\n" for name, _, _ in stamps]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _identifying_files(folder: Path) -> list[Path]:
    """The files that decide what the model computes; a model card does not."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix in IDENTIFYING_SUFFIXES and p.is_file())

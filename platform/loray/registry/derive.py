"""Versions made from versions: their lineage names the parents, the log says how.

Nothing that was found out about a parent is carried over: the new version was not scored and
passed no gate, so it is `registered` and no alias moves.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import loray
from loray.errors import RegistryError
from loray.models.adapter_files import adapter_digest
from loray.registry.blobs import Blobs
from loray.registry.exchange import take_in
from loray.registry.names import check_name
from loray.registry.records import Lineage, Version
from loray.registry.store import Registry
from loray.registry.versions import NewVersion
from loray.spec.fingerprint import fingerprint


def derive(
    registry: Registry, name: str, folder: Path, *, parents: Sequence[Version], how: str
) -> Version:
    """Add the adapter in `folder`, made from `parents`, as the next version of `name`.

    The same adapter from the same parents is the same version, however often it is tried.

    Args:
        how: what was done to the parents, in words.

    Raises:
        RegistryError: the parents are for different base models, or none is given.
        AdapterError: the folder is not what an adapter may be.
        NameRefusedError: the name is of a form that the registry cannot hold.
    """
    check_name(name)
    lineage = lineage_from(parents)
    mark = fingerprint([lineage.parents, lineage.base_digest, adapter_digest(folder)])
    key = f"derive:{name}:{mark}"

    def put(blobs: Blobs) -> NewVersion:
        taken = take_in(blobs, name, folder, key, lineage, {})
        return replace(taken, reason=how)

    return registry.add(put)


def lineage_from(parents: Sequence[Version]) -> Lineage:
    """The lineage of what is made from `parents`; what they were made from is in theirs.

    Raises:
        RegistryError: they are for different base models, or there is none.
    """
    bases = {parent.lineage.base_digest: parent for parent in parents}
    if len(bases) != 1:
        found = ", ".join(f"{p.ref} is for {p.lineage.base_model}" for p in bases.values())
        raise RegistryError(
            f"a version is made from versions of one base model; found {found or 'none'}; "
            "name versions that share theirs"
        )
    first = parents[0].lineage
    return Lineage(
        base_model=first.base_model,
        base_digest=first.base_digest,
        base_revision=first.base_revision,
        code_version=loray.__version__,
        parents=tuple(parent.ref for parent in parents),
    )


def how_made(registry: Registry, version: Version) -> str:
    """What the log says of how a version was made; empty where it was trained or imported."""
    return next(
        event.reason
        for event in registry.events(version.name)
        if event.kind == "registered" and event.to_version == version.number
    )

"""Adapters that were trained elsewhere, on their way in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from loray.models.adapter_files import adapter_digest
from loray.models.adapter_import import ImportReport, ImportTerms, bring_in
from loray.models.base_modules import BaseModules, read_base_modules
from loray.models.identity import base_digests
from loray.planner.configs import config_path
from loray.planner.probe import check_base
from loray.registry.blobs import Blobs, scratch_folder
from loray.registry.exchange import take_in
from loray.registry.names import check_key, check_name
from loray.registry.records import Lineage, Version
from loray.registry.versions import NewVersion
from loray.spec.train import BaseModelSpec

Adding: TypeAlias = Callable[[Callable[[Blobs], NewVersion]], Version]
"""Commits what is put into blobs, as the next version of its name."""


@dataclass(frozen=True)
class Imported:
    """A version that was imported, and what was done to its files."""

    version: Version
    report: ImportReport


def import_adapter(
    add: Adding,
    name: str,
    folder: Path,
    *,
    lineage: Lineage,
    terms: ImportTerms,
    idempotency_key: str | None = None,
) -> Imported:
    """Add the adapter in `folder` as the next version of `name`, in state `registered`.

    Args:
        add: `Registry.add`.
        lineage: with the base model and its digest.
        idempotency_key: made from the adapter's content when not given.

    Raises:
        AdapterError: it is damaged, unsafe, for another base, or cannot be served exactly.
        NameRefusedError: the name or key is of a form that the registry cannot hold.
    """
    check_name(name)
    if idempotency_key is not None:
        check_key(idempotency_key)
    reports = []

    def put(blobs: Blobs) -> NewVersion:
        with scratch_folder(blobs) as scratch:
            made = scratch / "adapter"
            made.mkdir()
            reports.append(bring_in(folder, made, terms))
            made_key = f"import:{name}:{lineage.base_digest}:{adapter_digest(made)}"[:200]
            return take_in(blobs, name, made, idempotency_key or made_key, lineage, {})

    version = add(put)
    return Imported(version, reports[-1])


def base_on_disk(base_model: str, digest: str, revision: str | None = None) -> BaseModules | None:
    """The modules of the base of that digest; None where it is not on this disk.

    Raises:
        ModelError: its files are there, and cannot be read or served.
    """
    model = BaseModelSpec.model_construct(path=base_model, revision=revision)
    config = config_path(model)
    if not config.is_file() or digest not in base_digests(base_model, revision):
        return None
    check_base(model, with_tokenizer=False)
    return read_base_modules(config.parent)

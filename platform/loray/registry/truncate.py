"""A version of lower rank from a version: fetched, cut, measured and registered."""

from dataclasses import dataclass

from loray.artifacts.scratch import scratch_folder
from loray.models.adapter_files import WEIGHTS_NAME
from loray.models.spectrum import adapter_spectra
from loray.models.truncation import (
    Truncation,
    ranks_at_most,
    ranks_that_keep,
    truncate_adapter,
)
from loray.registry.derive import derive
from loray.registry.records import Version
from loray.registry.store import Registry


@dataclass(frozen=True)
class TruncatedVersion:
    """A version and what it lost."""

    version: Version
    truncation: Truncation
    old_bytes: int
    """Of the weights file before; likewise `new_bytes` after."""
    new_bytes: int


def truncate_version(
    registry: Registry, version: Version, *, rank: int | None, keep: float
) -> TruncatedVersion:
    """Register the closest adapter of lower rank as the next version of the same name.

    Args:
        rank: no module keeps a higher one; when not given, each module gets the smallest rank
            that keeps the share `keep` of its own energy.

    Raises:
        AdapterError: there is nothing to cut, or the adapter is a DoRA.
        RegistryError: the version was withdrawn.
    """
    folder = registry.fetch(version)
    spectra = adapter_spectra(folder)
    ranks = ranks_that_keep(spectra, keep) if rank is None else ranks_at_most(spectra, rank)
    with scratch_folder("rank") as scratch:
        target = scratch / "adapter"
        cut = truncate_adapter(folder, target, ranks)
        before, after = cut.ranks
        how = (
            f"cut from rank {before} to {after}, by singular values: keeps {cut.kept:.4%} of the "
            f"energy, relative error {cut.relative_error:.4g}"
        )
        if rank is None:
            how += f"; every module has the smallest rank that keeps {keep:.4%} of its own"
        made = derive(registry, version.name, target, parents=(version,), how=how)
        sizes = [(place / WEIGHTS_NAME).stat().st_size for place in (folder, target)]
    return TruncatedVersion(made, cut, *sizes)

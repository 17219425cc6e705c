"""Versioned adapters with aliases and lineage, and the leases that fence the runs making them."""

from loray.registry.ledger import Lease, RunLedger
from loray.registry.names import CHAMPION
from loray.registry.records import (
    Adapter,
    Alias,
    Event,
    Fault,
    Lineage,
    State,
    Sweep,
    Version,
)
from loray.registry.store import Registry

__all__ = [
    "CHAMPION", "Adapter", "Alias", "Event", "Fault", "Lease", "Lineage",
    "Registry", "RunLedger", "State", "Sweep", "Version",
]  # fmt: skip

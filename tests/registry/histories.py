"""A registry's history with some of everything, and all rows that it left."""

from typing import Any

from loray.registry import Registry
from loray.registry.database import Database
from loray.registry.tables import dump_tables
from tests.registry.versions import promotable, register


def rows(url: str) -> list[Any]:
    """Everything but leases."""
    found = Database(url).read(lambda connection: list(dump_tables(connection)))
    return [(table, row) for table, row in found if table != "lease"]


def live(registry: Registry) -> None:
    """A history with every kind of event and every state."""
    for seed in range(3):
        registry.promote(promotable(registry, seed=seed), reason="good")
    registry.rollback("bot", who="ann@desk")
    registry.set_state(registry.resolve("bot@3"), "withdrawn", reason="no good")
    child = register(registry, seed=4, parents=("bot@1",), dataset="d1", checkpoint_step=7)
    registry.set_state(child, "rejected", reason="a gate")
    register(registry, name="other", seed=5)
    registry.move_alias("other", "canary", 1, expected_generation=0)
    registry.move_alias("other", "canary", None, expected_generation=1)

"""How long an outage of the registry is felt, and by whom."""

import asyncio

import pytest

from loray.errors import RegistryError
from loray.serve.recent_catalog import MAX_BACK_OFF_SECONDS, RecentCatalog
from tests.serve.echo import ShelfCatalog, version_of

POET = version_of("poet", 1)


def test_questions_that_fail_together_count_as_one_failure():
    """One blip under load must not keep the registry away for half a minute."""
    shelf, now = ShelfCatalog({"poet": POET}), [0.0]

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        shelf.trouble = RegistryError("no database")
        await asyncio.gather(
            *(recent.resolve(f"name-{n}") for n in range(20)), return_exceptions=True
        )
        shelf.trouble, now[0] = None, 1.0
        return await recent.resolve("poet")

    assert asyncio.run(go()) == POET


def test_an_outage_of_days_ends_like_any_other():
    """A back-off that doubles for hours leaves the range of numbers."""
    shelf, now = ShelfCatalog({"poet": POET}), [0.0]

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        shelf.trouble = RegistryError("no database")
        for _ in range(1200):
            now[0] += MAX_BACK_OFF_SECONDS
            with pytest.raises(RegistryError, match="no database"):
                await recent.resolve("poet")
        shelf.trouble = None
        now[0] += MAX_BACK_OFF_SECONDS
        return await recent.resolve("poet")

    assert asyncio.run(go()) == POET

import asyncio
import threading
import time

import pytest

from loray.errors import NameRefusedError, RegistryError
from loray.serve import catalog
from loray.serve.catalog import RecentCatalog, is_reference
from tests.serve.echo import ShelfCatalog, version_of

POET = version_of("poet", 1)


@pytest.mark.parametrize("text", ["poet", "poet@3", "poet@champion", "a.b-c_d@0x", "9", "a" * 64])
def test_references(text):
    assert is_reference(text)


@pytest.mark.parametrize(
    "text", ["", "poet\n", "poet@3\n", "Poet", "a" * 65, "a@" + "b" * 65, "a..b"]
)
def test_what_is_no_reference(text):
    assert not is_reference(text)


def test_many_at_once_ask_the_catalog_once():
    shelf = ShelfCatalog({"poet": POET})

    async def go():
        recent = RecentCatalog(shelf)
        return await asyncio.gather(*(recent.resolve("poet") for _ in range(50)))

    assert asyncio.run(go()) == [POET] * 50
    assert shelf.num_asked == 1


def test_a_slow_catalog_does_not_stop_the_event_loop():
    class SlowCatalog(ShelfCatalog):
        def resolve(self, ref):
            time.sleep(0.3)
            return super().resolve(ref)

    async def go():
        asking = asyncio.create_task(RecentCatalog(SlowCatalog({"poet": POET})).resolve("poet"))
        num_turns = 0
        while not asking.done():
            await asyncio.sleep(0.005)
            num_turns += 1
        return num_turns

    assert asyncio.run(go()) > 10


def test_a_name_that_appears_is_seen_a_second_later():
    shelf, now = ShelfCatalog({}), [0.0]

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        before = await recent.resolve("poet")
        shelf.shelf["poet"] = POET
        now[0] = 1.0
        return before, await recent.resolve("poet")

    assert asyncio.run(go()) == (None, POET)


def test_a_flood_of_made_up_names_does_not_grow_memory(monkeypatch):
    monkeypatch.setattr(catalog, "MAX_REMEMBERED", 8)

    async def go():
        recent = RecentCatalog(ShelfCatalog({}))
        for number in range(50):
            await recent.resolve(f"name-{number}")
        return len(recent._known)

    assert asyncio.run(go()) == 8


def test_an_outage_is_an_error_for_new_names_only():
    shelf, now = ShelfCatalog({"poet": POET}), [0.0]

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        await recent.resolve("poet")
        shelf.trouble, now[0] = RegistryError("no database"), 10.0
        with pytest.raises(RegistryError):
            await recent.resolve("critic")
        return await recent.resolve("poet")

    assert asyncio.run(go()) == POET


def test_a_name_that_the_registry_refuses_names_nothing():
    shelf = ShelfCatalog({})
    shelf.trouble = NameRefusedError("007 reads as a number")
    assert asyncio.run(RecentCatalog(shelf).resolve("poet@007")) is None


def test_a_listing_is_asked_for_once_a_second():
    shelf, now = ShelfCatalog({"poet": POET}), [0.0]

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        first = await recent.listing()
        shelf.shelf["critic"] = version_of("critic", 1)
        second = await recent.listing()
        now[0] = 1.0
        return len(first), len(second), len(await recent.listing())

    assert asyncio.run(go()) == (1, 1, 2)


def test_a_waiter_that_gives_up_leaves_the_question_to_the_others():
    release = threading.Event()

    class HeldCatalog(ShelfCatalog):
        def resolve(self, ref):
            release.wait(2)
            return super().resolve(ref)

    async def go():
        recent = RecentCatalog(HeldCatalog({"poet": POET}))
        impatient = asyncio.create_task(recent.resolve("poet"))
        patient = asyncio.create_task(recent.resolve("poet"))
        await asyncio.sleep(0.02)
        impatient.cancel()
        release.set()
        return await patient

    assert asyncio.run(go()) == POET

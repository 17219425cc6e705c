import asyncio
import threading
import time

import pytest

from loray.errors import NameRefusedError, RegistryError
from loray.serve import recent_catalog
from loray.serve.catalog import is_reference
from loray.serve.recent_catalog import RecentCatalog
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
    monkeypatch.setattr(recent_catalog, "MAX_REMEMBERED", 8)

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


class HangingCatalog(ShelfCatalog):
    """Answers at once until `hang` is set, then only once `release` is."""

    def __init__(self, shelf):
        super().__init__(shelf)
        self.hang = threading.Event()
        self.release = threading.Event()
        self.num_hung = 0

    def resolve(self, ref):
        self._wait()
        return super().resolve(ref)

    def listing(self):
        self._wait()
        return super().listing()

    def _wait(self):
        if self.hang.is_set():
            self.num_hung += 1
            self.release.wait(20)


def test_a_registry_that_hangs_costs_known_names_nothing():
    """One short wait for the first request of an outage, none for the others."""
    shelf, now = HangingCatalog({"poet": POET, "critic": version_of("critic", 1)}), [0.0]

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        await recent.resolve("poet")
        await recent.resolve("critic")
        await recent.listing()
        shelf.hang.set()
        waits = []
        for number in range(12):
            now[0] += 10.0
            begin = time.monotonic()
            assert await recent.resolve(("poet", "critic")[number % 2]) is not None
            assert len(await recent.listing()) == 2
            waits.append(time.monotonic() - begin)
        shelf.release.set()
        return waits

    waits = asyncio.run(go())
    assert waits[0] >= recent_catalog.PATIENCE_SECONDS  # it was waited for
    assert sum(waits[1:]) < recent_catalog.PATIENCE_SECONDS
    assert shelf.num_hung <= recent_catalog.QUESTIONS_AT_ONCE


def test_answers_are_as_old_as_the_answer_not_as_the_question():
    """A slow answer counts as fresh for a whole second after it came."""
    now = [0.0]

    class SlowCatalog(ShelfCatalog):
        def resolve(self, ref):
            now[0] += 5.0
            return super().resolve(ref)

    shelf = SlowCatalog({"poet": POET})

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        for _ in range(3):
            await recent.resolve("poet")

    asyncio.run(go())
    assert shelf.num_asked == 1


def test_a_name_that_was_only_listed_is_served_in_an_outage():
    shelf, now = ShelfCatalog({"poet@1": POET}), [0.0]

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        await recent.listing()
        shelf.trouble, now[0] = RegistryError("no database"), 10.0
        return await recent.resolve("poet@1")

    assert asyncio.run(go()) == POET


def test_a_version_that_was_withdrawn_does_not_come_back_in_an_outage():
    shelf, now = ShelfCatalog({"poet@1": POET}), [0.0]

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        await recent.listing()
        shelf.shelf, now[0] = {}, 5.0
        assert await recent.resolve("poet@1") is None
        shelf.trouble, now[0] = RegistryError("no database"), 20.0
        await recent.resolve("poet@1")

    with pytest.raises(RegistryError, match="no database"):
        asyncio.run(go())


def test_an_outage_does_not_move_an_alias_back():
    shelf, now = ShelfCatalog({"poet": POET}), [0.0]

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        assert await recent.resolve("poet") == POET
        shelf.shelf, now[0] = {"poet": version_of("poet", 2)}, 50.0
        await recent.listing()
        shelf.trouble, now[0] = RegistryError("no database"), 60.0
        return await recent.resolve("poet")

    assert asyncio.run(go()) == version_of("poet", 2)


def test_a_failed_registry_is_asked_again_with_a_back_off_and_the_cause_is_logged(caplog):
    shelf, now = ShelfCatalog({"poet": POET}), [0.0]

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        await recent.resolve("poet")
        shelf.trouble = RegistryError("no database")
        asked = shelf.num_asked
        for _ in range(600):  # a minute, ten requests a second
            now[0] += 0.1
            assert await recent.resolve("poet") == POET
            await asyncio.sleep(0)
        return shelf.num_asked - asked

    assert asyncio.run(go()) <= 6  # after 1, 2, 4, 8, 16, 30 s
    assert "no database" in caplog.text


def test_after_an_outage_a_moved_alias_is_seen():
    shelf, now = ShelfCatalog({"poet": POET}), [0.0]

    async def go():
        recent = RecentCatalog(shelf, clock=lambda: now[0])
        await recent.resolve("poet")
        shelf.trouble, now[0] = RegistryError("no database"), 2.0
        await recent.resolve("poet")
        shelf.trouble, shelf.shelf["poet"], now[0] = None, version_of("poet", 2), 100.0
        await recent.resolve("poet")  # asks in the background
        for _ in range(200):
            found = await recent.resolve("poet")
            if found != POET:
                break
            await asyncio.sleep(0.01)
        return found

    assert asyncio.run(go()) == version_of("poet", 2)


def test_a_flood_of_new_names_does_not_wait_for_a_registry_that_hangs(monkeypatch):
    monkeypatch.setattr(recent_catalog, "ANSWER_SECONDS", 0.2)
    shelf = HangingCatalog({})
    shelf.hang.set()

    async def go():
        recent = RecentCatalog(shelf)
        begin = time.monotonic()
        found = await asyncio.gather(
            *(recent.resolve(f"name-{n}") for n in range(300)), return_exceptions=True
        )
        seconds = time.monotonic() - begin
        shelf.release.set()
        return found, seconds

    found, seconds = asyncio.run(go())
    assert all(isinstance(error, RegistryError) for error in found)
    assert seconds < 5.0

import asyncio
import time
from contextlib import contextmanager
from traceback import walk_tb

import pytest

from loray.errors import AdapterError
from loray.serve.residency import Residency
from tests.serve.echo import version_of

ONE, TWO = version_of("poet", 1), version_of("poet", 2)


class OneSlot:
    """Memory for one adapter, which knows what was held when."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.loads: list[str] = []
        self.held: list[str] = []
        self.fails = False

    @contextmanager
    def holding(self, key, folder):
        time.sleep(self.seconds)
        self.loads.append(key)
        if self.fails:
            raise AdapterError(f"{folder} is damaged")
        deadline = time.monotonic() + 2
        while self.held:
            assert time.monotonic() < deadline, "the slot never came free"
            time.sleep(0.001)
        self.held.append(key)
        yield
        self.held.remove(key)


def residency(memory, **options) -> Residency:
    return Residency(memory, lambda version: version.ref, **options)


def test_many_who_want_one_version_load_it_once_and_all_have_it():
    memory = OneSlot(0.02)

    async def user(adapters):
        async with adapters.held(ONE):
            assert memory.held == [ONE.digest]
            await asyncio.sleep(0.01)

    async def go():
        adapters = residency(memory)
        await asyncio.gather(*(user(adapters) for _ in range(20)))

    asyncio.run(go())
    assert memory.loads == [ONE.digest]
    assert memory.held == []


def test_a_version_is_kept_until_the_last_who_waited_for_it_is_done():
    """With one slot, two versions wanted at once both get their turn: nobody is starved."""
    memory, order = OneSlot(), []

    async def user(adapters, version):
        async with adapters.held(version):
            assert memory.held == [version.digest]
            await asyncio.sleep(0.01)
            order.append(version.ref)

    async def go():
        adapters = residency(memory)
        await asyncio.gather(*(user(adapters, v) for v in (ONE, TWO, ONE, TWO)))

    asyncio.run(go())
    assert sorted(order) == ["poet@1", "poet@1", "poet@2", "poet@2"]
    assert len(memory.loads) == 2


def test_who_gives_up_while_loading_leaves_nothing_held():
    memory = OneSlot(0.05)

    async def user(adapters):
        async with adapters.held(ONE):
            pytest.fail("it was cancelled before")

    async def go():
        adapters = residency(memory)
        waiting = asyncio.create_task(user(adapters))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.sleep(0.15)
        assert memory.held == []
        async with adapters.held(ONE):
            assert memory.held == [ONE.digest]

    asyncio.run(go())
    assert len(memory.loads) == 2


def test_one_who_gives_up_does_not_take_it_from_the_others():
    memory = OneSlot(0.05)

    async def user(adapters):
        async with adapters.held(ONE):
            return list(memory.held)

    async def go():
        adapters = residency(memory)
        impatient = asyncio.create_task(user(adapters))
        patient = asyncio.create_task(user(adapters))
        await asyncio.sleep(0.01)
        impatient.cancel()
        return await patient

    assert asyncio.run(go()) == [ONE.digest]
    assert memory.held == []


def test_a_failed_load_is_remembered_for_a_while_and_then_tried_again():
    """Checklist row 25."""
    memory, now = OneSlot(), [0.0]
    memory.fails = True

    async def go():
        adapters = residency(memory, clock=lambda: now[0])
        for at in (0.0, 1.0, 4.9, 5.0):
            now[0] = at
            with pytest.raises(AdapterError):
                async with adapters.held(ONE):
                    pytest.fail("it cannot be held")
        memory.fails, now[0] = False, 10.0
        async with adapters.held(ONE):
            assert memory.held == [ONE.digest]

    asyncio.run(go())
    assert len(memory.loads) == 3


def test_all_who_wait_hear_of_a_failure():
    memory = OneSlot(0.02)
    memory.fails = True

    async def user(adapters):
        async with adapters.held(ONE):
            pytest.fail("it cannot be held")

    async def go():
        adapters = residency(memory)
        return await asyncio.gather(*(user(adapters) for _ in range(5)), return_exceptions=True)

    assert [type(error) for error in asyncio.run(go())] == [AdapterError] * 5
    assert len(memory.loads) == 1


def test_every_request_for_a_failed_version_gets_an_error_of_its_own():
    """One exception raised again and again would keep every request's frames alive."""
    memory, raised = OneSlot(), []
    memory.fails = True

    async def go():
        adapters = residency(memory)
        for _ in range(20):
            try:
                async with adapters.held(ONE):
                    pass
            except AdapterError as error:
                raised.append(error)

    asyncio.run(go())
    assert len({id(error) for error in raised}) == 20
    assert len({str(error) for error in raised}) == 1
    assert sum(1 for _ in walk_tb(raised[-1].__traceback__)) < 6
    assert memory.loads == [ONE.digest]

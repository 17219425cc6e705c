import pytest

from loray.errors import AdapterNotFoundError
from loray.inference.slots import SlotTable


def filled(*keys: str, slots: int = 2) -> SlotTable:
    table = SlotTable(slots)
    for key in keys:
        index = table.reserve()
        assert index is not None
        table.publish(key, index, f"digest of {key}")
    return table


def test_a_free_slot_is_used_before_anyone_is_evicted():
    table = filled("a")
    table.publish("b", table.reserve(), "")
    assert table.keys == ("a", "b")


def test_the_least_recently_used_goes_first():
    table = filled("a", "b")
    table.give_back(table.take("a"))
    table.publish("c", table.reserve(), "")
    assert table.keys == ("a", "c")


def test_an_adapter_in_use_is_never_evicted():
    table = filled("a", "b")
    slot = table.take("a")
    table.publish("c", table.reserve(), "")
    assert table.keys == ("a", "c")
    table.take("c")
    assert table.reserve() is None
    table.give_back(slot)
    assert table.reserve() == slot


def test_a_reserved_slot_is_seen_by_nobody_and_taken_by_nobody_else():
    table = filled("a", "b")
    table.reserve()
    assert table.keys == ("b",)
    table.take("b")
    assert table.reserve() is None


def test_an_evicted_adapter_keeps_its_slot_until_its_last_request_ends():
    table = filled("a", slots=1)
    slot = table.take("a")
    assert table.take("a") == slot
    assert table.evict("a")
    assert not table.evict("a")
    table.give_back(slot)
    assert table.reserve() is None
    table.give_back(slot)
    assert table.num_free == 1
    with pytest.raises(AdapterNotFoundError, match="'a' is not in memory"):
        table.take("a")


def test_a_moved_key_names_the_new_slot_and_the_old_one_drains():
    table = filled("a", slots=3)
    old = table.take("a")
    table.publish("a", table.reserve(), "another digest")
    assert table.take("a") != old
    assert table.digest("a") == "another digest"
    assert table.num_free == 1
    table.give_back(old)
    assert table.num_free == 2


def test_an_abandoned_slot_is_free_again():
    table = filled("a", slots=1)
    table.abandon(table.reserve())
    assert table.num_free == 1
    assert table.keys == ()

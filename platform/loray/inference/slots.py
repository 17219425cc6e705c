"""Which adapter lies in which slot, who uses it, and which may go; needs no torch.

A slot is free, reserved (being filled, seen by nobody), resident (found by its key), or retired:
its key was evicted or moved to another slot while requests still used it, so that only they reach
it, and it becomes free when the last of them ends.
"""

from dataclasses import dataclass, field
from itertools import count

from loray.errors import AdapterNotFoundError


@dataclass(slots=True)
class _Slot:
    key: str | None = None
    """None unless resident."""
    digest: str = ""
    num_users: int = 0
    last_used: int = 0
    is_free: bool = True


@dataclass
class SlotTable:
    """Residency of adapters over a fixed number of slots. Not safe for threads by itself."""

    num_slots: int
    _slots: list[_Slot] = field(init=False)
    _by_key: dict[str, int] = field(init=False, default_factory=dict)
    _clock: "count[int]" = field(init=False, default_factory=count)

    def __post_init__(self) -> None:
        self._slots = [_Slot() for _ in range(self.num_slots)]

    @property
    def keys(self) -> tuple[str, ...]:
        """Resident keys, least recently used first."""
        return tuple(sorted(self._by_key, key=lambda k: self._slots[self._by_key[k]].last_used))

    @property
    def num_free(self) -> int:
        """Slots that hold nothing."""
        return sum(slot.is_free for slot in self._slots)

    def digest(self, key: str) -> str | None:
        """The digest that `key` was published with; None when it is not resident."""
        index = self._by_key.get(key)
        return None if index is None else self._slots[index].digest

    def take(self, key: str) -> int:
        """The slot of `key`, which stays as it is until it is given back as often as taken.

        Raises:
            AdapterNotFoundError: `key` is not resident.
        """
        if key not in self._by_key:
            raise AdapterNotFoundError(
                f"adapter {key!r:.100} is not in memory; load it before it is used"
            )
        index = self._by_key[key]
        self._slots[index].num_users += 1
        self._slots[index].last_used = next(self._clock)
        return index

    def give_back(self, index: int) -> None:
        """Undo one `take`."""
        slot = self._slots[index]
        assert slot.num_users > 0, f"slot {index} was given back too often"  # noqa: S101
        slot.num_users -= 1
        if slot.num_users == 0 and slot.key is None:
            slot.is_free = True

    def reserve(self) -> int | None:
        """A slot to fill: a free one, else the least recently used that nobody uses; else None."""
        for index, slot in enumerate(self._slots):
            if slot.is_free:
                slot.is_free = False
                return index
        idle = [i for i in self._by_key.values() if self._slots[i].num_users == 0]
        if not idle:
            return None
        index = min(idle, key=lambda i: self._slots[i].last_used)
        self._unbind(index)
        self._slots[index].is_free = False
        return index

    def publish(self, key: str, index: int, digest: str) -> None:
        """Let `key` name the reserved slot `index` from now on, and no other."""
        self.evict(key)
        self._by_key[key] = index
        self._slots[index] = _Slot(key, digest, 0, next(self._clock), is_free=False)

    def abandon(self, index: int) -> None:
        """Free a reserved slot that could not be filled."""
        self._slots[index] = _Slot()

    def evict(self, key: str) -> bool:
        """Forget `key`; requests that use its slot keep it to their end. False if not resident."""
        if key not in self._by_key:
            return False
        self._unbind(self._by_key[key])
        return True

    def _unbind(self, index: int) -> None:
        slot = self._slots[index]
        assert slot.key is not None, f"slot {index} has no key to lose"  # noqa: S101
        del self._by_key[slot.key]
        slot.key = None
        slot.is_free = slot.num_users == 0

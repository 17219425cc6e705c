"""Adapters in memory: read and checked by whoever asks, copied into a slot between two steps."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from loray.errors import AdapterError
from loray.inference.lora import LoraStack
from loray.inference.slots import SlotTable
from loray.inference.weights import read_weights
from loray.models.adapter_files import adapter_digest

RunInEngine = Callable[[Callable[[], None]], None]
"""Runs a function in the engine's thread and returns when it is done."""


class AdapterResidency:
    """Which adapters are in memory; every method may be called from any thread."""

    def __init__(self, lora: LoraStack) -> None:
        self._lora = lora
        self._table = SlotTable(lora.num_slots)
        self._changed = threading.Condition()
        self._loading: set[str] = set()

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that can be asked for, least recently used first."""
        with self._changed:
            return self._table.keys

    @property
    def num_free(self) -> int:
        """Slots that hold nothing."""
        with self._changed:
            return self._table.num_free

    def take(self, key: str) -> int:
        """The slot of `key`, kept as it is until given back.

        Raises:
            AdapterNotFoundError: `key` is not in memory.
        """
        with self._changed:
            return self._table.take(key)

    def give_back(self, slot: int) -> None:
        """Undo one `take`."""
        with self._changed:
            self._table.give_back(slot)
            self._changed.notify_all()

    def evict(self, key: str) -> bool:
        """Forget `key`; requests that use it end with it. False when it was not in memory."""
        with self._changed:
            found = self._table.evict(key)
            self._changed.notify_all()
            return found

    def load(
        self, key: str, folder: Path, *, run_in_engine: RunInEngine, wait_seconds: float
    ) -> int:
        """Bring the adapter in `folder` into memory as `key`, and take its slot.

        Everything that can fail is done first; only then the adapter that was used longest ago,
        and that nobody uses, makes room. Two loads of one key: the second waits for the first.

        Raises:
            AdapterError: the files cannot be used, or no slot came free in time.
        """
        deadline = time.monotonic() + wait_seconds
        with self._loading_alone(key, deadline):
            digest = adapter_digest(folder)
            with self._changed:
                if self._table.digest(key) == digest:
                    return self._table.take(key)
            with torch.inference_mode():
                weights = read_weights(folder, self._lora)
            slot = self._reserve(deadline)
            try:
                run_in_engine(lambda: self._lora.fill(slot, weights))
            except BaseException:
                with self._changed:
                    self._table.abandon(slot)
                raise
            with self._changed:
                self._table.publish(key, slot, digest)
                return self._table.take(key)

    @contextmanager
    def _loading_alone(self, key: str, deadline: float) -> Iterator[None]:
        with self._changed:
            free = self._changed.wait_for(lambda: key not in self._loading, _left(deadline))
            if not free:
                raise AdapterError(
                    f"adapter {key!r:.100} is still being loaded by another request; try again"
                )
            self._loading.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._loading.discard(key)
                self._changed.notify_all()

    def _reserve(self, deadline: float) -> int:
        with self._changed:
            while (slot := self._table.reserve()) is None:
                if not self._changed.wait(_left(deadline)):
                    raise AdapterError(
                        f"all {self._table.num_slots} adapter slots are in use by requests; "
                        "try again when some have ended, or raise serve.slots"
                    )
            return slot


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())

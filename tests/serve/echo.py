"""Stand-ins for the parties on either side of the serving room; each keeps its contract."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loray.errors import AdapterError, AdapterNotFoundError, LorayError
from loray.inference import Event, GenerateRequest
from loray.serve.catalog import AdapterVersion


def version_of(name: str, number: int) -> AdapterVersion:
    return AdapterVersion(name, number, f"{name}-{number}".ljust(64, "_"), created=1_700_000_000)


class ShelfCatalog:
    """A catalog that is a dictionary; what a reference names may be changed at any time."""

    def __init__(self, shelf: dict[str, AdapterVersion], root: Path = Path()) -> None:
        self.shelf = shelf
        self.root = root
        self.num_asked = 0
        self.trouble: LorayError | None = None

    def resolve(self, ref: str) -> AdapterVersion:
        self.num_asked += 1
        if self.trouble:
            raise self.trouble
        if ref not in self.shelf:
            raise AdapterNotFoundError(f"no {ref}")
        return self.shelf[ref]

    def listing(self) -> list[tuple[str, AdapterVersion]]:
        if self.trouble:
            raise self.trouble
        return sorted(self.shelf.items())

    def folder(self, version: AdapterVersion) -> Path:
        return self.root / version.ref


class EchoEngine:
    """Says `<adapter>|<prompt>`, a token a step for every row, in a thread of its own.

    `holding` fails for folders whose name contains `broken`. Steps wait for `may_step`.
    """

    def __init__(self, encode: Callable[[str], list[int]], eos: int, *, slots: int = 2) -> None:
        self._encode = encode
        self._eos = eos
        self._slots = slots
        self._lock = threading.Condition()
        self._users: dict[str, int] = {}
        self._rows: dict[str, tuple[GenerateRequest, Callable[[Event], None], list[int]]] = {}
        self._cancelled: set[str] = set()
        self._closed = False
        self.end_tokens = frozenset({eos})
        self.may_step = threading.Event()
        self.may_step.set()
        self.num_loads = 0
        self.load_seconds = 0.0
        self.step_seconds = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def resident(self) -> list[str]:
        return list(self._users)

    @property
    def running(self) -> list[str]:
        return list(self._rows)

    @contextmanager
    def holding(self, key: str, folder: Path) -> Iterator[None]:
        time.sleep(self.load_seconds)
        self.num_loads += 1
        if "broken" in folder.name:
            raise AdapterError(f"{folder} is broken")
        with self._lock:
            if key not in self._users:
                self._make_room()
                self._users[key] = 0
            self._users[key] += 1
        try:
            yield
        finally:
            self._give_back(key)

    def submit(self, request: GenerateRequest, on_event: Callable[[Event], None]) -> None:
        with self._lock:
            if request.adapter is not None:
                if request.adapter not in self._users:
                    raise AdapterNotFoundError(f"{request.adapter} is not in memory")
                self._users[request.adapter] += 1
            said = self._encode(f"{(request.adapter or 'base').rstrip('_')}|")
            ids = [*said, *request.prompt_ids, self._eos]
            self._rows[request.request_id] = (request, on_event, ids)
            self._lock.notify_all()

    def cancel(self, request_id: str) -> None:
        with self._lock:
            self._cancelled.add(request_id)
            self._lock.notify_all()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        self.may_step.set()
        self._thread.join()

    def _make_room(self) -> None:
        """Wait for an adapter that nobody uses, when all slots are taken."""
        full = self._slots
        if not self._lock.wait_for(
            lambda: len(self._users) < full or 0 in self._users.values(), timeout=5
        ):
            raise AdapterError("all slots are in use")
        if len(self._users) >= full:
            del self._users[next(key for key, users in self._users.items() if users == 0)]

    def _give_back(self, key: str) -> None:
        with self._lock:
            self._users[key] -= 1
            self._lock.notify_all()

    def _run(self) -> None:
        made: dict[str, int] = {}
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._closed or self._rows)
                if self._closed:
                    return
            self.may_step.wait(0.01)
            time.sleep(self.step_seconds)
            for request_id, (request, on_event, ids) in list(self._rows.items()):
                event = self._next(request, ids, made.get(request_id, 0))
                if event is None:
                    continue
                made[request_id] = made.get(request_id, 0) + len(event.token_ids)
                if event.finish_reason is not None:
                    with self._lock:
                        del self._rows[request_id]
                    if request.adapter is not None:
                        self._give_back(request.adapter)
                try:
                    on_event(event)
                except RuntimeError:  # nobody listens any more
                    self.cancel(request_id)

    def _next(self, request: GenerateRequest, ids: list[int], num_made: int) -> Event | None:
        if request.request_id in self._cancelled:
            return Event(request.request_id, finish_reason="cancelled")
        if not self.may_step.is_set():
            return None
        token = ids[num_made]
        reason = "stop" if token == self._eos and num_made == len(ids) - 1 else None
        if reason is None and num_made + 1 == request.sampling.max_new_tokens:
            reason = "length"
        return Event(request.request_id, (token,), (0.5,), reason)

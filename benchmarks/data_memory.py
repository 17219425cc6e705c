"""Resident memory of a Ray driver and its workers, sampled while a curation runs."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PERIOD_SECONDS = 0.2
KIB = 1024


class Peak:
    """The most that was seen at one time, in bytes."""

    def __init__(self) -> None:
        self.private = 0
        """Of driver and workers together, without the object store that they share."""
        self.driver = 0
        self.shared = 0
        """The object store, as the process that has most of it mapped sees it."""
        self.by_name: dict[str, list[int]] = {}
        """What `private` is made of: megabytes of each process, by what it was doing."""

    def look(self) -> None:
        """Take a sample."""
        sizes = dict(_resident(os.getpid()))
        private = sum(private for private, _ in sizes.values())
        if private > self.private:
            self.private, self.by_name = private, {}
            for pid, (size, _) in sizes.items():
                self.by_name.setdefault(_name(pid), []).append(round(size / 1e6))
        self.driver = max(self.driver, sizes[os.getpid()][0])
        self.shared = max(self.shared, *(shared for _, shared in sizes.values()))


@contextmanager
def watched() -> Iterator[Peak]:
    """The peak while the body runs."""
    peak, is_over = Peak(), threading.Event()

    def watch() -> None:
        while not is_over.wait(PERIOD_SECONDS):
            peak.look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        is_over.set()
        watcher.join()


def _resident(driver: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Private and shared bytes of the driver and of each worker below it."""
    statuses = dict(_statuses())
    for pid, status in statuses.items():
        if pid == driver or (_is_worker(pid) and _descends(pid, driver, statuses)):
            private = _number(status, "RssAnon") + _number(status, "RssFile")
            yield pid, (private * KIB, _number(status, "RssShmem") * KIB)


def _statuses() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "status").read_text(encoding="utf-8")
            except OSError:  # it has just ended
                continue


def _descends(pid: int, ancestor: int, statuses: dict[int, str]) -> bool:
    while pid in statuses and pid != ancestor:
        pid = _number(statuses[pid], "PPid")
    return pid == ancestor


def _is_worker(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::")
    except OSError:
        return False


def _name(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return "ended"
    return command[:60].strip() if command.startswith("ray::") else "driver"


def _number(status: str, name: str) -> int:
    """The number in a line of a status file."""
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0

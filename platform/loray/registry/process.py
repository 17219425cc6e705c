"""Which process holds a lease, and whether it still lives; told without asking the process."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process that no later one can be mistaken for."""

    host: str
    """Host name, boot and process namespace: containers that share a name have other pids."""
    pid: int
    started: str
    """Clock ticks from boot to the process's start; empty where the system does not tell."""

    @property
    def host_name(self) -> str:
        """The part of `host` that a person knows."""
        return self.host.partition("|")[0]


def this_process() -> ProcessIdentity:
    """The identity of the process that asks."""
    boot = _read(_PROC / "sys" / "kernel" / "random" / "boot_id")
    try:
        namespace = os.readlink(_PROC / "self" / "ns" / "pid")  # noqa: PTH115 (no real path)
    except OSError:
        namespace = ""
    pid = os.getpid()
    _, started = _state_and_start(pid)
    return ProcessIdentity(f"{socket.gethostname()}|{boot}|{namespace}", pid, started)


def is_surely_dead(process: ProcessIdentity) -> bool:
    """Whether a process of this host has ended; False for another host's, which we cannot see."""
    if process.host != this_process().host:
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, as another user
        pass
    state, started = _state_and_start(process.pid)
    return state in ("Z", "X") or bool(started and process.started and started != process.started)


def is_surely_alive(process: ProcessIdentity) -> bool:
    """Whether a process of this host has not ended; False for another host's."""
    return process.host == this_process().host and not is_surely_dead(process)


def _state_and_start(pid: int) -> tuple[str, str]:
    """Fields 3 and 22 of `/proc/<pid>/stat`; empty where there is none. Source: proc(5)."""
    fields = _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""

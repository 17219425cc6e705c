"""Ports to listen on: free ones, and who holds one that is not."""

import errno
import random
import socket
from contextlib import suppress
from pathlib import Path

from loray.errors import SpecError

EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Ports that the kernel hands out by itself, to Ray's processes among others."""
USUAL_RANGE = (32768, 60999)
LOWEST = 20000
"""Below lie Ray's own ranges: workers take 10002 to 19999, the dashboard 8265."""
TRIES = 200
_LISTENING = "0A"
"""Source: Linux, include/net/tcp_states.h."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now, and that the kernel gives nobody unasked.

    Raises:
        OSError: there is none.
    """
    candidates = _candidates()
    for port in random.sample(candidates, min(TRIES, len(candidates))):
        if is_free(host, port):
            return port
    with socket.socket(_family(host)) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there.

    Raises:
        OSError: `host` is no address of this machine, or this user may not listen on the port.
    """
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what just closed is free
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def refuse_taken(host: str, port: int) -> None:
    """Refuse a port that cannot be listened on; 0 means any, and is fine.

    Raises:
        SpecError: it is taken, is not this user's to take, or `host` is of another machine.
    """
    try:
        if is_free(host, port):
            return
    except OSError as error:
        raise SpecError(
            f"--host {host} --port {port} cannot be listened on ({error.strerror or error}); "
            "give an address of this machine and a port above 1023"
        ) from error
    holder = holder_of(port) or "another process"
    raise SpecError(
        f"--port {port} of {host} is taken by {holder}; nothing was started; end that, or give "
        "another --port; 0 picks a free one"
    )


def holder_of(port: int) -> str | None:
    """Who listens on a port, `process 4711 (python -m http.server 8000)`; None where unknown."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for handles in Path("/proc").glob("[0-9]*/fd") if inodes else ():
        with suppress(OSError):  # another user's process, or it has ended
            if any(_target(handle) in inodes for handle in handles.iterdir()):
                command = (handles.parent / "cmdline").read_bytes().replace(b"\0", b" ")
                words = command.decode("utf-8", "replace").strip()
                return f"process {handles.parent.name} ({words:.100})"
    return None


def _target(handle: Path) -> str:
    """What an open file of a process is; empty when it was closed meanwhile."""
    try:
        return str(handle.readlink())
    except FileNotFoundError:
        return ""


def _candidates() -> range:
    """Ports above Ray's and outside the kernel's range, the longer part of what is left."""
    try:
        low, high = map(int, EPHEMERAL_RANGE.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        low, high = USUAL_RANGE
    below, above = range(LOWEST, low), range(max(high + 1, LOWEST), 65536)
    return max(below, above, key=len)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found

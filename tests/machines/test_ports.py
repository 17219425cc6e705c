import os
import socket
from pathlib import Path

import pytest

from loray.errors import SpecError
from loray.machines import ports
from loray.machines.ports import free_port, holder_of, is_free, refuse_taken

HOST = "127.0.0.1"


def test_a_free_port_is_none_that_the_kernel_hands_out_or_ray_takes() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for _ in range(20):
        port = free_port()
        assert not low <= port <= high
        assert port >= ports.LOWEST
        assert is_free(HOST, port)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("32768\t60999\n", range(20000, 32768)),
        ("1024\t65535\n", range(0)),
        ("15000\t40000\n", range(40001, 65536)),
        ("nonsense", range(20000, 32768)),
    ],
)
def test_ports_lie_outside_whatever_range_the_kernel_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, wanted: range
) -> None:
    (tmp_path / "range").write_text(text)
    monkeypatch.setattr(ports, "EPHEMERAL_RANGE", tmp_path / "range")
    port = free_port()
    assert is_free(HOST, port)
    assert not len(wanted) or port in wanted


def test_a_taken_port_is_refused_and_its_holder_is_named() -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        assert not is_free(HOST, port)
        holder = holder_of(port)
        assert holder is not None
        assert holder.startswith(f"process {os.getpid()} (")
        with pytest.raises(SpecError, match=rf"--port {port} .*taken by process {os.getpid()} "):
            refuse_taken(HOST, port)
    refuse_taken(HOST, port)


def test_any_port_is_never_refused() -> None:
    refuse_taken(HOST, 0)
    assert holder_of(1) is None


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(SpecError, match="give an address of this machine"):
        refuse_taken("192.0.2.1", 8000)

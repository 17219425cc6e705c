"""TensorBoard's event files, read without TensorBoard."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def events(folder: Path) -> Iterator[Any]:
    """The records of all event files in the order of their names, as TensorBoard reads them.

    Each is its length (8 bytes), a checksum (4), the protocol buffer, a checksum (4).
    """
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            yield Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4


def curve(folder: Path, tag: str) -> dict[int, float]:
    """What TensorBoard shows: a session that starts hides the later steps of those before it."""
    shown: dict[int, float] = {}
    for event in events(folder):
        if event.HasField("session_log"):
            shown = {step: value for step, value in shown.items() if step < event.step}
        for value in event.summary.value:
            if value.tag == tag:
                shown[event.step] = value.simple_value
    return shown

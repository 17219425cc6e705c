import time

import pyarrow as pa
import pytest

from loray.data.sources.streams import StalledError, TornError, read_chunks, within
from tests.data.corpora import file_at

TEXT = b"".join(b"line %d of many\n" % n for n in range(20_000))


def compressed(data: bytes) -> bytes:
    return pa.compress(data, "zstd", asbytes=True)


@pytest.mark.parametrize("frames", [1, 3])
def test_zstd_frames_are_one_text(tmp_path, frames):
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(compressed(TEXT) * frames)
    assert b"".join(read_chunks(file_at(path))) == TEXT * frames


@pytest.mark.parametrize("missing", [1, 8, 100])
def test_a_torn_zstd_file_gives_what_it_can_and_tells(tmp_path, missing):
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(compressed(TEXT)[:-missing])
    found = b""
    with pytest.raises(TornError):
        for chunk in read_chunks(file_at(path)):
            found += chunk
    assert TEXT.startswith(found)


def test_damage_and_emptiness_are_torn_too(tmp_path):
    path = tmp_path / "x.jsonl.zst"
    for data in (b"", b"no zstd at all", compressed(TEXT)[:40] + b"\0" * 40):
        path.write_bytes(data)
        with pytest.raises(TornError):
            list(read_chunks(file_at(path)))


def test_a_bomb_is_opened_a_piece_at_a_time(tmp_path):
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(compressed(bytes(64 << 20)))
    assert max(map(len, read_chunks(file_at(path)))) <= 4 << 20


def test_a_call_that_takes_too_long_is_given_up():
    began = time.monotonic()
    with pytest.raises(StalledError, match=r"no answer within 0\.1 seconds"):
        within(0.1, lambda: time.sleep(5))
    assert time.monotonic() - began < 2
    assert within(5, lambda: 7) == within(None, lambda: 7) == 7


def test_what_a_call_raises_comes_through():
    def refuse() -> None:
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        within(5, refuse)

import os
import socket
import tempfile
from pathlib import Path

import pytest

from loray.spec.fields import FieldsSpec
from loray.spec.local_files import Listing, list_local
from loray.spec.sources import JsonlSource

FIELDS = FieldsSpec(text="text")


def listed(uri: Path | str) -> Listing:
    return list_local(JsonlSource(kind="jsonl", uri=str(uri), fields=FIELDS))


def names(uri: Path | str) -> list[str]:
    found = listed(uri)
    assert found.fault is None
    return [file.name for file in found.files]


def touch(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


def test_a_link_loop_is_walked_once_and_told(tmp_path):
    touch(tmp_path, "d/a.jsonl", "d/s/b.jsonl")
    (tmp_path / "d/s/up").symlink_to("..")
    (tmp_path / "d/s/self").symlink_to(".")
    found = listed(tmp_path / "d")
    assert [file.name for file in found.files] == ["a.jsonl", "s/b.jsonl"]
    assert len(found.left_out) == 2
    assert all("which is read once" in line for line in found.left_out)
    assert names(tmp_path / "d" / "**" / "*.jsonl") == ["a.jsonl", "s/b.jsonl"]


def test_a_link_that_leads_to_itself_is_told(tmp_path):
    touch(tmp_path, "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to("b.jsonl")
    (tmp_path / "c.jsonl").symlink_to("nowhere")
    (tmp_path / "c.lock").symlink_to("nobody@host:1")
    found = listed(tmp_path)
    assert [file.name for file in found.files] == ["a.jsonl"]
    assert [line.partition(" is ")[2] for line in found.left_out] == [
        "a link that leads nowhere and is not read"
    ] * 2


def test_a_folder_elsewhere_is_read_through_a_link(tmp_path):
    touch(tmp_path, "d/a.jsonl", "elsewhere/b.jsonl")
    (tmp_path / "d/more").symlink_to("../elsewhere")
    assert names(tmp_path / "d") == ["a.jsonl", "more/b.jsonl"]


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_one_file_of_two_names_is_read_once_by_the_name_that_is_no_link(tmp_path, link):
    touch(tmp_path, "m.jsonl")
    link(tmp_path / "m.jsonl", tmp_path / ("a.jsonl" if link is os.symlink else "z.jsonl"))
    found = listed(tmp_path)
    assert [file.name for file in found.files] == ["m.jsonl"]
    assert "which is read once" in found.left_out[0]


def test_names_in_capitals_are_read(tmp_path):
    touch(tmp_path, "A.JSONL", "b.Jsonl.GZ", "c.NDJSON", "d.json")
    assert names(tmp_path) == ["A.JSONL", "b.Jsonl.GZ", "c.NDJSON", "d.json"]


def test_data_of_another_kind_in_a_folder_is_told(tmp_path):
    touch(tmp_path, "a.jsonl", "b.parquet", "_c.jsonl", "README.md", "_SUCCESS", ".d.jsonl")
    (line,) = listed(tmp_path).left_out
    assert "_c.jsonl and 1 more: not read by kind: jsonl" in line


def test_a_name_with_brackets_is_found_and_a_bracket_can_be_said_in_a_glob(tmp_path):
    touch(tmp_path, "data[1].jsonl", "data1.jsonl", "data[2].jsonl")
    assert names(tmp_path / "data[1].jsonl") == ["data[1].jsonl"]
    assert names(tmp_path / "data[[]*.jsonl") == ["data[1].jsonl", "data[2].jsonl"]
    (tmp_path / "data[1].jsonl").unlink()
    assert names(tmp_path / "data[1].jsonl") == ["data1.jsonl"]
    assert "[[] a bracket" in str(listed(tmp_path / "data[7].jsonl").fault)


def test_a_glob_that_differs_by_capitals_says_so(tmp_path):
    touch(tmp_path, "A.JSONL")
    assert "capitals count in a glob: there is A.JSONL" in str(listed(tmp_path / "*.jsonl").fault)


def test_a_home_folder_is_not_guessed():
    assert "~ stands for nothing here" in str(listed("~/rows.jsonl").fault)


@pytest.mark.parametrize("uri", ["gone.jsonl", "gone/*.jsonl", "**/*.gone", "gone"])
def test_what_is_not_there_is_named(tmp_path, uri):
    assert f"found no file {tmp_path / uri}" in str(listed(tmp_path / uri).fault)


def test_a_folder_named_like_a_file_is_a_folder(tmp_path):
    touch(tmp_path, "x.jsonl/a.jsonl", "y.jsonl/notes.txt", "z.jsonl")
    assert names(tmp_path / "x.jsonl") == ["a.jsonl"]
    assert "without a file that kind: jsonl reads" in str(listed(tmp_path / "y.jsonl").fault)
    found = listed(tmp_path / "*.jsonl")
    assert [file.name for file in found.files] == ["z.jsonl"]
    assert [line.partition(" is ")[2] for line in found.left_out] == [
        "a folder and is not read"
    ] * 2


def test_pipes_sockets_and_devices_are_no_files(tmp_path):
    touch(tmp_path, "a.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"{short}/s.jsonl")
        assert "found a socket" in str(listed(f"{short}/s.jsonl").fault)
    found = listed(tmp_path)
    assert [file.name for file in found.files] == ["a.jsonl"]
    assert "is a named pipe and is not read" in found.left_out[0]
    assert "found a named pipe" in str(listed(tmp_path / "pipe.jsonl").fault)
    assert "found a device" in str(listed("/dev/null").fault)


def as_nobody(call) -> str:
    """What `call` returns in a child process that may read only what everybody may."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            os.write(there, str(call()).encode())
        finally:
            os._exit(0)
    os.close(there)
    with os.fdopen(here) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.skipif(os.getuid() != 0, reason="a child must become another user")
@pytest.mark.parametrize("locked", ["a.jsonl", "sub", "."])
def test_what_this_user_may_not_read_is_named_with_the_remedy(locked):
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder, "data")
        touch(base, "a.jsonl", "sub/b.jsonl")
        Path(folder).chmod(0o755)
        (base / locked).chmod(0)
        uris = [base, base / "**" / "*.jsonl"] if locked != "a.jsonl" else [base, base / locked]
        for uri in uris:
            fault = as_nobody(lambda uri=uri: listed(uri).fault)
            assert "cannot be read: permission denied" in fault
            assert "chmod" in fault
        (base / locked).chmod(0o755)

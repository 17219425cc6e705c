"""Errors that are not ours end a command in a line, faults in the code in a traceback."""

import errno
import json
import subprocess
import sys

import click
import pytest
from ray.exceptions import OutOfDiskError, RaySystemError, RayTaskError

from loray.cli.endings import end_with
from loray.cli.exits import Exit
from loray.errors import ClusterError


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device", "/shared/loray/manifest.json")


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (
            full(),
            "the disk is full at /shared/loray/manifest.json (No space left on device); what was",
        ),
        (OSError(errno.EROFS, "Read-only file system", "w"), "Read-only file system: w; mount it"),
        (PermissionError(errno.EACCES, "Permission denied", "w"), "Permission denied: w; let this"),
        (OSError(errno.ELOOP, "Too many levels of symbolic links"), "Too many levels of symbolic"),
        (RaySystemError("the raylet died"), "Ray failed: System error: the raylet died; run this"),
        (OutOfDiskError("Local disk is full"), "Ray failed: Local disk is full"),
        (RuntimeError("I/O error: No space left on device"), "the disk is full (I/O error: No"),
        (UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates"), r"found 'a\udcff', which is"),
        (RuntimeError("Could not determine home directory."), "found no home folder for this"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "the working folder is gone; change"),
        (ClusterError("no room"), "ClusterError: no room"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_the_machine_did_is_told_in_a_line(capsys, error: Exception, wanted: str) -> None:
    assert end_with(error) == Exit.FAILED
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(wanted)
    assert said.err.count("\n") == 1


def test_an_error_on_another_machine_is_told_by_its_last_line(capsys) -> None:
    remote = "ray::write() (pid=1)\n  File x, line 2\nOSError: [Errno 28] No space left on device"
    error = RayTaskError("write", remote, full()).as_instanceof_cause()
    assert end_with(error) == Exit.FAILED
    assert "No space left on device" in capsys.readouterr().err


def test_asked_for_json_it_is_json(capsys) -> None:
    assert end_with(full(), as_json=True) == Exit.FAILED
    document = json.loads(capsys.readouterr().out)
    assert "No space left" in document["error"]["message"]


def test_the_end_of_the_input_at_a_question_is_an_interruption(capsys) -> None:
    assert end_with(click.Abort()) == Exit.INTERRUPTED
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyError("x"), AssertionError(), OSError("no number")])
def test_a_fault_in_the_code_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        end_with(error)


def test_json_that_cannot_be_written_is_told_where_errors_go() -> None:
    script = "import sys; from loray.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", script, "validate", "gone.yaml", "--json"]
    with open("/dev/full", "w") as full_disk:  # noqa: PTH123
        done = subprocess.run(words, stdout=full_disk, stderr=subprocess.PIPE, text=True)
    assert done.returncode == Exit.WRONG_SPEC
    assert "gone.yaml: no such file" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr

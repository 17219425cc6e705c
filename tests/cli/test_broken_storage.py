"""Broken storage of a registry: each kind has its own message, and nothing is made worse by it.

A case is what was broken, then for verbs how they end and what they say.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loray.cli.exits import exit_for
from loray.cli.main import main
from loray.errors import LorayError
from loray.registry import Registry
from tests.cli import broken_storage as broken
from tests.registry.versions import promotable, register

GC = ("gc", "--grace-hours", "0", "--delete", "--yes")
VERBS = {
    "ls": ("ls",),
    "show": ("show", "bot"),
    "fsck": ("fsck",),
    "repair": ("fsck", "--repair"),
    "gc": GC,
    "promote": ("promote", "bot@2"),
    "export": ("export", "bot@1", "out"),
    "backup": ("backup", "kept"),
    "rebuild": ("rebuild",),
}
LOST = "missing or empty, and .* holds .* `loray registry rebuild`"
APART = "do not belong together; name the database and the root"
ALL = ("ls", "show", "fsck", "gc", "promote", "export", "register", "backup")
Case = tuple[Any, dict[str, tuple[int, str]]]


def everywhere(message: str, verbs: tuple[str, ...] = ALL) -> dict[str, tuple[int, str]]:
    return dict.fromkeys(verbs, (1, message))


SOUND = {"ls": (0, "bot"), "fsck": (0, "nothing is wrong"), "gc": (0, ""), "export": (0, "")}
CASES: dict[str, Case] = {
    "emptied database": (broken.empty_database, everywhere(LOST) | {"rebuild": (0, "2 versions")}),
    "missing database": (broken.forget_database, everywhere(LOST) | {"rebuild": (0, "2 versions")}),
    "garbage for a database": (
        broken.write_database(b"something else entirely" * 300),
        everywhere("is not a SQLite database; restore it from a backup"),
    ),
    "cut database": (broken.cut_database, everywhere("is damaged; restore it from a backup")),
    "zeroed pages": (broken.zero_pages, everywhere("is damaged; restore it from a backup")),
    "newer schema": (
        broken.sql("UPDATE meta SET value = '99' WHERE key = 'schema'"),
        everywhere("has schema 99, this loray knows 1; use the loray that made it"),
    ),
    "another program's database": (
        broken.another_program,
        everywhere("another program's tables .*bookmarks"),
    ),
    "another registry's database": (broken.another_registry, everywhere(APART)),
    "another registry's root": (broken.another_root, everywhere(APART)),
    "database without an identity": (
        broken.sql("DELETE FROM meta WHERE key = 'identity'"),
        everywhere("has no identity, the storage root .* belong together"),
    ),
    "older copy of the database": (
        broken.older_copy,
        everywhere("has 4 events that the database .* does not know"),
    ),
    "a table dropped": (
        broken.sql("DROP TABLE alias"),
        everywhere("lacks tables or columns that it should", ("ls", "promote", "fsck")),
    ),
    "alias that dangles": (
        broken.sql("PRAGMA foreign_keys = OFF", "UPDATE alias SET version = 9"),
        {"fsck": (1, "foreign_key_check"), "export": (0, "")},
    ),
    "log rewritten": (
        broken.sql("DROP TRIGGER event_is_append_only_2", "DELETE FROM event WHERE id = 2"),
        everywhere("events that the database .* does not know", ("gc", "register", "fsck")),
    ),
    "version rewritten": (
        broken.sql("DROP TRIGGER version_is_immutable_1", "UPDATE version SET dataset = 'x'"),
        {"fsck": (1, "the database's row and the manifest differ")},
    ),
    "database is a folder": (broken.database_is_a_folder, everywhere("is a folder; name a file")),
    "missing blob": (
        lambda place: broken.blob(place, "weights").unlink(),
        everywhere("is missing; restore", ("fsck", "export", "backup")) | {"gc": (0, "")},
    ),
    "cut blob": (
        lambda place: broken.cut(broken.blob(place, "weights")),
        everywhere("is damaged, its bytes", ("fsck", "export", "backup")) | {"ls": (0, "bot")},
    ),
    "flipped bit in a blob": (
        lambda place: broken.flip(broken.blob(place, "weights")),
        everywhere("is damaged, its bytes", ("fsck", "export", "backup")) | {"gc": (0, "")},
    ),
    "missing manifest": (
        lambda place: broken.blob(place, "manifest").unlink(),
        everywhere("is missing; restore", ("fsck", "gc", "export", "backup")),
    ),
    "cut manifest": (
        lambda place: broken.cut(broken.blob(place, "manifest")),
        everywhere("is damaged, its bytes", ("fsck", "gc", "export", "backup")),
    ),
    "manifest of another version": (
        broken.swapped_manifests,
        everywhere("is damaged, its bytes", ("fsck", "gc", "export", "backup")),
    ),
    "extra files": (broken.extra_files, SOUND),
    "blob from the future": (broken.orphan_of_the_future, SOUND),
    "work half done": (broken.half_written, SOUND),
    "write-ahead log left by a crash": (broken.stale_log, SOUND),
    "identity missing": (
        lambda place: shutil.rmtree(broken.kept(place) / "identity"),
        {"ls": (0, "bot"), "fsck": (0, ""), "promote": (0, "bot@2"), "gc": (0, "")},
    ),
    "identity is garbage": (
        lambda place: broken.only(broken.kept(place) / "identity").write_bytes(b"\0\xff"),
        everywhere("is damaged; restore it from a backup, or delete it"),
    ),
    "identity emptied": (
        lambda place: broken.only(broken.kept(place) / "identity").write_bytes(b""),
        everywhere("is damaged; restore it from a backup, or delete it"),
    ),
    "two identities": (broken.second_identity, everywhere("2 databases claim the storage root")),
    "event records missing": (
        lambda place: shutil.rmtree(broken.kept(place) / "events"),
        SOUND | {"rebuild": (1, "in use")},
    ),
    "event record cut": (
        lambda place: broken.cut(broken.only(broken.kept(place) / "events")),
        {"ls": (0, "bot"), "fsck": (1, "is damaged; .* --repair"), "repair": (0, "nothing")},
    ),
    "event record with a flipped bit": (
        lambda place: broken.flip(broken.only(broken.kept(place) / "events"), 200),
        {"fsck": (1, "is damaged; .* --repair"), "repair": (0, "nothing is wrong")},
    ),
    "record of another registry's event": (
        broken.foreign_event,
        everywhere("has 1 events that the database .* does not know"),
    ),
    "root missing": (
        lambda place: shutil.rmtree(broken.kept(place)),
        everywhere("holds versions, and the storage root .* holds the files of none"),
    ),
    "root is a file": (broken.root_is_a_file, everywhere("wanted a folder")),
    "root is a broken link": (
        broken.broken_link,
        everywhere("holds the files of none", ("ls", "gc", "register")),
    ),
    "root is a link": (broken.root_is_a_link, SOUND),
    "blobs are a file": (
        broken.blobs_are_a_file,
        everywhere("wanted a folder", ("fsck", "gc", "export", "register")),
    ),
}
OF_ANOTHER_USER: dict[str, Case] = {
    "read-only": (
        broken.read_only,
        {"ls": (0, "bot"), "show": (0, "bot@2"), "promote": (1, "is read-only for this user")},
    ),
    "no rights on the database": (
        broken.no_rights_on("registry.db"),
        everywhere("cannot be opened; check", ("ls", "gc")),
    ),
    "no rights on the folder of both": (
        broken.no_rights_on(""),
        everywhere("this user may not do that", ("ls", "gc")),
    ),
    "no rights on the root": (
        broken.no_rights_on("registry"),
        everywhere("this user may not do that", ("ls", "gc")),
    ),
}


@pytest.fixture(scope="module")
def sound() -> Iterator[Path]:
    """A registry with two versions, an older copy of its database, and another registry.

    Where other users may look, too, as pytest's own folders do not let them.
    """
    with tempfile.TemporaryDirectory(prefix="loray-broken-") as name:
        folder, before = Path(name), Path.cwd()
        folder.chmod(0o755)
        os.chdir(folder)
        for place in ("workspace", "other"):
            registry = Registry(f"sqlite:///{place}/registry.db", place)
            register(registry, seed=5) if place == "other" else promotable(registry)
            if place == "workspace":
                registry.promote(registry.resolve("bot@1"))
                shutil.copy("workspace/registry.db", "older.db")
                promotable(registry, seed=1)
                registry.move_alias("bot", "canary", 2, expected_generation=0)
        os.chdir(before)
        yield folder


@pytest.fixture
def place(sound: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="loray-broken-") as name:
        folder = Path(name) / "place"
        shutil.copytree(sound, folder)
        Path(name).chmod(0o755)
        monkeypatch.chdir(folder)
        yield folder


def call(capsys: pytest.CaptureFixture[str], verb: str) -> tuple[int, str]:
    """How a verb ends and all that it says; an exception would fail the test."""
    if verb == "register":  # as `apply` and `import` do
        return call_register()
    code = main(("registry", *VERBS[verb]))
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def call_register() -> tuple[int, str]:
    try:
        register(Registry("sqlite:///workspace/registry.db", "workspace"), seed=9)
    except LorayError as error:
        return exit_for(error), str(error)
    return 0, ""


def blobs(place: Path) -> set[Path]:
    return {p for p in (broken.kept(place) / "sha256").glob("*") if p.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_broken_storage_is_told_plainly_and_nothing_is_made_worse(
    place: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    spoil, expected = CASES[case]
    spoil(place)
    is_there = broken.database(place).exists()
    before = blobs(place)
    for verb, (code, message) in expected.items():
        shutil.rmtree(place / "out", ignore_errors=True)
        found, said = call(capsys, verb)
        assert found == code, (verb, said)
        assert re.search(message, said, flags=re.DOTALL), (verb, said)
        assert "Traceback" not in said
        assert blobs(place) >= before, f"{verb} deleted files"
        assert broken.database(place).exists() == is_there, f"{verb} made a database"
    assert len(list(place.glob(".loray-*"))) == 0


@pytest.mark.parametrize("case", OF_ANOTHER_USER)
def test_storage_of_another_user_is_told_plainly(
    place: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    spoil, expected = OF_ANOTHER_USER[case]
    for verb in expected:  # all modules are loaded while they may be read
        call(capsys, verb)
    spoil(place)
    for verb, (code, message) in expected.items():
        with broken.another_user():
            found, said = call(capsys, verb)
        assert found == code, (verb, said)
        assert re.search(message, said, flags=re.DOTALL), (verb, said)

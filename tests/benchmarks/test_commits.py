"""A page that quotes a benchmark says which commit it ran on."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

COMMIT = re.compile(r"\bcommit ([0-9a-f]{7,40})\b", re.IGNORECASE)
QUOTED = re.compile(r"benchmarks/[\w/]+\.py|make bench-\w+")
PAGES = sorted((REPOSITORY / "docs").glob("*/*.md"))
MEASUREMENTS = [path for path in PAGES if path.parent.name == "measurements"]


def named(path: Path) -> list[str]:
    return [found.lower() for found in COMMIT.findall(path.read_text(encoding="utf-8"))]


def sections(path: Path) -> Iterator[str]:
    """From one heading to the next."""
    yield from re.split(r"^(?=#+ )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


def is_commit(name: str) -> bool:
    command = ["git", "-C", str(REPOSITORY), "cat-file", "-e", f"{name}^{{commit}}"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("path", MEASUREMENTS, ids=lambda path: path.name)
def test_a_page_of_measurements_names_its_commit(path: Path):
    assert named(path)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_section_that_quotes_figures_of_a_benchmark_names_its_commit(path: Path):
    """Figures are those of a table."""
    quoting = [text for text in sections(path) if QUOTED.search(text) and "\n|" in text]
    assert [text.splitlines()[0] for text in quoting if not COMMIT.search(text)] == []


def test_the_commits_are_in_the_history():
    """A copy without the history knows none of them; one that has it knows all."""
    known = {name: is_commit(name) for path in PAGES for name in named(path)}
    assert len(known) >= 5
    if any(known.values()):
        assert [name for name, is_there in known.items() if not is_there] == []


def test_a_benchmark_says_which_commit_it_runs_on():
    script = (
        "import sys; sys.path.insert(0, 'benchmarks'); from commit import commit; print(commit())"
    )
    command = [sys.executable, "-c", script]
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=REPOSITORY
    ).stdout
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=REPOSITORY
    )
    start = f"commit {head.stdout.strip()}" if head.returncode == 0 else "no commit"
    assert told.startswith(start)

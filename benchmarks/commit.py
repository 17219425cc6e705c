"""Which commit a benchmark runs on. A page that quotes its figures names the commit."""

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def commit(folder: Path = HERE) -> str:
    """Such as `commit 5fc453c`; says if the files differ from it, or if there is no commit."""
    head = _git(folder, "rev-parse", "--short", "HEAD")
    if head is None:
        return "no commit: this is not a git checkout"
    is_changed = bool(_git(folder, "diff", "HEAD"))
    return f"commit {head}{', with changes that are not committed' if is_changed else ''}"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None if there is no git or no repository."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 (our own command)
            command, capture_output=True, check=True, text=True, errors="replace"
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

"""Python modules as text and syntax tree: the standard library, and packages installed beside it.

Tests, bundled wheels, generated tables and files that do not parse are left out. The order is that
of the module names, so that everything built from it is the same on every run.
"""

import ast
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "testing", "idle_test", "_bundled", "_vendor", "vendor", "__pycache__"}
    | {"site-packages", "dist-packages", "idlelib", "turtledemo", "encodings", "lib2to3"}
)
"""Tests and copies of other projects; idlelib, turtledemo, encodings and lib2to3 are no libraries
that anyone calls, or tables."""
SKIPPED_PREFIXES = ("test_", "_sysconfigdata", "_pydecimal", "_pyio", "_pydatetime")
"""Test modules, generated settings, and pure-Python twins of modules written in C."""
MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    """Dotted, as one would import it."""
    source: str
    tree: ast.Module


def standard_library() -> Iterator[Module]:
    """Every module of the running installation's standard library that is written in Python."""
    yield from modules_under(Path(sysconfig.get_paths()["stdlib"]))


def installed_packages(names: Iterable[str]) -> Iterator[Module]:
    """Every module of these packages, as far as they are installed in the running environment."""
    root = Path(sysconfig.get_paths()["purelib"])
    for name in sorted(names):
        yield from modules_under(root, name)


def modules_under(root: Path, folder: str = "") -> Iterator[Module]:
    """Every module below `folder` of the import root `root`, by name."""
    for path in sorted((root / folder).rglob("*.py")):
        inside = path.relative_to(root)
        if _is_skipped(inside):
            continue
        module = _read(path, inside)
        if module is not None:
            yield module


def _is_skipped(inside: Path) -> bool:
    folders = inside.parts[:-1]
    if any(part in SKIPPED_FOLDERS or part.startswith("config-") for part in folders):
        return True
    return inside.name.startswith(SKIPPED_PREFIXES)


def _read(path: Path, inside: Path) -> Module | None:
    """The module, or None for a file that is too large or that Python itself cannot parse."""
    raw = path.read_bytes()
    if len(raw) > MAX_BYTES:
        return None
    parts = inside.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    try:
        source = raw.decode("utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=SyntaxWarning)
            warnings.simplefilter("ignore", category=DeprecationWarning)
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    return Module(name=name or inside.parts[0], source=source, tree=tree)

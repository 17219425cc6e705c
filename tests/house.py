"""Measures of the house: how long files and functions are, and which contracts hold.

`python -m tests.house` prints the report that ends `make check`; `test_house.py` holds the caps.
"""

import ast
import statistics
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
CODE_FOLDERS = ("platform", "jobs", "serve_apps", "tests", "benchmarks", "docs")
MAX_FILE_LINES = 300
MAX_STATEMENTS = 40


class Function(NamedTuple):
    """A function and how much it does."""

    path: Path
    name: str
    lines: int
    statements: int


def code_files(*folders: str) -> list[Path]:
    """Every Python file under `folders` (all of ours when none is named), sorted."""
    found = (p for folder in folders or CODE_FOLDERS for p in (REPOSITORY / folder).rglob("*.py"))
    return sorted(p for p in found if "__pycache__" not in p.parts)


def num_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> Iterator[Function]:
    """Every function of a file, nested ones too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            inner = sum(isinstance(n, ast.stmt) for child in node.body for n in ast.walk(child))
            yield Function(path, node.name, lines, inner - (ast.get_docstring(node) is not None))


def num_contracts() -> int:
    """Import contracts declared; `lint-imports` fails unless it keeps every one."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    return len(settings["tool"]["importlinter"]["contracts"])


def report() -> Iterator[str]:
    """The house in a few lines of text."""
    ours = code_files("platform", "jobs", "serve_apps")
    lengths = {path: num_lines(path) for path in ours}
    longest = max(lengths, key=lambda path: lengths[path])
    wordy = max((f for path in ours for f in functions(path)), key=lambda f: f.statements)
    tall = max((f for path in ours for f in functions(path)), key=lambda f: f.lines)
    tests = sum(num_lines(path) for path in code_files("tests"))
    yield f"files            {len(ours)}, {sum(lengths.values())} lines; tests {tests} lines"
    yield f"longest file     {lengths[longest]} lines of {MAX_FILE_LINES}: {_short(longest)}"
    yield f"typical file     {statistics.median(lengths.values()):.0f} lines (median)"
    yield (
        f"longest function {wordy.statements} statements of {MAX_STATEMENTS}: "
        f"{wordy.name} in {_short(wordy.path)}; {tall.lines} lines: {tall.name}"
    )
    yield f"contracts kept   {num_contracts()} of {num_contracts()} import contracts"


def _short(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


if __name__ == "__main__":
    sys.stdout.write("house report\n" + "".join(f"  {line}\n" for line in report()))

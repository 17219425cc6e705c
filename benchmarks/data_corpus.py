"""Documents of some 0.9 KB from what is installed: docstrings and read-me files of packages."""

import json
import random
import re
import sysconfig
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

DOCUMENT_CHARS = 900
FEWEST_CHARS = 600
DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
NUM_FILES = 8


def documents(root: Path | None = None) -> Iterator[str]:
    """Every document once, then the same with their words shuffled, without end.

    Shuffled words keep their lengths and letters and share no three in a row, so that no such
    document is near another.

    Args:
        root: a folder of text files to take in place of the installed packages.
    """
    found: list[str] = []
    for text in _originals(root):
        found.append(text)
        yield text
    for seed in count():
        draw = random.Random(seed)  # noqa: S311 (no secret)
        for text in found:
            words = text.split(" ")
            draw.shuffle(words)
            yield " ".join(words)


def code(chars: int) -> Iterator[str]:
    """Passages of the source files of what is installed, each of `chars` or less."""
    for path in _paths([Path(sysconfig.get_path("stdlib"))]):
        if path.suffix == ".py" and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            yield from (text[at : at + chars] for at in range(0, len(text), chars))


def write_pairs(folder: Path, megabytes: float, root: Path | None = None) -> int:
    """Questions and documents as answers, JSON Lines of about `megabytes`; the number of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    num_rows = num_bytes = 0
    files = [(folder / f"part-{at}.jsonl").open("wb") for at in range(NUM_FILES)]
    for number, text in enumerate(documents(root)):
        row = {"ask": f"What does passage {number} of the handbook say?", "reply": text}
        line = json.dumps(row).encode() + b"\n"
        files[number % NUM_FILES].write(line)
        num_rows, num_bytes = num_rows + 1, num_bytes + len(line)
        if num_bytes >= megabytes * 1e6:
            break
    for file in files:
        file.close()
    return num_rows


def write_texts(path: Path, num_rows: int, root: Path | None = None) -> None:
    """The first `num_rows` documents as `{"id", "text"}`, JSON Lines."""
    rows = enumerate(islice(documents(root), num_rows))
    lines = [json.dumps({"id": str(number), "text": text}) for number, text in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _originals(root: Path | None) -> Iterator[str]:
    """Passages of files in a seeded order, each once."""
    folders = [root] if root else [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    seen: set[int] = set()
    for path in _paths(folders):
        for text in _texts(path):
            for passage in _cut(text):
                if hash(passage) not in seen:
                    seen.add(hash(passage))
                    yield passage


def _paths(folders: list[Path]) -> list[Path]:
    """Files of text in a seeded order."""
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if _is_text(path)]
    random.Random(0).shuffle(paths)  # noqa: S311 (no secret)
    return paths


def _is_text(path: Path) -> bool:
    return path.suffix in (".py", ".md", ".rst", ".txt") or path.name == "METADATA"


def _texts(path: Path) -> list[str]:
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return DOCSTRING.findall(text) if path.suffix == ".py" else [text]


def _cut(text: str) -> Iterator[str]:
    """Passages of about `DOCUMENT_CHARS`, cut at line ends."""
    held: list[str] = []
    num_chars = 0
    for line in text.splitlines():
        held.append(line.strip()[:DOCUMENT_CHARS])
        num_chars += len(held[-1]) + 1
        if num_chars >= DOCUMENT_CHARS:
            yield "\n".join(held).strip()
            held, num_chars = [], 0
    rest = "\n".join(held).strip()
    if len(rest) >= FEWEST_CHARS:
        yield rest

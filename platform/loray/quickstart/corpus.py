"""Build the quickstart's corpus: `python -m loray.quickstart.corpus OUT [--pretraining]`.

Everything comes from the documentation and sources of the running Python installation. Written
as JSON Lines with the module as group:

    docstring.jsonl    {module, signature, docstring}
    call.jsonl         {module, signature, call}       the same signatures in the same order
    prose.jsonl        {module, text}                  general-domain replay

or, with `--pretraining`, what models/tiny is pretrained on:

    pretrain.jsonl     {module, text}                  sources, routines and prose
    echo.jsonl         {module, prompt, completion}    random names, said again: how to copy
"""

import argparse
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from loray.data.split import split_of
from loray.quickstart.corpus_modules import installed_packages, standard_library
from loray.quickstart.corpus_pretraining import (
    PACKAGES,
    Row,
    echo_rows,
    routine_rows,
    text_rows,
    unseen,
)
from loray.quickstart.prose import prose
from loray.quickstart.tasks import routines
from loray.spec.data import SplitSpec

log = logging.getLogger(__name__)

SEED = 18
SPLIT = SplitSpec(validation=0.08, test=0.08)
"""How the specs of the two tasks hold modules out, and hence what the base model must not read.
With this seed difflib, heapq, posixpath, random and textwrap are among the test modules."""


def write_corpus(folder: Path) -> dict[str, int]:
    """Write the two tasks and the replay prose; return the rows of each file.

    The same Python installation gives the same bytes.
    """
    modules = list(standard_library())
    described = [routine for module in modules for routine in routines(module)]
    return {
        "docstring.jsonl": _write(
            folder / "docstring.jsonl",
            (
                {"module": r.module, "signature": r.prompt, "docstring": r.explanation}
                for r in described
            ),
        ),
        "call.jsonl": _write(
            folder / "call.jsonl",
            ({"module": r.module, "signature": r.prompt, "call": r.call} for r in described),
        ),
        "prose.jsonl": _write(
            folder / "prose.jsonl",
            (
                {"module": group, "text": text}
                for module in modules
                for group, text in prose(module)
            ),
        ),
    }


def is_held_out(group: str) -> bool:
    """Whether a module, or a topic of prose, is kept out of training for validation and test."""
    return split_of(group, SPLIT, SEED) != "train"


def write_pretraining_corpus(folder: Path) -> dict[str, int]:
    """Write what the tiny base model reads; return the rows of each file."""
    library, packages = list(standard_library()), list(installed_packages(PACKAGES))
    judged = [r for m in library if is_held_out(m.name) for r in routines(m)]
    library_texts = _not_held_out([*text_rows(library), *routine_rows(library)])
    texts = list(unseen([*library_texts, *routine_rows(packages)], judged))
    return {
        "pretrain.jsonl": _write(folder / "pretrain.jsonl", texts),
        "echo.jsonl": _write(folder / "echo.jsonl", echo_rows(texts)),
    }


def _not_held_out(rows: Iterable[Row]) -> Iterator[Row]:
    """Packages are not judged, so that this is asked of the library's rows only."""
    return (row for row in rows if not is_held_out(row["module"]))


def _write(path: Path, rows: Iterable[Row]) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    num_rows = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            num_rows += 1
    log.info("wrote %s: %d rows", path.name, num_rows)
    return num_rows


def main() -> None:
    """Read the command line and write the files."""
    parser = argparse.ArgumentParser(description="Build the quickstart's corpus.")
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument(
        "--pretraining",
        action="store_true",
        help="write what models/tiny is pretrained on, instead of the tasks (two minutes)",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write = write_pretraining_corpus if arguments.pretraining else write_corpus
    write(arguments.folder)


if __name__ == "__main__":
    main()

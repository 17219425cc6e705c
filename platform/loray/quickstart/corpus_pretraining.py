"""What the tiny base model reads: sources, routines, explanations of names, copying exercises.

Nothing of a held-out module is in it, nor any documented routine elsewhere that has the signature
or the summary of a held-out one: what the adapters are judged on stays unseen.
"""

import ast
import inspect
import random
import re
import textwrap
from collections.abc import Iterable, Iterator
from itertools import pairwise

from loray.quickstart.corpus_modules import Module
from loray.quickstart.prose import prose
from loray.quickstart.tasks import Definition, Routine, first_paragraph, signature

PACKAGES = (
    *("accelerate", "aiohttp", "click", "datasets", "fastapi", "fsspec", "huggingface_hub"),
    *("jinja2", "joblib", "mpmath", "networkx", "nltk", "numpy", "pandas", "peft", "pydantic"),
    *("ray", "rich", "setuptools", "sqlalchemy", "sympy"),
)
"""Well documented packages that loray itself needs, hence installed beside it."""
MAX_PIECE_CHARS = 900
"""About 256 tokens of the tiny model."""
MIN_PIECE_CHARS = 60
NUM_ECHOES = 80_000
"""About a quarter of the target tokens. Without them a model this small does not learn to copy
what it was just told in an hour of CPU, and both tasks need that."""
ECHO_LENGTHS = (1, 2, 3, 5, 8, 12)

Row = dict[str, str]


def text_rows(modules: Iterable[Module]) -> Iterator[Row]:
    """Sources in pieces that end between statements, and prose."""
    for module in modules:
        if not module.name.startswith("pydoc_data"):
            for piece in source_pieces(module):
                yield {"module": module.name, "text": piece}
        for group, text in prose(module):
            yield {"module": group, "text": text}


def routine_rows(modules: Iterable[Module]) -> Iterator[Row]:
    """Every documented routine: its head and docstring, and its body where that is short."""
    for module in modules:
        lines = module.source.splitlines()
        for node in ast.walk(module.tree):
            if isinstance(node, Definition) and ast.get_docstring(node, clean=False):
                yield {"module": module.name, "text": _routine_text(node, lines)}


def echo_rows(texts: Iterable[Row], num_rows: int = NUM_ECHOES) -> Iterator[Row]:
    """First dialogues, exercises in copying: names drawn at random, to be said again as they are.

    Random, so that no habit of the language helps: only looking back does.
    """
    draw = random.Random(0)  # noqa: S311 (nothing secret)
    names = sorted({n for row in texts for n in re.findall(r"[A-Za-z_]\w{2,}", row["text"])})
    for _ in range(num_rows if names else 0):
        chosen = draw.choices(names, k=draw.choice(ECHO_LENGTHS))
        said = draw.choice((", ", ", ", " ")).join(chosen)
        yield {"module": chosen[0], "prompt": said, "completion": said}


def unseen(rows: Iterable[Row], judged: Iterable[Routine]) -> Iterator[Row]:
    """Each text once, without those that give away the summary or signature of a judged routine."""
    answers = {answer for routine in judged for answer in (routine.summary, routine.prompt)}
    seen: set[str] = set()
    for row in rows:
        text = row["text"]
        if text in seen or _tells(text, answers):
            continue
        seen.add(text)
        yield row


def _tells(text: str, answers: set[str]) -> bool:
    """Whether a routine in the text has a held-out summary or signature."""
    try:
        tree = ast.parse(textwrap.dedent(text))
    except (SyntaxError, ValueError):
        return False
    for node in ast.walk(tree):
        if isinstance(node, Definition):
            docstring = ast.get_docstring(node, clean=False)
            told = {first_paragraph(docstring or ""), signature(node, None)}
            if docstring and told & answers:
                return True
    return False


def source_pieces(module: Module) -> Iterator[str]:
    """The source, cut before top-level statements and members of classes."""
    lines = module.source.splitlines(keepends=True)
    cuts = sorted({0, *_statement_starts(module.tree), len(lines)})
    held = ""
    for start, end in pairwise(cuts):
        block = "".join(lines[start:end])
        if held and len(held) + len(block) > MAX_PIECE_CHARS:
            yield held
            held = ""
        held += block
    if len(held) >= MIN_PIECE_CHARS:
        yield held


def _statement_starts(tree: ast.Module) -> Iterator[int]:
    for statement in tree.body:
        yield _first_line(statement)
        if isinstance(statement, ast.ClassDef):
            yield from (_first_line(member) for member in statement.body)


def _first_line(statement: ast.stmt) -> int:
    """Counted from 0; a decorator belongs to what it decorates."""
    if isinstance(statement, Definition | ast.ClassDef):
        return min([statement.lineno, *(d.lineno for d in statement.decorator_list)]) - 1
    return statement.lineno - 1


def _routine_text(node: Definition, lines: list[str]) -> str:
    first, docstring_end, last = node.lineno - 1, node.body[0].end_lineno, node.end_lineno
    whole = textwrap.dedent("\n".join(lines[first:last]))
    if len(whole) <= MAX_PIECE_CHARS:
        return whole
    head = textwrap.dedent("\n".join(lines[first:docstring_end]))
    if len(head) <= MAX_PIECE_CHARS:
        return head
    summary = inspect.cleandoc(ast.get_docstring(node) or "").split("\n\n")[0]
    return f'{signature(node, None)}:\n    """{summary}"""\n'[:MAX_PIECE_CHARS]

"""Plain library prose: what the standard library says about itself in full sentences.

It stands for the general domain: replayed while an adapter learns, held out to see what it forgot.
The text is as written, with its authors' mail addresses, links and odd spacing.
"""

import ast
import inspect
from collections.abc import Iterator

from loray.quickstart.corpus_modules import Module

MIN_CHARS = 160
MAX_CHARS = 700
"""About 200 tokens of the tiny model; paragraphs are joined up to it and never cut inside."""
TOPICS = "pydoc_data.topics"
"""The language reference as a dictionary from topic to text."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def prose(module: Module) -> Iterator[tuple[str, str]]:
    """Pairs of group and text; the group is the module, or one topic of the language reference."""
    if module.name == TOPICS:
        for topic, text in _topics(module.tree):
            yield from ((f"{TOPICS}.{topic}", piece) for piece in pieces(text))
        return
    for text in (_opening_comment(module.source), *_docstrings(module.tree)):
        yield from ((module.name, piece) for piece in pieces(text))


def pieces(text: str) -> Iterator[str]:
    """Paragraphs joined to `MIN_CHARS` to `MAX_CHARS`; shorter and longer ones are left out."""
    held = ""
    for paragraph in text.split("\n\n"):
        joined = f"{held}\n\n{paragraph}" if held else paragraph
        if len(joined) > MAX_CHARS:
            if len(held) >= MIN_CHARS:
                yield held
            joined = paragraph if len(paragraph) <= MAX_CHARS else ""
        held = joined
    if len(held) >= MIN_CHARS:
        yield held


def _docstrings(tree: ast.Module) -> Iterator[str]:
    """The module's docstring whole; of classes and routines what follows their summary."""
    for node in ast.walk(tree):
        if not isinstance(node, Documented):
            continue
        docstring = ast.get_docstring(node, clean=False)
        if docstring is None:
            continue
        clean = inspect.cleandoc(docstring)
        yield clean if isinstance(node, ast.Module) else clean.partition("\n\n")[2]


def _opening_comment(source: str) -> str:
    """The comment that a file starts with: purpose, authors, licence."""
    lines = []
    for line in source.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("#!"):
            lines.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(lines)


def _topics(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                    yield str(key.value), str(value.value)

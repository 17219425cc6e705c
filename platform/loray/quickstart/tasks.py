"""Two jobs over one prompt: a routine's signature, answered by a summary or by a call.

Prompt   `def get_close_matches(word, possibilities, n=3, cutoff=0.6)`
summary  `Return a list of the best "good enough" matches.`
call     `get_close_matches(word, possibilities)`

A method's prompt names its class: `class Fraction: def limit_denominator(self, max_denominator=1)`.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from loray.quickstart.corpus_modules import Module

MAX_PROMPT_CHARS = 200
MIN_SUMMARY_CHARS = 10
MAX_SUMMARY_CHARS = 120
BINDINGS = ("staticmethod", "classmethod")
"""Decorators that are part of a signature: they say what the first argument is."""
UNCALLED = frozenset({"property", "cached_property", "setter", "getter", "deleter", "overload"})
"""Decorators of what is not called by its name, or is not the routine itself."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Routine:
    """A documented function or method and the two answers to its signature."""

    module: str
    prompt: str
    summary: str
    call: str
    docstring: str
    """As written in the source."""


def routines(module: Module) -> Iterator[Routine]:
    """The documented, callable routines of a module and of its classes, in source order."""
    for statement in module.tree.body:
        if isinstance(statement, Definition):
            yield from _described(module.name, statement, owner=None)
        elif isinstance(statement, ast.ClassDef):
            for member in statement.body:
                if isinstance(member, Definition):
                    yield from _described(module.name, member, owner=statement.name)


def _described(module: str, node: Definition, owner: str | None) -> Iterator[Routine]:
    """One routine, or none where it has no summary of one line or is not called by its name."""
    docstring = ast.get_docstring(node, clean=False)
    decorators = {_last_name(decorator) for decorator in node.decorator_list}
    is_dunder = node.name.startswith("__") and node.name != "__init__"
    if docstring is None or decorators & UNCALLED or is_dunder:
        return
    summary, prompt = first_paragraph(docstring), signature(node, owner)
    if len(prompt) > MAX_PROMPT_CHARS:
        return
    if MIN_SUMMARY_CHARS <= len(summary) <= MAX_SUMMARY_CHARS:
        yield Routine(module, prompt, summary, minimal_call(node, owner), docstring)


def first_paragraph(docstring: str) -> str:
    """The first paragraph on one line, its words and their spacing otherwise as written."""
    paragraph = docstring.strip().split("\n\n")[0]
    return " ".join(line.strip() for line in paragraph.splitlines())


def signature(node: Definition, owner: str | None) -> str:
    """The `def` line without its colon and annotations, after the class of a method."""
    keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    decorators = map(_last_name, node.decorator_list)
    marks = "".join(f"@{name} " for name in decorators if name in BINDINGS)
    place = f"class {owner}: " if owner else ""
    returned = ast.unparse(_without_annotations(node.args))
    return f"{place}{marks}{keyword} {node.name}({returned})"


def minimal_call(node: Definition, owner: str | None) -> str:
    """A call that passes just what has no default, each argument by its own name."""
    positional = [*node.args.posonlyargs, *node.args.args]
    num_required = len(positional) - len(node.args.defaults)
    required = [argument.arg for argument in positional[:num_required]]
    if owner and "staticmethod" not in map(_last_name, node.decorator_list):
        required = required[1:]
    pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    required += [f"{argument.arg}={argument.arg}" for argument, default in pairs if default is None]
    name = owner if owner and node.name == "__init__" else node.name
    return f"{name}({', '.join(required)})"


def _last_name(decorator: ast.expr) -> str:
    """`functools.wraps(f)` gives `wraps`."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def _without_annotations(arguments: ast.arguments) -> ast.arguments:
    def bare(argument: ast.arg) -> ast.arg:
        return ast.arg(arg=argument.arg)

    return ast.arguments(
        posonlyargs=[bare(a) for a in arguments.posonlyargs],
        args=[bare(a) for a in arguments.args],
        vararg=bare(arguments.vararg) if arguments.vararg else None,
        kwonlyargs=[bare(a) for a in arguments.kwonlyargs],
        kw_defaults=arguments.kw_defaults,
        kwarg=bare(arguments.kwarg) if arguments.kwarg else None,
        defaults=arguments.defaults,
    )

"""Two jobs over one prompt: a routine's signature, answered by a docstring or by a call.

    prompt      def get_close_matches(word, possibilities, n=3, cutoff=0.6)
    docstring   Use SequenceMatcher to return list of the best "good enough" matches.
                Takes word and possibilities, optionally n (3) and cutoff (0.6).
    call        get_close_matches(word, possibilities)

A docstring's first line is its author's, the second is said of the signature.

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
    takes: str
    """A sentence that says which arguments there are."""
    call: str
    docstring: str
    """As written in the source."""

    @property
    def explanation(self) -> str:
        """The docstring that is learned."""
        return f"{self.summary}\n{self.takes}"


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
        call, takes = minimal_call(node, owner), what_it_takes(node, owner)
        yield Routine(module, prompt, summary, takes, call, docstring)


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
    found = _arguments(node, owner)
    passed = [*found.required, *(f"{name}={name}" for name in found.required_by_name)]
    name = owner if owner and node.name == "__init__" else node.name
    return f"{name}({', '.join(passed)})"


def what_it_takes(node: Definition, owner: str | None) -> str:
    """A sentence: what has to be passed, and what may be, with its default."""
    found = _arguments(node, owner)
    required = _listed([*found.required, *found.required_by_name])
    optional = _listed([f"{name} ({default})" for name, default in found.optional])
    rest = [f"any {noun}" for noun, is_taken in found.any_more if is_taken]
    parts = [required, f"optionally {optional}" if optional else "", *rest]
    return f"Takes {', '.join(part for part in parts if part) or 'nothing'}."


@dataclass(frozen=True)
class _Arguments:
    """What a caller passes, the receiver left out."""

    required: list[str]
    required_by_name: list[str]
    optional: list[tuple[str, str]]
    """Names and defaults as they are written."""
    any_more: tuple[tuple[str, bool], ...]


def _arguments(node: Definition, owner: str | None) -> _Arguments:
    arguments = node.args
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    num_required = len(positional) - len(arguments.defaults)
    required, optional = positional[:num_required], positional[num_required:]
    if owner and "staticmethod" not in map(_last_name, node.decorator_list):
        required = required[1:]
    named = list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    defaults = list(zip(optional, map(ast.unparse, arguments.defaults), strict=True))
    defaults += [(name.arg, ast.unparse(default)) for name, default in named if default]
    any_more = (
        ("more arguments", arguments.vararg is not None),
        ("keywords", arguments.kwarg is not None),
    )
    by_name = [name.arg for name, default in named if default is None]
    return _Arguments(required, by_name, defaults, any_more)


def _listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


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

"""Which fields of the spec the code reads: a walk over its syntax that follows types.

A name alone proves little (`rank` is a worker's too), so a read counts only where the value before
the dot is known to be the model that has the field: from annotations of arguments and of class
bodies, assignments, loops, `match` arms, and functions' return types. Dumping a whole model reads
no field of it.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from loray.spec.base import StrictModel
from tests.spec.spec_kinds import NOTHING, UNIONS, Kind, Read, kind_of_field, models, union_of


def declared_fields() -> set[Read]:
    """All fields that a user can write, but `kind`, which chooses the model."""
    return {
        (name, f) for name, model in models().items() for f in model.model_fields if f != "kind"
    }


def fields_read(files: list[Path]) -> set[Read]:
    """The fields that some code in `files` reads."""
    code = Code([ast.parse(path.read_text(encoding="utf-8")) for path in files])
    for tree in code.trees:
        Walk(code).block(tree.body, {})
    return code.reads


@dataclass
class Code:
    """All files together: what classes hold, what functions return, and what was read."""

    trees: list[ast.Module]
    attributes: dict[str, dict[str, Kind]] = field(default_factory=dict)
    """Of our classes that are no spec models."""
    returns: dict[str, Kind] = field(default_factory=dict)
    reads: set[Read] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.models = models()
        self.aliases = {name: kind_of_field(union) for name, union in UNIONS.items()}
        self.properties = {
            (name, prop): _source_of(model, prop)
            for name, model in self.models.items()
            for prop, value in vars(model).items()
            if isinstance(value, property)
        }
        classes = [n for tree in self.trees for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
        for node in classes:
            self.attributes.setdefault(node.name, {})
        for node in [*classes, *classes]:  # one class may hold what another was made from
            self._learn_class(node)
        for tree in self.trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    self.returns[node.name] = self.kind_of(node.returns)

    def _learn_class(self, node: ast.ClassDef) -> None:
        known = self.attributes[node.name]
        for part in ast.walk(node):
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                known[part.target.id] = self.kind_of(part.annotation)
            if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                arguments = {a.arg: self.kind_of(a.annotation) for a in _arguments(part)}
                walk = Walk(self)
                for inner in ast.walk(part):
                    if isinstance(inner, ast.Assign) and isinstance(
                        inner.targets[0], ast.Attribute
                    ):
                        known[inner.targets[0].attr] = walk.look(inner.value, arguments)

    def kind_of(self, annotation: ast.expr | None) -> Kind:
        """What an annotation says."""
        if annotation is None:
            return NOTHING
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            return self.kind_of(ast.parse(annotation.value, mode="eval").body)
        names = {n.id for n in ast.walk(annotation) if isinstance(n, ast.Name)}
        known = frozenset(n for n in names if n in self.models or n in self.attributes)
        for name in names & self.aliases.keys():
            known |= self.aliases[name].classes
        is_many = names & {"tuple", "list", "Iterator", "Iterable", "Sequence", "Generator"}
        return Kind(items=known) if is_many else Kind(known)


class Walk:
    """A walk through statements with what is known of each expression, by its text."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def block(self, body: list[ast.stmt], known: dict[str, Kind]) -> None:
        for statement in body:
            self.statement(statement, known)

    def statement(self, node: ast.stmt, known: dict[str, Kind]) -> None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                given = [a for a in _arguments(node) if a.annotation]
                inner = {a.arg: self.code.kind_of(a.annotation) for a in given}
                self.block(node.body, {**known, **inner})
            case ast.ClassDef():
                self.block(node.body, {**known, "self": Kind(frozenset({node.name}))})
            case ast.Assign() | ast.AnnAssign():
                self.assignment(node, known)
            case ast.For(target=target, iter=source, body=body, orelse=rest):
                self.bind(target, Kind(self.look(source, known).items), known)
                self.block([*body, *rest], known)
            case ast.Match(subject=subject, cases=cases):
                self.look(subject, known)
                for case in cases:
                    self.arm(ast.unparse(subject), case, dict(known))
            case _:
                self.rest(node, known)

    def assignment(self, node: ast.Assign | ast.AnnAssign, known: dict[str, Kind]) -> None:
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                for target, value in zip(targets, values, strict=True):
                    self.bind(target, self.look(value, known), known)
            case ast.Assign(targets=[ast.Tuple() as target], value=value):
                self.bind(target, Kind(self.look(value, known).items), known)
            case ast.Assign(targets=[target, *_], value=value):
                self.bind(target, self.look(value, known), known)
            case ast.AnnAssign(target=target, annotation=annotation):
                kind = self.code.kind_of(annotation)
                kind |= self.look(node.value, known) if node.value else NOTHING
                self.bind(target, kind, known)

    def rest(self, node: ast.AST, known: dict[str, Kind]) -> None:
        """Whatever holds expressions and statements in any order."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self.statement(child, known)
            elif isinstance(child, ast.expr):
                self.look(child, known)
            else:
                self.rest(child, known)

    def arm(self, subject: str, case: ast.match_case, known: dict[str, Kind]) -> None:
        names: frozenset[str] = frozenset()
        for pattern in ast.walk(case.pattern):
            if isinstance(pattern, ast.MatchClass) and isinstance(pattern.cls, ast.Name):
                names |= {pattern.cls.id}
                self.code.reads |= {(pattern.cls.id, name) for name in pattern.kwd_attrs}
        if names:
            known[subject] = Kind(names)
        if case.guard is not None:
            self.look(case.guard, known)
        self.block(case.body, known)

    def bind(self, target: ast.expr, kind: Kind, known: dict[str, Kind]) -> None:
        if isinstance(target, ast.Tuple):
            for each in target.elts:  # `for number, gate in enumerate(...)`, `zip`
                self.bind(each, kind, known)
        elif kind != NOTHING:
            known[ast.unparse(target)] = kind

    def look(self, node: ast.expr, known: dict[str, Kind]) -> Kind:
        """What `node` is; notes every field read on the way."""
        look = {
            ast.Attribute: self.dotted,
            ast.Name: lambda name, known: known.get(name.id, NOTHING),
            ast.Subscript: self.subscript,
            ast.Call: self.call,
            ast.ListComp: self.comprehension,
            ast.SetComp: self.comprehension,
            ast.GeneratorExp: self.comprehension,
            ast.DictComp: self.comprehension,
            ast.IfExp: self.either,
            ast.BoolOp: self.either,
            ast.Tuple: self.display,
            ast.List: self.display,
        }.get(type(node))
        if look is not None:
            return look(node, known)
        self.rest(node, known)
        return NOTHING

    def dotted(self, node: ast.Attribute, known: dict[str, Kind]) -> Kind:
        before = self.look(node.value, known)
        found = union_of([self.attribute(name, node.attr) for name in sorted(before.classes)])
        return known.get(ast.unparse(node), found)

    def subscript(self, node: ast.Subscript, known: dict[str, Kind]) -> Kind:
        self.look(node.slice, known)
        inner = self.look(node.value, known)
        return inner if isinstance(node.slice, ast.Slice) else Kind(inner.items)

    def either(self, node: ast.IfExp | ast.BoolOp, known: dict[str, Kind]) -> Kind:
        if isinstance(node, ast.BoolOp):
            return union_of([self.look(value, known) for value in node.values])
        self.look(node.test, known)
        return self.look(node.body, known) | self.look(node.orelse, known)

    def display(self, node: ast.Tuple | ast.List, known: dict[str, Kind]) -> Kind:
        """`[a, *b]`: yields what `a` is and what `b` yields."""
        found = NOTHING
        for each in node.elts:
            starred = isinstance(each, ast.Starred)
            kind = self.look(each.value if starred else each, known)
            found |= Kind(items=kind.items if starred else kind.classes)
        return found

    def call(self, node: ast.Call, known: dict[str, Kind]) -> Kind:
        before = self.look(node.func, known)
        given = [self.look(each, known) for each in node.args]
        for keyword in node.keywords:
            self.look(keyword.value, known)
        match node.func:
            case ast.Name(id="enumerate" | "sorted" | "list" | "tuple" | "zip" | "reversed"):
                return union_of(given)
            case ast.Name(id=name) if name in self.code.models or name in self.code.attributes:
                return Kind(frozenset({name}))
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return self.code.returns.get(name, NOTHING) | before
        return NOTHING

    def comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp,
        known: dict[str, Kind],
    ) -> Kind:  # fmt: skip
        inner = dict(known)
        for loop in node.generators:
            self.bind(loop.target, Kind(self.look(loop.iter, inner).items), inner)
            for test in loop.ifs:
                self.look(test, inner)
        if isinstance(node, ast.DictComp):
            self.look(node.key, inner)
            self.look(node.value, inner)
            return NOTHING
        return Kind(items=self.look(node.elt, inner).classes)

    def attribute(self, owner: str, attr: str) -> Kind:
        """What `attr` of a class is; a field counts as read, a property as what its body reads."""
        model = self.code.models.get(owner)
        if model is None:
            return self.code.attributes.get(owner, {}).get(attr, NOTHING)
        if attr in model.model_fields:
            self.code.reads.add((owner, attr))
            return kind_of_field(model.model_fields[attr].annotation)
        body = self.code.properties.pop((owner, attr), [])
        self.block(body, {"self": Kind(frozenset({owner}))})
        return NOTHING


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.arg]:
    yield from (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)


def _source_of(model: type[StrictModel], name: str) -> list[ast.stmt]:
    """The body of a property."""
    tree = ast.parse(Path(inspect.getfile(model)).read_text(encoding="utf-8"))
    owner = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == model.__name__)
    return next(n.body for n in owner.body if isinstance(n, ast.FunctionDef) and n.name == name)

"""What an expression of the code may be, as far as the spec's models go."""

import types
import typing
from dataclasses import dataclass

from loray.spec.base import StrictModel
from loray.spec.run import RunSpec
from loray.spec.sources import Source
from loray.spec.steps import Step
from loray.spec.train import Method

UNIONS = {"Source": Source, "Step": Step, "Method": Method}
"""Names that annotations use for several models."""

Read = tuple[str, str]
"""A model's name and a field's."""


@dataclass(frozen=True)
class Kind:
    """What an expression may be: classes by name, or something that yields them."""

    classes: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()

    def __or__(self, other: "Kind") -> "Kind":
        return Kind(self.classes | other.classes, self.items | other.items)


NOTHING = Kind()


def models() -> dict[str, type[StrictModel]]:
    """Every model that a RunSpec holds, by name."""
    found: dict[str, type[StrictModel]] = {}
    pending: list[type[StrictModel]] = [RunSpec]
    for model in pending:
        if model.__name__ not in found:
            found[model.__name__] = model
            for each in model.model_fields.values():
                pending += models_in(each.annotation)
    return found


def models_in(annotation: object) -> list[type[StrictModel]]:
    if isinstance(annotation, type) and issubclass(annotation, StrictModel):
        return [annotation]
    return [model for each in typing.get_args(annotation) for model in models_in(each)]


def kind_of_field(annotation: object) -> Kind:
    if typing.get_origin(annotation) in {typing.Annotated}:
        return kind_of_field(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        kinds = [kind_of_field(each) for each in typing.get_args(annotation)]
        return union_of(kinds)
    names = frozenset(model.__name__ for model in models_in(annotation))
    return Kind(items=names) if typing.get_origin(annotation) is tuple else Kind(names)


def union_of(kinds: list[Kind]) -> Kind:
    found = NOTHING
    for kind in kinds:
        found |= kind
    return found

"""What share of generated values is found: 10 of each shape, in 10 contexts.

`python -m tests.data.steps.test_recall` takes 50 and prints the table of docs/concepts/data.md.
"""

import re
from collections import defaultdict

import pytest

from loray.data.steps import credentials, pii
from loray.data.steps.placeholders import scrub
from tests.data.steps import generated_credentials, generated_pii

PII = pii.entities_named(pii.KINDS)
CREDENTIALS = credentials.credentials_named(credentials.KINDS)
MARKED = re.compile("~~(.+?)~~", re.S)
HOLE = re.compile(r"<([A-Z_]+)_[0-9a-f]{4}>")
LEAST = 0.98
NUM_VALUES, NUM_IN_TABLE = 10, 50


def pii_found(kind: str, shape: str, number: int = NUM_VALUES) -> float:
    """The share of texts whose value is replaced by its kind, and no other part of the text."""
    hits = total = 0
    for value in generated_pii.values(kind, shape, number):
        for context in generated_pii.CONTEXTS:
            out = scrub(context.format(value), PII, b"")
            before, after = context.format("\0").split("\0")
            inside = out.removeprefix(before).removesuffix(after)
            is_whole = not re.search("[0-9]", HOLE.sub("", inside))
            hits += HOLE.findall(inside) == [kind.upper()] and is_whole
            total += 1
    return hits / total


def secrets_found(kind: str, shape: str, number: int = NUM_VALUES) -> float:
    """The share of texts that have lost their marked secret."""
    hits = total = 0
    for text in generated_credentials.values(kind, shape, number):
        secrets, plain = MARKED.findall(text), MARKED.sub(r"\1", text)
        for context in generated_credentials.CONTEXTS:
            out = scrub(context.replace("{}", plain), CREDENTIALS, b"")
            hits += not any(secret in out for secret in secrets)
            total += 1
    return hits / total


@pytest.mark.parametrize("kind", generated_pii.SHAPES)
def test_generated_personal_data_is_found(kind):
    shares = {shape: pii_found(kind, shape) for shape in generated_pii.SHAPES[kind]}
    assert {shape: share for shape, share in shares.items() if share < LEAST} == {}


@pytest.mark.parametrize("kind", generated_credentials.SHAPES)
def test_generated_credentials_are_found(kind):
    shares = {shape: secrets_found(kind, shape) for shape in generated_credentials.SHAPES[kind]}
    weakest = {"k8s secret": 0.9}  # two lines between one pair of backticks are no YAML
    missed = {shape: share for shape, share in shares.items() if share < weakest.get(shape, LEAST)}
    assert missed == {}


def test_every_kind_of_personal_data_has_generated_values():
    assert set(generated_pii.SHAPES) == set(pii.KINDS)


def main() -> None:
    """Print recall by kind."""
    by_kind: dict[str, list[float]] = defaultdict(list)
    for module, measure in ((generated_pii, pii_found), (generated_credentials, secrets_found)):
        for kind, shapes in module.SHAPES.items():
            for shape in shapes:
                share = measure(kind, shape, NUM_IN_TABLE)
                by_kind[kind].append(share)
                print(f"{kind:18} {shape:18} {share:.3f}")
    for kind, shares in by_kind.items():
        print(f"{kind:18} all of {len(shares):<11} {sum(shares) / len(shares):.3f}")


if __name__ == "__main__":
    main()

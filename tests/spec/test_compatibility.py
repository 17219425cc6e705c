"""What the table forbids is refused by the spec, with the reason and a neighbour that is legal."""

import re
from pathlib import Path

import pytest

from loray.errors import SpecError
from loray.spec.compatibility import (
    AXES,
    PATHS,
    RULES,
    Cell,
    broken_rules,
    cell_of,
    every_cell,
    method_of,
    strategy_of,
)
from loray.spec.load import parse_run_spec
from tests.spec.test_method import SPEC

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = [cell for cell in every_cell() if broken_rules(cell)]
LEGAL = [cell for cell in every_cell() if not broken_rules(cell)]
ZERO = [cell for cell in every_cell() if cell["strategy"].startswith("zero")]


def inline(block: dict[str, object]) -> str:
    pairs = (f"{key}: {list(v) if isinstance(v, tuple) else v}" for key, v in block.items())
    return ", ".join(pairs).replace("'", "").replace("True", "true")


def parsed(cell: Cell):
    return parse_run_spec(
        SPEC,
        overrides=[
            f"method={{{inline(method_of(cell))}}}",
            f"base_model.quantization={cell['quantization']}",
            f"base_model.dtype={cell['dtype']}",
            f"train.strategy={{{inline(strategy_of(cell))}}}",
            "resources.workers=2",
        ],
    )


@pytest.mark.parametrize("cell", LEGAL, ids="-".join)
def test_a_legal_cell_is_a_spec_and_back(cell):
    assert cell_of(parsed(cell)) == cell


@pytest.mark.parametrize("cell", [c for c in ZERO if c in FORBIDDEN], ids="-".join)
def test_a_forbidden_cell_is_refused_with_every_reason(cell):
    with pytest.raises(SpecError) as refused:
        parsed(cell)
    for rule in broken_rules(cell):
        assert rule.because in str(refused.value)
        assert rule.instead in str(refused.value)


def test_every_rule_forbids_something_that_no_other_does():
    for rule in RULES:
        assert any(broken_rules(cell) == [rule] for cell in FORBIDDEN), rule


def test_offload_is_no_word_of_a_strategy_that_has_none():
    with pytest.raises(SpecError, match="offload"):
        parse_run_spec(SPEC, overrides=["train.strategy={kind: fsdp, offload: [optimizer]}"])


def test_the_paths_of_the_axes_are_those_of_the_schema():
    spec = parse_run_spec(SPEC).model_dump()
    for path in PATHS.values():
        found = spec
        for name in path.split("."):
            found = found[name]


def test_the_docs_show_the_table_as_it_is():
    text = (ROOT / "docs" / "concepts" / "training.md").read_text(encoding="utf-8")
    name, said = r"`((?:plain|fsdp|pipeline|zero-)[^`]*)`", " ".join([r"(.+?) \|"] * 3)
    line = re.compile(rf"^\| {name} \| {said}$", re.MULTILINE)
    rows = {
        name: dict(zip(AXES["method"], said, strict=True)) for name, *said in line.findall(text)
    }
    for cell in LEGAL:
        name = cell["strategy"] + ("" if cell["offload"] == "none" else f", {cell['offload']}")
        said = rows[name][cell["method"]]
        (here,) = [part for part in said.split("; ") if part.startswith(cell["quantization"])]
        assert cell["dtype"] in here, cell
    assert len(rows) == len({(cell["strategy"], cell["offload"]) for cell in LEGAL})

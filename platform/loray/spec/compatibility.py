"""Which methods, quantizations and strategies go together; a table, and what it says of a spec.

Whatever no rule forbids is trained in the tests, 20 steps on two workers, and must agree with the
plain strategy (`tests/train/test_strategies.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from loray.spec.base import Finding

if TYPE_CHECKING:
    from loray.spec.run import RunSpec

AXES: Mapping[str, tuple[str, ...]] = {
    "method": ("lora", "dora", "full"),
    "quantization": ("none", "nf4"),
    "dtype": ("float32", "bfloat16"),
    "strategy": ("plain", "fsdp", "pipeline", "zero-0", "zero-1", "zero-2", "zero-3"),
    "offload": ("none", "optimizer", "parameters", "optimizer+parameters"),
}
PATHS: Mapping[str, str] = {
    "method": "method",
    "quantization": "base_model.quantization",
    "dtype": "base_model.dtype",
    "strategy": "train.strategy",
    "offload": "train.strategy.offload",
}
"""Where a spec says it."""

Cell = Mapping[str, str]
"""A value of each axis."""


@dataclass(frozen=True)
class Rule:
    """Values that do not go together."""

    values: Mapping[str, tuple[str, ...]]
    """By axis; a cell is forbidden that has one of them on each. The first is named to the user."""
    because: str
    instead: str
    """What to change."""

    def forbids(self, cell: Cell) -> bool:
        """Whether a cell falls under this rule."""
        return all(cell[axis] in values for axis, values in self.values.items())

    def finding(self, cell: Cell) -> Finding:
        """What to tell the author of a spec."""
        first, *others = self.values
        return Finding(
            PATHS[first],
            f"found {cell[first]}, but {self.because}; {self.instead}",
            reads=tuple(PATHS[axis] for axis in others),
        )


OFFLOADED = ("optimizer", "parameters", "optimizer+parameters")
RULES = (
    Rule(
        {"quantization": ("nf4",), "method": ("full",)},
        "method.kind is full and 4-bit weights cannot learn",
        "use quantization: none, or method.kind: lora",
    ),
    Rule(
        {"strategy": ("zero-0",), "dtype": ("bfloat16",)},
        "base_model.dtype is bfloat16, and DeepSpeed's float32 copies can be saved from stage 1 on "
        "only",
        "use zero_stage: 1, or strategy: {kind: plain}, which shards as little",
    ),
    Rule(
        {"strategy": ("fsdp", "zero-3"), "method": ("dora",)},
        "method.dora takes norms of whole weights, of which a worker would hold its share only",
        "use zero_stage: 2, or dora: false",
    ),
    Rule(
        {"offload": OFFLOADED, "strategy": ("zero-0",)},
        "at stage 0 DeepSpeed shares nothing out and offloads nothing",
        "use zero_stage: 1 with offload: [optimizer], or drop offload",
    ),
    Rule(
        {"offload": OFFLOADED[1:], "strategy": ("zero-1", "zero-2")},
        "before stage 3 every worker computes with all weights, which stay where they are",
        "use zero_stage: 3, or offload: [optimizer]",
    ),
    Rule(
        {"offload": OFFLOADED, "strategy": ("plain", "fsdp", "pipeline")},
        "this strategy offloads nothing",
        "use strategy: {kind: deepspeed, zero_stage: 3}, or drop offload",
    ),
)


def every_cell() -> Iterator[Cell]:
    """All combinations, legal or not."""
    for values in product(*AXES.values()):
        yield dict(zip(AXES, values, strict=True))


def broken_rules(cell: Cell) -> list[Rule]:
    """Why a cell is forbidden; empty for a legal one."""
    return [rule for rule in RULES if rule.forbids(cell)]


def cell_of(spec: "RunSpec") -> Cell:
    """Where a spec stands."""
    strategy = spec.train.strategy
    name, offload = str(strategy.kind), "none"
    if strategy.kind == "deepspeed":
        name = f"zero-{strategy.zero_stage}"
        offload = "+".join(sorted(set(strategy.offload))) or offload
    return {
        "method": "dora" if spec.method.kind == "lora" and spec.method.dora else spec.method.kind,
        "quantization": spec.base_model.quantization,
        "dtype": spec.base_model.dtype,
        "strategy": name,
        "offload": offload,
    }


def method_of(cell: Cell) -> dict[str, object]:
    """The `method` block of a cell."""
    is_dora = cell["method"] == "dora"
    return {"kind": "lora", "dora": True} if is_dora else {"kind": cell["method"]}


def strategy_of(cell: Cell) -> dict[str, object]:
    """The `train.strategy` block of a cell."""
    kind, _, stage = cell["strategy"].partition("-")
    if kind != "zero":
        return {"kind": kind}
    offload = () if cell["offload"] == "none" else tuple(cell["offload"].split("+"))
    return {"kind": "deepspeed", "zero_stage": int(stage), "offload": offload}

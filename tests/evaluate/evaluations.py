"""Specs, rows and results of evaluations that were never run, and datasets for those that are."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loray.evaluate.assemble import Evaluation
from loray.evaluate.rows import BASE, Candidate, Row, RowResult
from loray.spec.data import DataSpec, ReplaySpec, SequenceSpec
from loray.spec.evaluate import EvalSpec, GateSpec
from loray.spec.fields import FieldsSpec
from loray.spec.run import ResourceSpec, RunSpec
from loray.spec.sources import JsonlSource
from loray.spec.train import BaseModelSpec, BatchSpec, FullMethod, LoraMethod, TrainSpec

SOURCE = JsonlSource(
    kind="jsonl", uri="rows.jsonl", fields=FieldsSpec(prompt="question", completion="answer")
)
TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
EVAL_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", TURNS),
        ("reasoning", pa.string()),
        ("reference", pa.string()),
    ]
)


def run_spec(
    *,
    base: Path | str = "models/tiny",
    evaluate: EvalSpec | None = None,
    gates: tuple[GateSpec, ...] = (),
    method: LoraMethod | FullMethod | None = None,
    resources: ResourceSpec | None = None,
    replay: bool = False,
) -> RunSpec:
    return RunSpec(
        name="parrot",
        base_model=BaseModelSpec(path=str(base), quantization="none", dtype="float32"),
        data=DataSpec(
            sources=(SOURCE,),
            replay=ReplaySpec(source=SOURCE) if replay else None,
            sequence=SequenceSpec(max_tokens=128),
        ),
        method=method or LoraMethod(rank=4, alpha=8),
        train=TrainSpec(steps=20, batch=BatchSpec(global_size=1)),
        evaluate=evaluate or EvalSpec(),
        gates=gates,
        resources=resources or ResourceSpec(),
    )


def make_rows(count: int, *, prefix: str = "") -> tuple[Row, ...]:
    return tuple(
        Row(
            id=f"{prefix}{index:04d}",
            prompt=(("user", f"Say the word number {index}."),),
            reference=f"word number {index} of them",
        )
        for index in range(count)
    )


def checkpoint(step: int, folder: Path = Path("nowhere")) -> Candidate:
    return Candidate(f"step-{step:06d}", step, folder)


def results_of(
    rows: tuple[Row, ...], *, nats: float, answers: str | None = None
) -> tuple[RowResult, ...]:
    """Five target tokens a row; `answers` is `right`, `wrong` or None for no answer."""
    texts = {
        "right": lambda row: row.reference,
        "wrong": lambda row: "no idea",
        None: lambda _: None,
    }
    return tuple(
        RowResult(
            id=row.id,
            nll_sum=5 * nats,
            num_targets=5,
            answer=texts[answers](row),
            mean_entropy=None if answers is None else 0.5,
        )
        for row in rows
    )


def evaluation(spec: RunSpec, **changes: Any) -> Evaluation:
    """A base that knows nothing, three checkpoints of which the second is best."""
    suites = {
        "validation": make_rows(20, prefix="v"),
        "test": make_rows(30, prefix="t"),
        "general": make_rows(12, prefix="g"),
    }
    results = {
        (BASE, "validation"): results_of(suites["validation"], nats=5.0),
        (BASE, "test"): results_of(suites["test"], nats=5.0, answers="wrong"),
        (BASE, "general"): results_of(suites["general"], nats=3.0),
    }
    checkpoints = tuple(checkpoint(step) for step in (10, 20, 30))
    for candidate, nats in zip(checkpoints, (3.0, 1.0, 2.0), strict=True):
        results[candidate.name, "validation"] = results_of(suites["validation"], nats=nats)
    results["step-000020", "test"] = results_of(suites["test"], nats=1.0, answers="right")
    results["step-000020", "general"] = results_of(suites["general"], nats=3.1)
    values = {"spec": spec, "suites": suites, "checkpoints": checkpoints, "results": results}
    return Evaluation(**{**values, **changes})


def write_suite(dataset: Path, suite: str, rows: tuple[Row, ...]) -> None:
    """A suite as curation writes it."""
    records = [
        {
            "id": row.id,
            "prompt": [{"role": role, "content": content} for role, content in row.prompt],
            "reasoning": row.reasoning,
            "reference": row.reference,
        }
        for row in rows
    ]
    (dataset / "eval").mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(records, schema=EVAL_SCHEMA)
    pq.write_table(table, dataset / "eval" / f"{suite}.parquet")

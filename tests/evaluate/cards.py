"""A scorecard, with what the report draws beside it, for tests that need one."""

import math

from loray.evaluate.dataset_counts import DatasetCounts
from loray.evaluate.history import Pace, Vital
from loray.evaluate.scorecard import (
    CheckpointScore,
    Comparison,
    GateResult,
    Interval,
    Sample,
    Scorecard,
    SuiteScore,
    Turn,
)
from loray.spec.evaluate import MetricName

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def suite_score(**metrics: float | None) -> SuiteScore:
    return SuiteScore(
        rows=200,
        answered=200,
        target_tokens=4210,
        metrics=dict(metrics),
        answers_cut=3,
        mean_entropy=1.25,
    )


def comparison(
    suite: str, metric: MetricName, base: float, best: float, half: float = 0.01
) -> Comparison:
    difference = best - base
    interval = Interval(low=difference - half, high=difference + half) if half else None
    return Comparison(
        suite=suite, metric=metric, base=base, best=best, difference=difference, interval=interval
    )


def sample(index: int, chosen: str, text: str = "Return the name of the group.") -> Sample:
    return Sample(
        id=f"{index:016x}",
        chosen=chosen,
        prompt=(Turn(role="user", content=f"What does grp.getgrgid_{index}(id) do?\n{text}"),),
        reference=text,
        base_answer=f"the the a list of {index}",
        best_answer=text if chosen != "worst" else "Return the list of the file object.",
        base_scores={"perplexity": 511.2, "rougeL": 0.05, "exact_match": 0.0},
        best_scores={"perplexity": 4.2, "rougeL": 0.9, "exact_match": 1.0},
    )


def scorecard(**changes: object) -> Scorecard:
    base = suite_score(perplexity=539.2, rougeL=0.081, bleu=0.013, exact_match=0.0)
    best = suite_score(perplexity=128.4, rougeL=0.312, bleu=0.104, exact_match=0.085)
    general = suite_score(perplexity=61.3), suite_score(perplexity=62.1)
    gate = GateResult(
        metric="perplexity",
        suite="test",
        measure="ratio_to_base",
        at_least=None,
        at_most=0.6,
        base_value=539.2,
        best_value=128.4,
        value=128.4 / 539.2,
        passed=True,
        words="Perplexity on the test rows is 128, 0.238 of the base's 539; wanted at most 0.6 "
        "of the base's: passed.",
    )
    card = Scorecard(
        name="pydoc-assistant",
        trained="adapter",
        passed=True,
        verdict="Passed: 1 gate cleared. On 200 held-out rows the adapter of step 300 reaches "
        "perplexity 128 against the base's 539 (better) and ROUGE-L 0.312 against the base's "
        "0.081 (better). On general text its perplexity is 1.3% higher than the base's: that is "
        "what it forgot.",
        selected_by="perplexity",
        best_step=300,
        best_checkpoint="checkpoints/step-000300",
        best_digest="ab" * 32,
        checkpoints=tuple(
            CheckpointScore(step=step, validation=suite_score(perplexity=value))
            for step, value in ((100, 190.0), (200, 141.0), (300, 130.2), (400, 133.9))
        ),
        base={
            "validation": suite_score(perplexity=545.0),
            "test": base,
            "general": general[0],
        },
        best={
            "validation": suite_score(perplexity=130.2),
            "test": best,
            "general": general[1],
        },
        comparisons=(
            comparison("test", "perplexity", 539.2, 128.4, 30.0),
            comparison("test", "rougeL", 0.081, 0.312),
            comparison("test", "bleu", 0.013, 0.104, 0.0),
            comparison("test", "exact_match", 0.0, 0.085, 0.1),
            comparison("general", "perplexity", 61.3, 62.1, 0.5),
        ),
        gates=(gate,),
        samples=tuple(
            sample(index, chosen)
            for index, chosen in enumerate(["best"] * 4 + ["worst"] * 4 + ["random"] * 4)
        ),
        notes=(),
        settings={"perplexity": "exp(sum of nats / sum of target tokens)"},
    )
    return card.model_copy(update=changes)


def losses() -> list[tuple[int, float]]:
    return [
        (step, 2.6 + 3.4 * math.exp(-step / 90) + 0.3 * math.sin(step * 12.9898))
        for step in range(1, 401)
    ]


def vitals(layers: int = 6) -> list[Vital]:
    return [
        Vital(
            step,
            layer,
            name,
            0.0004 * step * (1 + layer) / (2 + place) / layers,
            update_ratio=0.001 * (1 + layer) / (1 + step / 100) / layers,
            effective_rank=1 + 6 * step / 400 + layer / layers,
            grad_sparsity=0.02 * place if step > 20 else 0.5,
        )
        for step in range(20, 401, 20)
        for layer in range(layers)
        for place, name in enumerate(PROJECTIONS)
    ]


def paces() -> list[Pace]:
    return [
        Pace(
            step,
            seconds=0.5 + 0.01 * (step % 7) + 0.05 * (step % 20 == 0),
            data_seconds=0.002 * (step % 5),
            vitals_seconds=0.05 * (step % 20 == 0),
            tokens_per_second=2000.0 / (0.5 + 0.01 * (step % 7)),
            peak_memory_bytes=2**30 + 2**20 * min(step, 100),
            flops_utilization=0.35 + 0.001 * (step % 7),
        )
        for step in range(1, 401)
    ]


def counts() -> DatasetCounts:
    return DatasetCounts(
        kept=6011,
        quarantined=411,
        by_split=[("task train", 5201), ("replay train", 410), ("task test", 200)],
        by_reason=[("exact_duplicate", 377), ("malformed_json", 34)],
    )

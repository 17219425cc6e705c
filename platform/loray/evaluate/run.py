"""The stage: score the base and every checkpoint, choose one, judge it, write it down."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loray.evaluate.dataset_counts import count_rows
from loray.evaluate.history import read_diagnoses, read_losses, read_paces, read_vitals
from loray.evaluate.pool import Progress, ScorerPool
from loray.evaluate.rows import SUITES, Candidate, Row, Suite, list_checkpoints, read_suite
from loray.evaluate.scorecard import Scorecard, write_scorecard
from loray.evaluate.work import gather, to_choose, to_judge
from loray.machines.passing import Passing
from loray.models.adapter_files import adapter_digest
from loray.models.chat import load_tokenizer
from loray.models.identity import base_digest
from loray.models.thinking import think_marks
from loray.spec.run import RunSpec

if TYPE_CHECKING:
    from loray.evaluate.assemble import Evaluation

PROGRESS_SECONDS = 2.0
log = logging.getLogger(__name__)


def evaluate_to(
    out: Path,
    spec: RunSpec,
    dataset: Path,
    training: Path,
    *,
    report: Callable[[str], None] = log.info,
) -> dict[str, Any]:
    """Evaluate a training's checkpoints; leave `scorecard.json` and `report.html` under `out`.

    Args:
        dataset: the dataset's folder; its `eval` holds the rows that are scored.
        training: the training's folder; its `checkpoints` are what is scored.
        report: told how far it is, a line now and then.

    Returns:
        what the manifest keeps: the verdict, the main numbers, and what it cost.

    Raises:
        EvaluationError: a checkpoint cannot be scored, or none has finite scores.
    """
    began = time.monotonic()
    checkpoints = list_checkpoints(training)
    suites = _read_suites(dataset, spec)
    counted = ", ".join(f"{len(rows)} {suite}" for suite, rows in suites.items())
    report(f"scoring the base and {len(checkpoints)} checkpoint(s) on {counted} rows")

    with ScorerPool(spec, on_progress=_paced(report), report=report) as pool:
        first = to_choose(checkpoints, suites, spec)
        pool.start(min(spec.resources.eval_actors, len(first)))
        # The metrics bring 6 s of imports (`evaluate` loads transformers): the actors load their
        # models meanwhile.
        from loray.evaluate.assemble import (  # noqa: PLC0415
            Evaluation,
            build_scorecard,
            choose_checkpoint,
        )

        done = pool.score(first)
        found = Evaluation(spec, suites, checkpoints, gather(done))
        best = choose_checkpoint(found)
        report(f"step {best.step} does best on the validation rows; judging it")
        done |= pool.score(to_judge(best, suites, spec))
        deaths = pool.deaths

    found = Evaluation(spec, suites, checkpoints, gather(done))
    card = build_scorecard(found, best, digest=digest_of(best, spec))
    write_evaluation(out, card, dataset=dataset, training=training)
    seconds = time.monotonic() - began
    report(card.verdict)
    return {**statistics(card), **cost(found), "deaths": deaths, "seconds": round(seconds, 2)}


def _read_suites(dataset: Path, spec: RunSpec) -> dict[Suite, tuple[Row, ...]]:
    base = spec.base_model
    marks = think_marks(load_tokenizer(base.path, base.revision))
    return {
        suite: read_suite(
            dataset,
            suite,
            max_rows=spec.evaluate.max_rows,
            marks=marks,
            include_reasoning=spec.evaluate.include_reasoning,
        )
        for suite in SUITES
    }


def write_evaluation(out: Path, card: Scorecard, *, dataset: Path, training: Path) -> None:
    """Write the scorecard and the report."""
    from loray.evaluate.report import render_report, write_report  # noqa: PLC0415 (jinja2; only here)

    write_scorecard(out, card)
    page = render_report(
        card,
        losses=read_losses(training),
        vitals=read_vitals(training),
        counts=count_rows(dataset),
        diagnoses=read_diagnoses(training),
        paces=read_paces(training),
    )
    write_report(out, page)


def digest_of(candidate: Candidate, spec: RunSpec) -> str:
    """SHA-256 that names a checkpoint's weights, as the registry names them."""
    if candidate.folder is None:
        return base_digest(spec.base_model.path, spec.base_model.revision)
    if spec.method.kind == "full":
        return base_digest(str(candidate.folder))
    return adapter_digest(candidate.folder)


def statistics(card: Scorecard) -> dict[str, Any]:
    """What a reader of the manifest wants without opening the scorecard."""
    return {
        "passed": card.passed,
        "best_step": card.best_step,
        "best_checkpoint": card.best_checkpoint,
        "verdict": card.verdict,
        "base": {suite: dict(score.metrics) for suite, score in card.base.items()},
        "best": {suite: dict(score.metrics) for suite, score in card.best.items()},
        "gates": [gate.words for gate in card.gates],
    }


def cost(found: "Evaluation") -> dict[str, int]:
    """How much was scored, over all candidates and suites."""
    results = [result for part in found.results.values() for result in part]
    return {
        "candidates": len(found.checkpoints) + 1,
        "rows_scored": len(results),
        "tokens_scored": sum(result.num_targets for result in results),
        "answers": sum(result.answer is not None for result in results),
    }


def _paced(report: Callable[[str], None]) -> Callable[[Progress], None]:
    """Report progress at most every few seconds, and the end of each round always."""
    last = 0.0

    def tell(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS or progress.done == progress.total:
            last = now
            line = f"scored {progress.done}/{progress.total}: {progress.item.words}"
            report(line if progress.done == progress.total else Passing(line))

    return tell

"""Scores of fixed rows and answers, held beside the version of the stage."""

from pathlib import Path

import pytest

from loray.evaluate import STAGE_VERSION
from loray.evaluate.metrics import ROW_METRICS
from loray.evaluate.rows import BASE, Candidate
from loray.evaluate.scorer import Scorer
from loray.evaluate.work import WorkItem
from loray.spec.evaluate import EvalSpec
from tests.evaluate.evaluations import make_rows, run_spec
from tests.golden import check_golden

pytestmark = pytest.mark.slow
ANSWERS = (
    ("Open the file.", "Open the file."),
    ("open  the file", "Open the file."),
    ("Return a list of the open files", "Return the files that are open"),
    ("\u56db\u5341\u4e8c", "\u56db\u5341"),
    ("", "something"),
)


def test_results_change_with_the_version_and_never_without(tiny_model_dir: Path) -> None:
    rows = make_rows(6)
    spec = run_spec(base=tiny_model_dir, evaluate=EvalSpec(max_new_tokens=4, batch_size=4))
    scorer = Scorer(spec)
    scorer.hold(BASE, None)
    scored = scorer.score(WorkItem(Candidate(BASE, 0, None), "test", 0, rows, generate=True))
    found: dict[str, float] = {}
    for row in scored:
        found |= {f"nll of {row.id}": row.nll_sum, f"targets of {row.id}": row.num_targets}
    for number, (answer, reference) in enumerate(ANSWERS):
        found |= {f"{name} of {number}": f(answer, reference) for name, f in ROW_METRICS.items()}
    check_golden("evaluate", STAGE_VERSION, found, rel=1e-4)

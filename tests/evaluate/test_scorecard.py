import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from loray.errors import ArtifactError
from loray.evaluate.scorecard import (
    SCORECARD_NAME,
    Comparison,
    Interval,
    Scorecard,
    SuiteScore,
    read_scorecard,
    write_scorecard,
)
from tests.evaluate import cards


def test_a_scorecard_reads_back_as_it_was_written(tmp_path: Path) -> None:
    card = cards.scorecard()
    write_scorecard(tmp_path, card)
    assert read_scorecard(tmp_path) == card
    document = json.loads((tmp_path / SCORECARD_NAME).read_text())
    assert document["version"] == 1
    assert document["best"]["test"]["metrics"]["perplexity"] == 128.4


def test_a_scorecard_holds_no_number_that_is_not_finite() -> None:
    with pytest.raises(ValidationError):
        cards.suite_score(perplexity=float("nan"))
    assert cards.suite_score(perplexity=None).metrics == {"perplexity": None}


def test_a_scorecard_cannot_be_edited() -> None:
    with pytest.raises(ValidationError):
        cards.scorecard().passed = False  # type: ignore[misc]


def test_a_missing_scorecard_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"scorecard\.json is missing.*loray apply"):
        read_scorecard(tmp_path)


@pytest.mark.parametrize("change", [{"version": 2}, {"surprise": 1}, {"passed": "yes"}])
def test_a_scorecard_of_another_shape_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    document = json.loads(cards.scorecard().model_dump_json()) | change
    (tmp_path / SCORECARD_NAME).write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=next(iter(change))):
        read_scorecard(tmp_path)


def test_scorecards_name_every_field_that_they_have() -> None:
    described = {"version", "name", "passed", "verdict", "best_step", "base", "best", "gates"}
    assert described <= set(Scorecard.model_fields)
    assert "target_tokens" in SuiteScore.model_fields


@pytest.mark.parametrize(
    ("metric", "base", "best", "interval", "quality"),
    [
        ("perplexity", 5.0, 4.0, (-1.2, -0.8), "better"),
        ("perplexity", 4.0, 5.0, None, "worse"),
        ("rougeL", 0.2, 0.3, (0.05, 0.15), "better"),
        ("rougeL", 0.2, 0.3, (-0.05, 0.25), "chance"),
        ("rougeL", 0.3, 0.3, (0.0, 0.0), "equal"),
        ("rougeL", None, 0.3, None, "unknown"),
    ],
)
def test_a_difference_is_judged_by_its_metric_and_its_interval(
    metric: str,
    base: float | None,
    best: float,
    interval: tuple[float, float] | None,
    quality: str,
) -> None:
    found = Comparison(
        suite="test",
        metric=metric,
        base=base,
        best=best,
        difference=None if base is None else best - base,
        interval=None if interval is None else Interval(low=interval[0], high=interval[1]),
    )
    assert found.quality == quality

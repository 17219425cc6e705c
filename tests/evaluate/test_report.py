import re
from pathlib import Path

import pytest

from loray.artifacts.diagnosis import Diagnosis, SuspectRow
from loray.evaluate.dataset_counts import DatasetCounts
from loray.evaluate.history import Pace, Vital
from loray.evaluate.report import render_report, write_report
from loray.evaluate.scorecard import Scorecard
from loray.evaluate.training_plots import pace_in_words
from tests.evaluate import cards
from tests.pages.parsed import ALLOWED_TAGS, HOSTILE, Page


def render(card: Scorecard) -> str:
    return render_report(
        card,
        losses=cards.losses(),
        vitals=cards.vitals(),
        counts=cards.counts(),
        paces=cards.paces(),
    )


def hostile_card() -> Scorecard:
    sample = cards.sample(1, "worst", HOSTILE)
    return cards.scorecard(
        samples=(sample,),
        notes=(HOSTILE,),
        verdict=HOSTILE,
        name=HOSTILE,
        settings={HOSTILE: HOSTILE},
    )


def test_a_report_says_what_a_newcomer_asks_first() -> None:
    text = render(cards.scorecard())
    said = " ".join(Page(text).texts)
    for wanted in ("passed", "perplexity 128 against the base's 539", "Gates", "Samples"):
        assert wanted in said
    assert "6,422 rows came in: 6,011 kept, 411 put aside" in " ".join(said.split())
    assert "exact_duplicate" in said


def test_a_refused_adapter_is_seen_to_be_refused() -> None:
    said = render(cards.scorecard(passed=False))
    assert '<header class="refused">' in said
    assert "\u2717 refused" in said


def test_the_report_is_one_file_that_runs_and_fetches_nothing() -> None:
    text = render(cards.scorecard())
    page = Page(text)
    assert set(page.tags) <= ALLOWED_TAGS
    names = {name for name, _ in page.attributes}
    assert not names & {"src", "href", "srcset", "action", "xlink:href"}
    assert not any(name.startswith("on") for name in names)
    assert "url(" not in text
    assert "@import" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text


def test_hostile_rows_stay_text() -> None:
    sound, page = Page(render(cards.scorecard(notes=("a",)))), Page(render(hostile_card()))
    assert set(page.tags) <= set(sound.tags)
    assert {name for name, _ in page.attributes} <= {name for name, _ in sound.attributes}
    assert any("<script>alert(1)</script>" in text for text in page.texts), "shown as text"
    assert any("{{ 7*7 }}" in text for text in page.texts), "not run as a template"


def test_hostile_characters_are_written_out() -> None:
    text = render(hostile_card())
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e\u2066-\u2069]", text)
    assert "\\x1b[31mred" in text
    assert "\\u202edesrever" in text
    assert "\\x9b31m" in text


def test_a_lone_surrogate_does_not_stop_the_report(tmp_path: Path) -> None:
    card = cards.scorecard(notes=("broken \ud83d text",))
    write_report(tmp_path, render_report(card, losses=[], vitals=[], counts=None))
    assert "broken \\ud83d text" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_same_evaluation_gives_the_same_bytes() -> None:
    assert render(cards.scorecard()) == render(cards.scorecard())


def test_every_plot_is_drawn_when_there_is_something_to_draw() -> None:
    page = Page(render(cards.scorecard()))
    assert page.tags.count("svg") == 13
    assert page.tags.count("rect") == 5 * 2 + 6 * 7, "bars and cells of the heat map"
    said = " ".join(page.texts)
    assert "q_proj" in said


def test_what_the_steps_took_is_told_in_numbers_and_plotted() -> None:
    said = " ".join(" ".join(Page(render(cards.scorecard())).texts).split())
    assert "400 steps in 213 s; 3,774 tokens a second in the median step" in said
    assert "0.8% waiting for data, 0.5% measuring modules; at most 1.10 GiB on worker 0." in said
    for title in ("update ratio in %", "effective rank", "gradient sparsity in %"):
        assert f'aria-label="{title} over step"' in render(cards.scorecard())
    assert 'aria-label="FLOPs utilization in % over step"' in render(cards.scorecard())


def test_a_run_that_was_resized_says_how_many_workers_took_which_steps() -> None:
    def told(counts: list[float | None]) -> str:
        return pace_in_words(
            [Pace(at, 0.5, tokens_per_second=9.0, workers=n) for at, n in enumerate(counts, 1)]
        )

    assert told([2, 2, 1, 2]).endswith("; workers: 2 to step 2, 1 to step 3, 2 to step 4.")
    assert told([None, 1]).endswith("; workers: not known to step 1, 1 to step 2.")
    assert "workers" not in told([2, 2])


def test_a_training_that_recorded_less_has_fewer_plots() -> None:
    """As those of earlier versions, and all on a CPU, whose peak is not known."""
    vitals = [Vital(vital.step, 0, "q_proj", vital.ratio) for vital in cards.vitals(1)]
    paces = [Pace(step, 0.5) for step in range(1, 30)]
    text = render_report(
        cards.scorecard(), losses=cards.losses(), vitals=vitals, counts=None, paces=paces
    )
    assert 'aria-label="weight-norm ratio in % over step"' in text
    assert "update ratio" not in text
    assert "effective rank" not in text
    assert "What the steps took" not in text


@pytest.mark.parametrize(
    "losses", [[], [(1, 2.0)], [(1, 2.0), (2, 2.0)], [(s, 1.0 + 1 / s) for s in range(1, 5001)]]
)
def test_a_report_can_be_made_of_any_history(losses: list[tuple[int, float]]) -> None:
    text = render_report(cards.scorecard(), losses=losses, vitals=[], counts=None)
    Page(text)
    assert not re.search(r"\b(nan|inf)\b", text)
    assert len(text) < 300_000, "a long history is thinned"


def test_a_report_of_an_evaluation_of_nothing_says_so() -> None:
    card = cards.scorecard(
        checkpoints=(), base={}, best={}, comparisons=(), gates=(), samples=(), settings={}
    )
    counts = DatasetCounts(kept=0, quarantined=0, by_split=[], by_reason=[])
    text = render_report(card, losses=[], vitals=[], counts=counts)
    said = " ".join(Page(text).texts)
    assert "declares no gate" in said
    assert "Training left no history to plot" in said
    assert "nothing to show" in said


def test_unknown_values_are_dashes_not_zeros() -> None:
    unknown = cards.comparison("test", "bleu", 0.0, 0.0).model_copy(
        update={"base": None, "best": None, "difference": None, "interval": None}
    )
    said = " ".join(Page(render(cards.scorecard(comparisons=(unknown,)))).texts)
    assert "not measured" in said


def test_what_the_guard_saw_is_told_with_its_rows_and_hides_nothing() -> None:
    rows = (SuspectRow("00ff", HOSTILE, "sources.0/a.jsonl:7"), SuspectRow("01aa", "odd"))
    found = Diagnosis("dead_modules", 7, HOSTILE, "they learn nothing", rows)
    text = render_report(cards.scorecard(), losses=[], vitals=[], counts=None, diagnoses=[found])
    page = Page(text)
    assert set(page.tags) <= ALLOWED_TAGS
    said = " ".join(" ".join(page.texts).split())
    assert "What the guard saw" in said
    assert "dead modules , step 7: " in said
    assert "sources.0/a.jsonl:7: " in said
    assert "01aa: odd" in said
    assert "What the guard saw" not in render(cards.scorecard())

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.replay import draw_replay
from loray.data.sequences.packing import place_sequences
from loray.errors import DatasetError
from tests.data.ledgers import ledger_of


def mixed(task: list[list[int]], replay: list[list[int]], **more):
    suites = ["task"] * len(task) + ["replay"] * len(replay)
    return ledger_of([*task, *replay], suites=suites, **more)


def share(ledger) -> tuple[int, int]:
    used = ledger.sequences.is_used
    targets, is_replay = (
        ledger.sequences.num_targets,
        (ledger.suite == "replay")[ledger.sequences.row],
    )
    return int(targets[used & is_replay].sum()), int(targets[used].sum())


@given(
    st.lists(st.integers(2, 100), min_size=5, max_size=40),
    st.lists(st.lists(st.integers(2, 60), min_size=1, max_size=3), min_size=60, max_size=90),
    st.floats(0.01, 0.2),
    st.integers(0, 99),
)
def test_the_fraction_is_as_near_as_whole_sequences_come(task, replay, fraction, seed):
    ledger = mixed([[n] for n in task], replay)
    wanted = fraction / (1 - fraction) * sum(n - 1 for n in task)
    held = sum(n - 1 for row in replay for n in row)
    if held < wanted:
        return
    draw_replay(ledger, fraction=fraction, seed=seed)
    assert abs(share(ledger)[0] - wanted) <= 59 / 2


def test_rows_that_are_not_needed_are_put_aside_with_a_reason():
    ledger = mixed([[101]] * 10, [[11]] * 50)
    draw_replay(ledger, fraction=0.1, seed=0)
    replay = ledger.rejected_by[10:]
    assert share(ledger) == (110, 1110)
    assert list(ledger.rejected_by[:10]) == [None] * 10
    assert sum(reason == "not_drawn" for reason in replay) == 39


def test_a_document_is_kept_if_one_of_its_pieces_is_drawn():
    ledger = mixed([[101]] * 10, [[11] * 50])
    draw_replay(ledger, fraction=0.1, seed=0)
    assert ledger.rejected_by[10] is None
    assert share(ledger)[0] == 110


def test_the_draw_depends_on_the_seed_alone():
    drawn = []
    for seed in (1, 1, 2):
        ledger = mixed([[101]] * 10, [[11]] * 50)
        draw_replay(ledger, fraction=0.1, seed=seed)
        drawn.append(ledger.sequences.is_used.tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_held_out_and_rejected_rows_are_not_drawn_and_not_touched():
    splits = ["train"] * 10 + ["test", "validation"] + ["train"] * 30
    ledger = mixed([[101]] * 10, [[]] * 2 + [[11]] * 30, splits=splits)
    ledger.rejected_by[12] = "exact_duplicate"
    draw_replay(ledger, fraction=0.1, seed=0)
    assert list(ledger.rejected_by[10:13]) == [None, None, "exact_duplicate"]
    place_sequences(ledger, max_tokens=128, is_packing=True, seed=0)
    placed = set(ledger.sequences.row[ledger.sequences.place >= 0])
    assert placed & {10, 11, 12} == set()
    assert placed > set(range(10))


def test_too_little_replay_is_refused_with_the_most_there_is():
    ledger = mixed([[101]] * 10, [[11]] * 5)
    with pytest.raises(DatasetError, match=r"holds 50 target .* takes 111; .* to 0\.0476 or less"):
        draw_replay(ledger, fraction=0.1, seed=0)


def test_the_most_that_the_refusal_names_is_enough():
    ledger = mixed([[101]] * 10, [[11]] * 5)
    draw_replay(ledger, fraction=0.0476, seed=0)
    assert share(ledger)[0] == 50

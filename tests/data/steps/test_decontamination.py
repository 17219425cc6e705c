import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps import decontamination
from loray.data.steps.decontamination import (
    MAX_ITEMS,
    Match,
    build_index,
    eval_texts,
    mark_contaminated,
)
from tests.data.corpora import batch_of

WORDS = [f"word{n}" for n in range(400)]


def run(start: int, count: int) -> str:
    return " ".join(WORDS[start : start + count])


def found(items, texts, n=13):
    return build_index(items, n).find(texts)


def test_a_planted_passage_is_found_whatever_its_layout():
    passage = run(10, 13).upper().replace(" ", ",  ").replace("WORD15", "**WORD15**\n")
    text = f"so {passage}. and more"
    assert found([("suite/3", run(0, 40))], ["clean", text]) == {1: Match("suite/3", run(10, 13))}


def test_one_word_less_is_no_proof():
    items = [("a", run(0, 40))]
    assert not found(items, [f"so {run(10, 12)} and more"])
    assert found(items, [f"so {run(10, 12)} and more"], n=8)


def test_a_run_does_not_cross_from_one_turn_to_the_next():
    assert not found([("a", run(0, 40))], [run(0, 12), run(12, 12)])


@given(st.randoms(use_true_random=False), st.sampled_from([8, 13]))
def test_what_is_found_is_what_a_plain_search_finds(draw, n):
    def text(most):
        return " ".join(draw.choices("ab", k=draw.randrange(most)))

    items = [(str(at), text(40)) for at in range(3)]
    texts = [text(40) for _ in range(5)]
    grams = {
        tuple(t.split()[at : at + n]) for _, t in items for at in range(len(t.split()) - n + 1)
    }
    whole = [t.split() for _, t in items if 3 <= len(t.split()) < n]
    inside = [words for words in whole if len(words) >= 6]

    def is_bad(words):
        spans = [words[a:b] for a in range(len(words)) for b in range(a + 1, len(words) + 1)]
        is_quoting = any(tuple(span) in grams for span in spans)
        return is_quoting or words in whole or any(span in inside for span in spans)

    expected = {at for at, t in enumerate(texts) if is_bad(t.split())}
    assert set(found(items, texts, n)) == expected


@pytest.mark.parametrize(
    ("item", "text", "is_found"),
    [
        ("yes", "yes", False),
        ("in Paris", "in Paris", False),
        ("What is it?", "what  IS it", True),
        ("What is it?", "tell me, what is it", False),
        ("What is the capital of France?", "Now: what is the capital of France? Think.", True),
        ("What is the capital of France?", "what is the capital of Spain", False),
        ("Is the capital of France old?", "is the capital of France older", False),
        ("\u4f60\u597d\u5417", "\u4f60\u597d\u5417\uff1f", True),
        ("", "", False),
        ("?!", "...", False),
    ],
)
def test_short_texts_are_compared_whole(item, text, is_found):
    assert bool(found([("a", item)], ["so", text, "so"])) == is_found


def test_short_texts_that_open_alike_are_told_apart():
    items = [("a", run(0, 7)), ("b", run(0, 9)), ("c", run(0, 6) + " else")]
    texts = [f"x {run(0, 6)} else", f"x {run(0, 9)} y", f"{run(0, 6)} y"]
    assert {at: match.item for at, match in found(items, texts).items()} == {0: "c", 1: "a"}


def test_texts_too_short_to_look_for_are_counted():
    assert build_index([("a", "yes"), ("b", ""), ("c", run(0, 20))]).num_unchecked == 2


def test_boilerplate_proves_nothing_but_what_follows_it_does():
    preamble = run(0, 30)
    items = [(str(at), f"{preamble} {run(50 + 20 * at, 14)}") for at in range(MAX_ITEMS + 1)]
    texts = [f"{preamble} and something else", run(70, 14)]
    assert {at: match.item for at, match in found(items, texts).items()} == {1: "1"}
    assert set(found(items[:MAX_ITEMS], texts)) == {0, 1}


def test_a_text_in_many_suites_is_no_boilerplate():
    items = [(f"suite{at}", run(0, 20)) for at in range(9)]
    assert found(items, [run(2, 15)]) == {0: Match("suite0", run(2, 13))}


def test_a_text_of_boilerplate_only_is_compared_whole():
    items = [(str(at), f"{run(0, 20)} {at}") for at in range(9)]
    items.append(("only", run(0, 20)))
    texts = [run(0, 20), f"{run(0, 20)} tail"]
    assert {at: match.item for at, match in found(items, texts).items()} == {0: "only"}


def test_clean_rows_stay_and_notes_say_what_was_found():
    index = build_index([("suite/1", run(0, 20)), ("suite/2", "what is the time in Rome")])
    batch = batch_of(
        ["ask", "reply"], None, [run(90, 20), run(3, 15)], ["What is the time in Rome?", run(0, 20)]
    )
    marked = mark_contaminated(batch, index=index)
    reasons = marked["rejected_by"].to_pylist()
    assert reasons == [None, "malformed_json", "contaminated", "contaminated", None]
    assert marked["note"].to_pylist() == [
        None, None, f"suite/1: {run(3, 13)}", "suite/2: what is the time in rome", None,
    ]  # fmt: skip


def test_questions_and_long_answers_are_looked_for_but_no_labels():
    batch = batch_of(["which one?", "yes"], None, [run(0, 3), run(5, 13)], [run(0, 20), run(0, 12)])
    assert list(eval_texts([batch])) == [
        ("sources.0/x:0", "which one?"),
        ("sources.0/x:2", run(0, 3)),
        ("sources.0/x:2", run(5, 13)),
        ("sources.0/x:3", run(0, 20)),
    ]


def test_items_go_by_the_line_of_their_file():
    block = batch_of(["a", "b"], ["c", "d"])
    names = [f"{name}:{line}" for name in ("sources.0/x",) for line in range(4)]
    assert [item for item, _ in eval_texts([block, block])] == names


def test_a_row_that_is_out_keeps_its_reason():
    batch = batch_of([run(0, 20), "reply"])
    batch = batch.set_column(8, batch.schema.field(8), [["too_long", None]])
    marked = mark_contaminated(batch, index=build_index([("a", run(0, 20))]))
    assert marked["rejected_by"].to_pylist() == ["too_long", None]


def test_an_index_of_nothing_finds_nothing():
    batch = batch_of([run(0, 20), "reply"], None)
    assert mark_contaminated(batch, index=build_index([])).equals(batch)
    assert mark_contaminated(batch[:0], index=build_index([("a", run(0, 20))])).num_rows == 0


def test_an_index_travels_light_and_finds_the_same():
    draw = random.Random(0)
    items = [(str(at), " ".join(draw.choices(WORDS, k=60))) for at in range(500)]
    index = build_index(items)
    sent = pickle.dumps(index)
    assert len(sent) < 500 * 60 * 14
    texts = [items[7][1][40:300], "clean words only"]
    assert pickle.loads(sent).find(texts) == index.find(texts) != {}


def test_slices_make_no_difference(monkeypatch):
    items = [("a", run(0, 40))]
    texts = [run(at, 60) for at in range(0, 300, 3)]
    whole = found(items, texts)
    monkeypatch.setattr(decontamination, "SLICE_CHARS", 100)
    assert found(items, texts) == whole != {}

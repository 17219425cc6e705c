import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps.repetition import (
    find_repetition,
    share_of_repeated_lines,
    share_of_repeated_ngrams,
)
from loray.spec.steps import RepetitionStep
from tests.data.steps.instruction_rows import GOOD

RULES = RepetitionStep(kind="repetition")
STORY = (
    "Once there was a miller who had three sons, a mill, a donkey and a cat; the sons ground, "
    "the donkey had to haul grain and carry away the flour, and the cat had to catch the mice. "
)
LOOP = "and then he went back to the house by the river to look for his keys, "
LINES = ["The first thing to do is to look.", "The second one is to think again."]
SPREAD = " ".join(f"{n} {STORY}" for n in range(9))

BAD = [
    ("repeated_characters", "A" + "a" * 200),
    ("repeated_characters", STORY + "haha" * 40 + " he said."),
    ("repeated_characters", "-" * 300 + "no " * 60 + "\u4e00"),
    ("looping_end", STORY + LOOP * 8),
    ("looping_end", STORY + LOOP * 8 + LOOP[:31]),
    ("looping_end", "\u56e0\u4e3a\u6c7d\u8f66\u9001\u53bb\u4fee\u7406\u4e86\u6240\u4ee5" * 30),
    ("repeated_lines", "\n".join([*(LINES * 8), "Done at last, and not a day too soon."])),
    ("repeated_ngrams", SPREAD),
]


def row(answer: str, prompt: str = "Tell me") -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


@pytest.mark.parametrize(("prompt", "answer"), GOOD)
def test_sound_rows_pass(prompt, answer):
    assert find_repetition(row(answer, prompt), RULES) is None


@pytest.mark.parametrize(("reason", "answer"), BAD)
def test_a_loop_is_found_under_its_own_reason(reason, answer):
    assert find_repetition(row(answer), RULES) == reason


@pytest.mark.parametrize(
    ("reason", "lenient"),
    [
        ("repeated_characters", {"max_run_chars": 1000}),
        ("looping_end", {"max_loops": 100}),
        ("repeated_lines", {"max_repeated_lines": 1.0}),
        ("repeated_ngrams", {"max_repeated_ngrams": 1.0}),
    ],
)
def test_every_rule_is_one_setting(reason, lenient):
    rows = [row(answer) for found, answer in BAD if found == reason]
    rules = RepetitionStep(kind="repetition", **lenient)
    assert reason not in {find_repetition(turns, rules) for turns in rows}


def test_prompts_may_repeat_themselves():
    assert find_repetition(row("It is a log.", prompt=LOOP * 40), RULES) is None
    assert find_repetition([{"role": "text", "content": LOOP * 40}], RULES) == "looping_end"


def test_a_run_of_marks_hides_no_run_of_letters():
    assert find_repetition(row("." * 400 + "ha" * 80 + "." * 400), RULES) == "repeated_characters"
    assert find_repetition(row("." * 400 + "ha" * 20 + "-" * 400), RULES) is None


def test_shares_leave_out_what_stands_first():
    assert share_of_repeated_lines("\n".join(["same line"] * 10)) == pytest.approx(0.9)
    assert share_of_repeated_lines("\n".join(["}"] * 30)) == 0.0
    words = list("abcdefgh")
    assert share_of_repeated_ngrams(words * 2) == pytest.approx(0.5)
    assert share_of_repeated_ngrams(words) == 0.0


@given(st.lists(st.sampled_from("ab"), max_size=60))
def test_a_share_is_a_share_and_no_word_counts_twice(words):
    assert 0.0 <= share_of_repeated_ngrams(words) < 1.0
    grams = [tuple(words[at : at + 6]) for at in range(len(words) - 5)]
    repeated = {
        at + n for at, gram in enumerate(grams) if gram in grams[:at] for n in range(6)
    }  # the plain way
    assert share_of_repeated_ngrams(words) == pytest.approx(len(repeated) / max(len(words), 1))

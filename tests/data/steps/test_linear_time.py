"""Every step takes time that is linear in its text, whatever the text.

A text is made four times as long until it takes `LONG_SECONDS`. Then it may take no more than
`MOST_GROWTH` times what one a quarter as long takes: linear steps take 4 times as much, quadratic
ones 16. What takes less at the longest is quick enough, and its growth is noise. Processor time is
measured, so that other processes do not count, and a growth that is seen once is looked for again.
"""

import json
import time
from collections.abc import Callable

import pytest

from loray.data.steps.chain import StepSetting, stage_for
from loray.data.steps.decontamination import build_index
from loray.data.steps.differences import differ, say
from tests.data.corpora import batch_of, data_spec, source
from tests.data.steps.adversarial import KINDS

SIZES = (20_000, 120_000)
LONG_SECONDS = 0.04
MOST_GROWTH = 9
TRIES = 5
STEPS = (
    "unicode", "whitespace", "control_tokens", "credentials", "pii", "quality", "repetition",
    "language", "toxicity", "length", "exact_duplicates", "near_duplicates", "decontamination",
)  # fmt: skip
SETTINGS = {"quality": {"keep_refusals": False}, "decontamination": {"against": [source("x")]}}


def runner(kind: str) -> Callable[[str], object]:
    """What is done with a text."""
    if kind == "differences":
        return lambda text: differ([say(text)], [say(f"{text[:-9]} {text[-9:]}?")])
    document = {"sources": [source("x")], "steps": [{"kind": kind, **SETTINGS.get(kind, {})}]}
    (step,) = data_spec(source("x"), steps=json.loads(json.dumps(document["steps"]))).steps
    index = build_index(
        [("item", "what a model is examined on is this very text and no other one")]
    )
    stage = stage_for(step, 0, StepSetting(0, ("<|end|>", "<s>"), {0: index}))
    return lambda text: stage(batch_of([text, text]))


def seconds(run: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    run(text)
    return time.process_time() - began


def growth(run: Callable[[str], object], text_of: Callable[[int], str]) -> float:
    """How many times as long a text of four times the length takes, where it takes long."""
    for size in SIZES:
        long = text_of(size)
        longest = seconds(run, long)
        if longest < LONG_SECONDS:
            continue
        short = text_of(size // 4)
        shortest = seconds(run, short)
        for _ in range(TRIES):  # noise passes, growth does not
            if longest < MOST_GROWTH * shortest:
                break
            longest = min(longest, seconds(run, long))
            shortest = max(shortest, seconds(run, short))
        return longest / shortest
    return 0.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*STEPS, "differences"])
def test_time_is_linear_in_the_text(kind):
    run = runner(kind)
    run("warm up")
    growths = {name: growth(run, text_of) for name, text_of in KINDS.items()}
    assert {name: times for name, times in growths.items() if times >= MOST_GROWTH} == {}


def test_quadratic_time_is_noticed():
    def quadratic(text: str) -> int:
        return sum(text.count("ab", at) for at in range(0, len(text), 4))

    assert growth(quadratic, lambda size: "a" * size) > MOST_GROWTH

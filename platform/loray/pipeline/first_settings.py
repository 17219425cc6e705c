"""Settings for a first run: what suits the rows, the base and the machine, each with its reason.

Pure arithmetic over what was counted; `loray init` writes the result down for a person to change.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from loray.data.review.census import Census
from loray.data.split import SPLITS, split_of
from loray.machines.hardware import Machine
from loray.machines.room import counted
from loray.spec.data import SplitSpec

SEED = 7
LENGTHS = (64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 16384, 32768)
"""Of sequences, those that are chosen from."""
RARE = 99.0
"""Percentile of the lengths that is taken where a few rows are far longer than all others."""
FAR = 2.0
SAMPLE_MARGIN = 1.1
"""Rows that were not looked at may be a little longer."""
MOST_TOKENS = {"cpu": 1024, "gpu": 4096}
MANY_LONG = 0.1
"""Share of longer rows from which on these are not the most, but the base's positions are."""
LEAST_TOKENS = {"cpu": 256, "gpu": 1024}
"""Shorter sequences would leave a device idle; of few rows they are shorter all the same."""
PACKS_WANTED = 64
FULL = 0.95
"""How full packed sequences get."""
FEW_ROWS = 5
LEAST_HELD = 8
"""Rows of a split below which its score says nothing; fewer only of a small corpus."""
LABEL_CHARS, LABEL_SHARE = 48.0, 0.5
"""Answers that are short and that many rows share are labels."""
MANY_ROWS, SOME_ROWS = 50_000, 1_000
MOST_EPOCHS = 8.0
STEPS_WANTED = 60
STEPS_AN_EPOCH = 20
CPU_SECONDS = 3600.0
"""A first run on a CPU should not take longer, if that is a tenth of an epoch or more."""
HIDDEN_RATE = 1e-3
"""Peak learning rate of a base with 768 hidden units; wider ones take less."""


class Choice(NamedTuple):
    """A value and why it is that one."""

    value: float
    why: str


@dataclass(frozen=True)
class Steps:
    """How long the training is."""

    steps: int
    epochs: float
    global_size: int
    why: str


def device_of(machine: Machine) -> str:
    """`gpu` or `cpu`."""
    return "gpu" if machine.gpus else "cpu"


def longest_sequence(census: Census, positions: int | None, machine: Machine) -> Choice:
    """`data.sequence.max_tokens`: the longest row, or nearly, and room to pack short ones."""
    device = device_of(machine)
    cap = min(positions or LENGTHS[-1], MOST_TOKENS[device])
    if census.are_too_long(cap).mean() > MANY_LONG:
        cap = positions or LENGTHS[-1]
    longest, rare = int(census.lengths.max()), float(np.percentile(census.lengths, RARE))
    is_whole = census.num_rows <= census.num_sampled
    wanted = longest if longest <= FAR * rare else rare
    wanted = wanted if is_whole else wanted * SAMPLE_MARGIN
    fitting = next((length for length in LENGTHS if length >= wanted), LENGTHS[-1])
    tokens = min(max(fitting, _least_tokens(census, device)), cap)
    over = int(census.are_too_long(tokens).sum())
    kind = "counted" if census.is_counted else "estimated"
    why = f"the longest row {kind} has {longest:,} tokens, half have {_median(census):,} or fewer"
    if not census.answers and longest > tokens:
        why += "; raw text is cut into pieces of this length"
    if over:
        why += f"; {over / len(census.lengths):.1%} are longer than this and will be rejected"
    return Choice(tokens, why)


def _least_tokens(census: Census, device: str) -> int:
    """Room for several short rows, as long as there are enough sequences to learn from."""
    least = LEAST_TOKENS[device]
    while least > LENGTHS[0] and census.num_tokens(LENGTHS[-1]) < PACKS_WANTED * least:
        least //= 2
    return least


def _median(census: Census) -> int:
    return int(np.median(census.lengths))


def held_out(census: Census, max_rows: int) -> Choice | None:
    """The share of each of both splits; None where there are too few rows to hold any out."""
    groups = list(census.groups)
    if len(groups) < FEW_ROWS:
        return None
    usable = max(census.num_usable, 1)
    share = max(min(0.1, max_rows / usable), min(0.1, 0.02 if usable > LEAST_HELD * 50 else 0.1))
    wanted = min(LEAST_HELD, max(len(groups) // (2 * FEW_ROWS), 1))
    share = round(share, 2) or 0.01
    while (rows := _in_splits(groups, share))["validation"] < wanted or rows["test"] < wanted:
        share = round(share + 0.01, 2)
        if share > 1 / 3:
            return None if 0 in rows.values() else Choice(share, _share_words(rows))
    return Choice(share, _share_words(rows))


def _in_splits(groups: Sequence[str], share: float) -> Mapping[str, int]:
    split = SplitSpec(validation=share, test=share)
    found = [split_of(group, split, SEED) for group in groups]
    return {name: found.count(name) for name in SPLITS}


def _share_words(rows: Mapping[str, int]) -> str:
    return f"about {rows['validation']} and {rows['test']} of the rows that were read"


def are_labels(census: Census) -> bool:
    """Whether the answers are a few words that many rows share."""
    answers = census.answers
    if len(answers) < 2 * FEW_ROWS:
        return False
    mean = sum(map(len, answers)) / len(answers)
    return mean <= LABEL_CHARS and len(set(answers)) <= LABEL_SHARE * len(answers)


def repeats_prompts(census: Census) -> bool:
    """Whether questions come again with other answers, so that splits must keep them together."""
    num_seen, num_distinct = census.prompts.total(), len(census.prompts)
    return num_seen >= 10 * FEW_ROWS and FEW_ROWS * 5 <= num_distinct < 0.95 * num_seen


def steps_for(
    census: Census, max_tokens: int, share: float, *, seconds: float | None, workers: int
) -> Steps:
    """How many steps of how many sequences.

    Args:
        share: of each split that is held out.
        seconds: that a sequence of `max_tokens` takes on a CPU; None on GPUs.
    """
    packs = max(math.ceil(census.num_tokens(max_tokens) * (1 - 2 * share) / (FULL * max_tokens)), 1)
    size = next((n for n in (16, 8) if packs >= n * STEPS_AN_EPOCH), max(4, workers))
    rows = census.num_usable
    epochs = 1.0 if rows > MANY_ROWS else 3.0
    if rows < SOME_ROWS:
        epochs = min(max(epochs, STEPS_WANTED * size / packs), MOST_EPOCHS)
    why = f"{_epochs(epochs)} over about {packs:,} sequences"
    why += " (few rows are learned from more often)" if epochs > 3.0 else ""
    steps = max(math.ceil(epochs * packs / size), 1)
    most = None if not seconds else max(int(CPU_SECONDS / (seconds * size)), STEPS_WANTED)
    if most is not None and steps > most:
        why = (
            f"{_epochs(most * size / packs)} over about {packs:,} sequences: what this machine "
            f"does in about an hour; {_epochs(epochs)} would be {steps:,} steps"
        )
        steps = most
    return Steps(steps, steps * size / packs, size, why)


def _epochs(number: float) -> str:
    return counted(float(f"{number:.2g}"), "epochs")


def learning_rate(hidden: int | None) -> Choice:
    """The peak rate, by the width of the base.

    Narrow models take higher ones. The exponent is that of Llama in Schulman et al. 2025, LoRA
    Without Regret.
    """
    if hidden is None:
        return Choice(2e-4, "a usual one")
    rate = HIDDEN_RATE * (768 / hidden) ** 0.781
    digits = -math.floor(math.log10(rate))
    return Choice(min(round(rate, digits), 4e-3), f"for a base of {hidden:,} hidden units")


def longest_answer(census: Census, most: int) -> int:
    """`evaluate.max_new_tokens`: nearly all answers, within reason."""
    if not len(census.learned):
        return most
    return int(min(max(math.ceil(float(np.percentile(census.learned, RARE)) / 8) * 8, 8), most))

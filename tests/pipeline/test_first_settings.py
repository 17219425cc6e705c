from collections import Counter

import numpy as np
import pytest

from loray.data.review.census import Census
from loray.machines.hardware import Gpu, Machine
from loray.pipeline.first_fit import fit_to
from loray.pipeline.first_settings import (
    are_labels,
    held_out,
    learning_rate,
    longest_answer,
    longest_sequence,
    repeats_prompts,
    steps_for,
)
from loray.pipeline.first_spec import default_spec
from loray.spec.run import RunSpec
from loray.spec.train import BaseModelSpec

LAPTOP = Machine(cpus=4, free_gib=12.0)
SERVER = Machine(cpus=32, free_gib=200.0, gpus=(Gpu("NVIDIA H200", 140.0),) * 8)


def census(rows: int, tokens: tuple[int, ...], answers: tuple[str, ...] = ("Yes.",)) -> Census:
    """So many unlike rows, whose lengths and answers are those given, again and again."""
    sampled = min(rows, 400)
    return Census(
        num_rows=rows,
        groups=Counter(f"{at:016x}" for at in range(min(rows, 50_000))),
        num_distinct=min(rows, 50_000),
        share_read=min(50_000 / rows, 1.0),
        num_sampled=sampled,
        answers=[answers[at % len(answers)] for at in range(sampled) if answers],
        prompts=Counter(f"question {at}" for at in range(sampled)),
        lengths=np.array([tokens[at % len(tokens)] for at in range(sampled)]),
        learned=np.array([tokens[at % len(tokens)] // 2 for at in range(sampled)]),
    )


@pytest.mark.parametrize(
    ("rows", "tokens", "positions", "machine", "wanted", "said"),
    [
        (10_000, (40, 60, 110), None, LAPTOP, 256, "the longest row counted has 110 tokens"),
        (10_000, (40, 60, 110), None, SERVER, 1024, "half have 60 or fewer"),
        (10_000, (40, 60, 110), 128, LAPTOP, 128, "the longest"),
        (10_000, (200, 350), None, LAPTOP, 512, "the longest"),  # 10% more may come
        (100, (200, 350), None, LAPTOP, 384, "the longest"),  # all were looked at
        (100, (30, 40), None, LAPTOP, 64, "the longest"),  # few rows fill few sequences
        (10_000, (3000,), 512, LAPTOP, 512, "100.0% are longer than this and will be rejected"),
        (300, (100,) * 299 + (5000,), None, SERVER, 512, "0.3% are longer than this"),
        (10_000, (500, 1500), None, LAPTOP, 2048, "half have 1,000 or fewer"),
    ],
)
def test_sequences_are_as_long_as_rows_base_and_device_let_them(
    rows, tokens, positions, machine, wanted, said
) -> None:
    found = longest_sequence(census(rows, tokens), positions, machine)
    assert found.value == wanted
    assert said in found.why


def test_raw_text_is_cut_and_not_rejected() -> None:
    text = census(1000, (3000,), answers=())
    found = longest_sequence(text, None, LAPTOP)
    assert found.value == 1024
    assert found.why.endswith("raw text is cut into pieces of this length")
    assert text.num_tokens(1024) == 3_000_000


@pytest.mark.parametrize(
    ("rows", "size", "least", "most", "said"),
    [
        (40, 4, 16, 17, "few rows are learned from more often"),
        (10_000, 16, 3.0, 3.0, "3 epochs over about"),
        (200_000, 16, 1.0, 1.0, "1 epoch over about"),
    ],
)
def test_steps_follow_from_the_number_of_rows(rows, size, least, most, said) -> None:
    found = steps_for(census(rows, (50,)), 256, 0.05, seconds=None, workers=1)
    assert found.global_size == size
    assert said in found.why
    figure = found.steps if rows == 40 else round(found.epochs, 1)
    assert least <= figure <= most
    assert found.epochs <= 8.5


def test_a_first_run_on_a_cpu_takes_about_an_hour_at_most() -> None:
    found = steps_for(census(10_000, (50,)), 256, 0.02, seconds=1.4, workers=1)
    assert found.steps == int(3600 / (1.4 * 16))
    assert "what this machine does in about an hour; 3 epochs would be" in found.why


def test_all_workers_of_a_step_have_something_to_do() -> None:
    assert steps_for(census(40, (50,)), 256, 0.1, seconds=None, workers=8).global_size == 8


@pytest.mark.parametrize(("rows", "low", "high"), [(10_000, 0.02, 0.02), (100, 0.08, 0.2),
                                                   (12, 0.1, 0.34)])  # fmt: skip
def test_both_held_out_splits_have_rows(rows, low, high) -> None:
    found = held_out(census(rows, (50,)), 60)
    assert found is not None
    assert low <= found.value <= high


def test_too_few_rows_are_not_split() -> None:
    assert held_out(census(3, (50,)), 60) is None


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        (("yes", "no"), True),
        (("card_arrival", "top_up", "lost_or_stolen_card"), True),
        (tuple(f"Answer {at}" for at in range(400)), False),
        (("A long answer that everybody gets, whatever it was that they had asked us.",), False),
    ],
)
def test_labels_are_short_answers_that_many_rows_share(answers, wanted) -> None:
    assert are_labels(census(400, (50,), answers)) is wanted


def test_questions_that_come_again_are_seen() -> None:
    once = census(400, (50,))
    again = census(400, (50,))
    again.prompts = Counter(f"question {at % 100}" for at in range(400))
    constant = census(400, (50,))
    constant.prompts = Counter({"Summarise.": 400})
    assert [repeats_prompts(each) for each in (once, again, constant)] == [False, True, False]


@pytest.mark.parametrize(
    ("hidden", "rate"), [(192, 3e-3), (576, 1e-3), (4096, 3e-4), (8192, 2e-4), (None, 2e-4)]
)
def test_wide_bases_take_lower_rates(hidden, rate) -> None:
    assert learning_rate(hidden).value == pytest.approx(rate)


def test_answers_are_generated_as_long_as_they_are() -> None:
    assert longest_answer(census(400, (20, 40)), 128) == 24
    assert longest_answer(census(400, (2000,)), 128) == 128


@pytest.mark.parametrize(
    ("base", "machine", "wanted"),
    [
        ("Qwen/Qwen3-0.6B", LAPTOP, ("float32", "none", 0, 1)),
        ("Qwen/Qwen3-8B", Machine(8, 30.0), ("float32", "nf4", 0, 1)),
        ("Qwen/Qwen3-8B", SERVER, ("bfloat16", "none", 1, 8)),
        ("Qwen/Qwen3-8B", Machine(8, 60.0, (Gpu("NVIDIA X", 15.0),)), ("bfloat16", "nf4", 1, 1)),
    ],
)
def test_type_and_quantization_fit_the_machine(base, machine, wanted) -> None:
    source = {"kind": "jsonl", "uri": "a.jsonl", "fields": {"text": "text"}}
    model = BaseModelSpec(path=base, revision="0" * 40)
    spec = default_spec("x", model, [source])
    fit = fit_to(spec.model_dump(), machine)
    assert fit.fits, fit.why
    resources = fit.resources
    found = (fit.dtype, fit.quantization, resources["gpus_per_worker"], resources["workers"])
    assert found == wanted
    if resources["workers"] > 1:
        assert fit.strategy["kind"] == "deepspeed"


def test_what_fits_nowhere_is_said() -> None:
    source = {"kind": "jsonl", "uri": "a.jsonl", "fields": {"text": "text"}}
    model = BaseModelSpec(path="Qwen/Qwen3-8B", revision="0" * 40)
    fit = fit_to(default_spec("x", model, [source]).model_dump(), Machine(2, 2.0))
    assert not fit.fits
    assert "GiB of memory that are free here has; take a smaller base" in fit.why
    assert isinstance(default_spec("x", model, [source]), RunSpec)

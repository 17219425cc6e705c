"""Advice follows from counted ranks, each case from spectra made for it."""

from loray.models.rank_advice import RULE_OF_THUMB, advise, power_of_two, summarise
from loray.models.spectrum import ModuleSpectrum


def layers(projection: str, *values: float, rank: int, num: int = 2) -> list[ModuleSpectrum]:
    return [
        ModuleSpectrum(
            f"model.layers.{n}.{projection}", rank, (*values,) + (0.0,) * (rank - len(values))
        )
        for n in range(num)
    ]


def test_little_used_rank_is_told_with_the_command_that_drops_it() -> None:
    spectra = layers("q_proj", 3.0, 3.0, 3.0, 3.0, 3.0, rank=16) + layers("v_proj", 1.0, rank=16)
    summary = summarise(spectra, 0.99)
    assert (summary.enough, summary.practical, summary.median, summary.full) == (5, 8, 3.0, 0)
    first, last = advise(summary, "bot@1")
    assert "99% of the energy of every module lies in 5 of 16 directions (median 3)" in first
    assert "rank 8 is enough to train with" in first
    assert "loray registry rank bot@1 --truncate 5" in first
    assert last == RULE_OF_THUMB


def test_rank_that_is_used_everywhere_is_no_reason_by_itself_to_raise_it() -> None:
    first, _ = advise(summarise(layers("q_proj", *[1.0] * 8, rank=8), 0.99), "bot@1")
    assert "The rank is used: 99% of the energy takes up to 8 of 8 directions" in first
    assert "2 of 2 need all they have" in first
    assert "If the adapter underfits, raise the rank" in first


def test_rank_that_most_modules_do_not_need_is_worth_cutting_module_by_module() -> None:
    spectra = layers("q_proj", *[1.0] * 13, rank=16)
    spectra += layers("k_proj", *[1.0] * 9, rank=16) + layers("v_proj", *[1.0] * 9, rank=16)
    first, second, _ = advise(summarise(spectra, 0.99), "bot@1")
    assert "takes up to 13 of 16 directions, 9 in the median module. If" in first
    assert "--truncate auto` gives each module what it needs, 65% of the ranks" in second  # 62 / 96


def test_modules_that_differ_are_named_with_ranks_of_their_own() -> None:
    spectra = layers("down_proj", *[1.0] * 16, rank=16) + layers("q_proj", 1.0, 1.0, 1.0, rank=16)
    first, second, _ = advise(summarise(spectra, 0.99), "bot@1")
    assert "2 of 4 need all of their rank" in first
    assert "--truncate auto" in first
    assert "method.patterns: [{modules: q_proj, rank: 4}]" in second


def test_modules_that_learned_nothing_are_named_and_nothing_else_is_said_when_all_are() -> None:
    dead = layers("k_proj", rank=4, num=5)
    first, *others = advise(summarise(dead + layers("q_proj", 1.0, rank=4), 0.99), "bot@1")
    assert first.startswith("5 of 7 modules have an update of exactly zero (model.layers.0.k_proj")
    assert "and 2 more" in first
    assert others
    assert len(advise(summarise(dead, 0.99), "bot@1")) == 1


def test_ranks_to_train_with_are_powers_of_two() -> None:
    assert [power_of_two(n) for n in (1, 2, 3, 5, 8, 9, 64)] == [1, 2, 4, 8, 8, 16, 64]

"""Singular values by the small matrices, against those of the whole product."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.models.spectrum import ModuleSpectrum, adapter_spectra, kept_in_all, singular_values
from tests.models.lora_factors import DOWN, Q, V, factors_of, random_factors, write_spectrum


def spectrum(*values: float, rank: int | None = None) -> ModuleSpectrum:
    return ModuleSpectrum("m", rank or len(values), tuple(values))


@given(
    inputs=st.integers(1, 12),
    outputs=st.integers(1, 12),
    rank=st.integers(1, 16),
    scaling=st.floats(0.01, 100),
    seed=st.integers(0, 1000),
)
def test_the_small_matrices_have_the_singular_values_of_the_whole_product(
    inputs: int, outputs: int, rank: int, scaling: float, seed: int
) -> None:
    a, b = random_factors(inputs, outputs, rank, seed)
    whole = np.linalg.svd(scaling * b @ a, compute_uv=False)
    found = singular_values(a, b, scaling)
    assert len(found) == min(rank, inputs, outputs)
    assert whole[: len(found)] == pytest.approx(found, rel=1e-9, abs=1e-11 * whole[0])
    assert all(whole[len(found) :] <= 1e-11 * whole[0])


@pytest.mark.parametrize(
    ("config", "scalings"),
    [
        ({}, (2.0, 2.0, 2.0)),  # alpha 8 / rank 4
        ({"use_rslora": True}, (4.0, 4.0, 4.0)),
        ({"rank_pattern": {"q_proj": 2}}, (4.0, 2.0, 2.0)),
        ({"rank_pattern": {"q_proj": 2}, "use_rslora": True}, (8 / math.sqrt(2), 4.0, 4.0)),
        ({"alpha_pattern": {"layers.1.self_attn.v_proj": 1}}, (2.0, 0.25, 2.0)),
        (
            {"rank_pattern": {"mlp.down_proj": 6}, "alpha_pattern": {"down_proj": 9}},
            (2.0, 2.0, 1.5),
        ),
    ],
)
def test_each_module_is_scaled_by_its_own_rank_and_alpha(
    tmp_path: Path, config: dict[str, Any], scalings: tuple[float, ...]
) -> None:
    known = {Q: (5.0, 1.0), V: (3.0, 2.0, 0.5), DOWN: (7.0,)}
    ranks = {Q: 4, V: 4, DOWN: 4} | {
        {"q_proj": Q, "mlp.down_proj": DOWN}[name]: rank
        for name, rank in config.get("rank_pattern", {}).items()
    }
    modules = {
        name: factors_of(values, inputs=20, outputs=14, rank=ranks[name], seed=3)
        for name, values in known.items()
    }
    found = adapter_spectra(write_spectrum(tmp_path / "adapter", modules, **config))
    assert [each.module for each in found] == [Q, V, DOWN]  # layer 10 comes last
    for each, scaling in zip(found, scalings, strict=True):
        assert each.rank == ranks[each.module]
        wanted = [scaling * value for value in known[each.module]]
        assert each.singular_values[: len(wanted)] == pytest.approx(wanted, rel=1e-6)
        assert max(each.singular_values[len(wanted) :], default=0.0) < 1e-5


@pytest.mark.parametrize(("dtype", "close"), [("F32", 1e-6), ("F16", 2e-3), ("BF16", 1.6e-2)])
def test_narrow_numbers_are_read_as_what_they_are(tmp_path: Path, dtype: str, close: float) -> None:
    modules = {Q: factors_of((4.0, 2.0, 1.0), inputs=30, outputs=20, rank=4, seed=5)}
    (found,) = adapter_spectra(write_spectrum(tmp_path / "adapter", modules, dtype=dtype))
    assert found.singular_values[:3] == pytest.approx((8.0, 4.0, 2.0), rel=close * 2)


def test_energy_is_what_squares_of_singular_values_add_up_to() -> None:
    found = spectrum(3.0, 2.0, 1.0)
    assert found.energy == 14.0
    assert [found.kept(rank) for rank in range(5)] == pytest.approx([0, 9 / 14, 13 / 14, 1, 1])
    assert [found.dropped(rank) for rank in range(5)] == [14.0, 5.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("share", "rank"), [(0.5, 1), (9 / 14 - 0.01, 1), (9 / 14 + 0.01, 2), (0.95, 3), (0.999, 3)]
)
def test_the_smallest_rank_that_keeps_a_share(share: float, rank: int) -> None:
    assert spectrum(3.0, 2.0, 1.0).rank_keeping(share) == rank


def test_the_effective_rank_counts_equal_directions_and_goes_to_one_for_a_single_one() -> None:
    assert spectrum(2.0, 2.0, 2.0, 2.0).effective_rank == pytest.approx(4.0)
    assert spectrum(5.0, 0.0, 0.0, rank=4).effective_rank == pytest.approx(1.0)
    # Roy and Vetterli's definition, written out: shares 3/4 and 1/4.
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert spectrum(3.0, 1.0).effective_rank == pytest.approx(math.exp(entropy))


def test_an_update_of_zero_needs_no_rank_and_loses_nothing() -> None:
    found = spectrum(0.0, 0.0)
    assert (found.rank_keeping(0.99), found.kept(1), found.effective_rank) == (0, 1.0, 0.0)


def test_energies_of_modules_add_up_so_a_large_update_counts_more() -> None:
    large, small = spectrum(10.0, 1.0), spectrum(0.1, 0.1)
    assert kept_in_all((large, small), 1) == pytest.approx(1 - 1.01 / 101.02)
    assert kept_in_all((large, small), 2) == 1.0

"""A cut adapter against the whole product of its parent, formed by numpy here alone."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loray.errors import AdapterError
from loray.models.adapter_files import check_adapter_folder
from loray.models.factors import decode, encode, read_factors, read_others
from loray.models.spectrum import adapter_spectra
from loray.models.truncation import (
    measure,
    ranks_at_most,
    ranks_that_keep,
    truncate_adapter,
)
from tests.models.lora_factors import DOWN, Q, V, factors_of, random_factors, write_spectrum

CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {"r": 6},
    "rslora": {"r": 6, "use_rslora": True},
    "patterns": {
        "r": 6,
        "rank_pattern": {"q_proj": 3, "layers.10.mlp.down_proj": 8},
        "alpha_pattern": {"down_proj": 5, "v_proj": 20},
    },
}


@pytest.fixture(params=CONFIGS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    config = CONFIGS[request.param]
    ranks = {Q: 6, V: 6, DOWN: 6}
    if request.param == "patterns":
        ranks = {Q: 3, V: 6, DOWN: 8}
    modules = {
        name: random_factors(24, 18, rank, seed) for seed, (name, rank) in enumerate(ranks.items())
    }
    return write_spectrum(tmp_path / "whole", modules, **config)


def updates(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """(alpha / r) B A of every module, whole."""
    config = check_adapter_folder(folder)
    return {f.module: config.scaling(f.module) * f.b @ f.a for f in read_factors(folder)}


def best_error(update: np.ndarray[Any, Any], rank: int) -> float:
    """What the best approximation of that rank is off by, from the whole matrix."""
    return float(np.linalg.norm(np.linalg.svd(update, compute_uv=False)[rank:]))


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_no_adapter_of_that_rank_is_closer_and_the_error_told_is_the_true_one(
    folder: Path, tmp_path: Path, rank: int
) -> None:
    spectra = adapter_spectra(folder)
    cut = truncate_adapter(folder, tmp_path / "cut", ranks_at_most(spectra, rank))
    before, after = updates(folder), updates(tmp_path / "cut")
    for module in cut.modules:
        difference = float(np.linalg.norm(before[module.module] - after[module.module]))
        best = best_error(before[module.module], rank)
        assert difference == pytest.approx(best, rel=1e-6, abs=1e-6)
        assert module.error == pytest.approx(difference, rel=1e-6, abs=1e-6)
        assert module.dropped == pytest.approx(best, rel=1e-9, abs=1e-9)
        assert module.rank == np.linalg.matrix_rank(after[module.module], tol=1e-4) <= rank
    whole = math.sqrt(sum(np.linalg.norm(update) ** 2 for update in before.values()))
    lost = math.sqrt(sum(np.linalg.norm(before[m] - after[m]) ** 2 for m in before))
    assert cut.relative_error == pytest.approx(lost / whole, rel=1e-6)
    assert cut.kept == pytest.approx(1 - (lost / whole) ** 2, rel=1e-6)


def test_each_module_gets_the_smallest_rank_that_keeps_the_share(
    folder: Path, tmp_path: Path
) -> None:
    wanted = ranks_that_keep(adapter_spectra(folder), 0.8)
    cut = truncate_adapter(folder, tmp_path / "cut", wanted)
    before = updates(folder)
    assert len({module.rank for module in cut.modules}) > 1
    for module in cut.modules:
        energy = float(np.linalg.norm(before[module.module]) ** 2)
        assert best_error(before[module.module], module.rank) ** 2 <= 0.2 * energy
        assert best_error(before[module.module], module.rank - 1) ** 2 > 0.2 * energy
    config = check_adapter_folder(tmp_path / "cut")
    assert config.r == max(module.rank for module in cut.modules)
    assert {m.module: config.rank(m.module) for m in cut.modules} == wanted


def test_what_a_product_is_multiplied_by_stays_the_same_in_every_module(
    folder: Path, tmp_path: Path
) -> None:
    before = check_adapter_folder(folder)
    for name, ranks in (
        ("two", ranks_at_most(adapter_spectra(folder), 2)),
        ("share", ranks_that_keep(adapter_spectra(folder), 0.8)),
    ):
        truncate_adapter(folder, tmp_path / name, ranks)
        after = check_adapter_folder(tmp_path / name)
        for module in (Q, V, DOWN):
            assert after.scaling(module) == pytest.approx(before.scaling(module), rel=1e-12)


def test_a_plain_adapter_stays_plain_and_its_alpha_a_whole_number(tmp_path: Path) -> None:
    modules = {Q: random_factors(8, 8, 4, 0), V: random_factors(8, 8, 4, 1)}
    folder = write_spectrum(tmp_path / "whole", modules, base_model_name_or_path="models/tiny")
    truncate_adapter(folder, tmp_path / "cut", {Q: 2, V: 2})
    text = (tmp_path / "cut" / "adapter_config.json").read_text()
    before = json.loads((folder / "adapter_config.json").read_text())
    assert json.loads(text) == before | {"r": 2, "lora_alpha": 4}
    assert '"lora_alpha": 4,' in text


def test_a_module_that_keeps_its_rank_keeps_its_bits_and_a_second_cut_has_the_same_bytes(
    tmp_path: Path,
) -> None:
    modules = {Q: random_factors(8, 8, 2, 0), V: random_factors(8, 8, 4, 1)}
    folder = write_spectrum(tmp_path / "whole", modules, dtype="BF16", rank_pattern={"q_proj": 2})
    for name in ("one", "two"):
        truncate_adapter(folder, tmp_path / name, {Q: 2, V: 2})
    assert {f.dtype_a for f in read_factors(tmp_path / "one")} == {"BF16"}
    old, new = (next(read_factors(f)) for f in (folder, tmp_path / "one"))
    assert np.array_equal(old.a, new.a)
    assert np.array_equal(old.b, new.b)
    files = [(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_what_rounding_costs_is_part_of_the_error_and_within_its_bound(
    tmp_path: Path, dtype: str
) -> None:
    """Nothing is dropped but rounding: the parent is of rank 2 in all but its numbers."""
    modules = {Q: factors_of((5.0, 1.0), inputs=40, outputs=30, rank=4, seed=2)}
    folder = write_spectrum(tmp_path / "whole", modules, dtype=dtype)
    cut = truncate_adapter(folder, tmp_path / "cut", {Q: 2})
    difference = np.linalg.norm(updates(folder)[Q] - updates(tmp_path / "cut")[Q])
    assert cut.modules[0].error == pytest.approx(float(difference), rel=1e-5, abs=1e-12)
    assert 0 < cut.relative_error < {"F32": 1e-6, "F16": 2e-3, "BF16": 1.5e-2}[dtype]


def test_a_file_that_is_farther_off_than_it_must_be_is_refused(tmp_path: Path) -> None:
    a, b = random_factors(8, 8, 4, 0)
    folder = write_spectrum(tmp_path / "whole", {Q: (a, b)})
    first_two = write_spectrum(tmp_path / "cut", {Q: (a[:2], b[:, :2])}, r=2, lora_alpha=4)
    with pytest.raises(AdapterError, match=r"q_proj cut to rank 2 is off by .* nothing was kept"):
        measure(folder, first_two)


def test_modules_narrower_than_their_rank_and_updates_of_zero_are_cut_too(tmp_path: Path) -> None:
    a, b = random_factors(5, 3, 8, 0)
    modules = {Q: (a, b), V: (a, np.zeros_like(b))}
    folder = write_spectrum(tmp_path / "whole", modules, r=8)
    cut = truncate_adapter(folder, tmp_path / "cut", {Q: 6, V: 4})
    assert cut.relative_error < 1e-6
    assert not updates(tmp_path / "cut")[V].any()


def test_a_name_that_ends_another_name_gets_a_pattern_of_its_own(tmp_path: Path) -> None:
    names = (Q, f"tower.{Q}", V)
    modules = {name: random_factors(9, 9, 4, seed) for seed, name in enumerate(names)}
    folder = write_spectrum(tmp_path / "whole", modules)
    ranks = dict(zip(names, (2, 3, 4), strict=True))
    truncate_adapter(folder, tmp_path / "cut", ranks)
    config = check_adapter_folder(tmp_path / "cut")
    assert {name: config.rank(name) for name in names} == ranks
    assert config.rank_pattern == {f"^{Q}": 2, f"tower.{Q}": 3}


@pytest.mark.parametrize("rank", [0, 4, 5])
def test_a_rank_that_is_no_lower_one_is_refused(tmp_path: Path, rank: int) -> None:
    folder = write_spectrum(tmp_path / "whole", {Q: random_factors(8, 8, 4, 0)})
    with pytest.raises(
        AdapterError, match=f"has rank 4 and was to be cut to {rank}; wanted 1 to 3"
    ):
        ranks_at_most(adapter_spectra(folder), rank)


def test_an_adapter_of_rank_one_or_one_that_uses_all_its_rank_is_not_cut(tmp_path: Path) -> None:
    one = write_spectrum(tmp_path / "one", {Q: random_factors(8, 8, 1, 0)}, r=1)
    with pytest.raises(AdapterError, match="nothing is below it"):
        ranks_at_most(adapter_spectra(one), 1)
    flat = factors_of((1.0, 1.0, 1.0, 1.0), inputs=8, outputs=8, rank=4, seed=0)
    full = write_spectrum(tmp_path / "full", {Q: flat})
    with pytest.raises(AdapterError, match="nothing to cut"):
        ranks_that_keep(adapter_spectra(full), 0.99)


def test_a_dora_is_not_cut(tmp_path: Path) -> None:
    from tests.adapters import MODULES, change, write_adapter

    magnitudes = {
        f"base_model.model.{name}.lora_magnitude_vector": np.ones(8, np.float32) for name in MODULES
    }
    folder = write_adapter(tmp_path / "dora", tensors=magnitudes)
    change(folder, use_dora=True)
    with pytest.raises(AdapterError, match="is a DoRA"):
        truncate_adapter(folder, tmp_path / "cut", dict.fromkeys(MODULES, 2))


def test_biases_and_modules_in_full_go_along_as_they_are(tmp_path: Path) -> None:
    from tests.adapters import MODULES, change, write_adapter

    beside = {
        "base_model.model.lm_head.weight": np.ones((20, 8), np.float32) / 7,
        f"base_model.model.{MODULES[0]}.base_layer.bias": np.arange(8, dtype=np.float32) / 3,
        "base_model.model.model.layers.0.self_attn.k_proj.bias": np.ones(4, np.float32),
    }
    folder = write_adapter(tmp_path / "biased", tensors=beside)
    change(folder, bias="all", modules_to_save=["lm_head"])
    spectra = adapter_spectra(folder)
    assert [found.module for found in spectra] == sorted(MODULES)
    cut = truncate_adapter(folder, tmp_path / "cut", ranks_at_most(spectra, 2))
    assert cut.ranks == (4, 2)
    config = check_adapter_folder(tmp_path / "cut")
    assert (config.bias, config.modules_to_save, config.r) == ("all", ("lm_head",), 2)
    before, after = ({t.name: t for t in read_others(f)} for f in (folder, tmp_path / "cut"))
    assert before.keys() == beside.keys()
    assert before == after


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_numbers_are_rounded_as_torch_rounds_them(dtype: str) -> None:
    import torch

    types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    values = np.random.default_rng(0).normal(size=2000).astype(np.float32).astype(np.float64)
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11, 1 + 3 * 2**-11, -0.0, 2.0**-130])
    values = np.concatenate([values, ties])
    wanted = torch.from_numpy(values).float().to(types[dtype]).double().numpy()
    assert np.array_equal(decode(encode(values, dtype), dtype), wanted)

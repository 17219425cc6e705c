"""A learner whose base is read part by part is the one whose base is loaded whole."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from loray.quickstart.initialise import write_random_model
from loray.spec.run import RunSpec
from tests.train.parted import WORKERS, Found, compare_all, run
from tests.train.sequences import make_rows, make_spec, write_tokens

STRATEGIES: dict[str, Any] = {
    "fsdp": {"kind": "fsdp"},
    "zero-3": {"kind": "deepspeed", "zero_stage": 3},
    "pipeline": {"kind": "pipeline"},
}
KINDS: dict[str, dict[str, Any]] = {
    "float32": {"base_model__quantization": "none"},
    "nf4-bfloat16": {"base_model__dtype": "bfloat16"},
    "pissa": {"base_model__quantization": "none", "method__init": "pissa"},
    "full-bfloat16": {
        "base_model__quantization": "none",
        "base_model__dtype": "bfloat16",
        "method": {"kind": "full"},
    },
    "begun": {"base_model__dtype": "bfloat16", "method__begin_from": ""},
}
KINDS_OF_STAGES: dict[str, dict[str, Any]] = {
    "in-full": {
        "base_model__quantization": "none",
        "method__modules_to_save": ("embed_tokens", "lm_head"),
    },
}
SHARED = [f"{name} {kind}" for name, kind in product(("fsdp", "zero-3"), KINDS)]
STAGED = [f"pipeline {kind}" for kind in (*KINDS, *KINDS_OF_STAGES)]
CASES = [*SHARED, *STAGED]
LAYERS = 4


def spec_of(case: str, model: Path, workers: int = 1) -> RunSpec:
    name, kind = case.split()
    changes = (KINDS | KINDS_OF_STAGES)[kind]
    if "method__begin_from" in changes:
        changes = changes | {"method__begin_from": str(begun_beside(model))}
    return make_spec(
        model,
        train__strategy=STRATEGIES[name],
        train__batch={"global_size": 4, "micro_size": 1},
        resources={"workers": workers},
        **changes,
    )


def begun_beside(model: Path) -> Path:
    """Where the adapter to go on from is."""
    return model.with_name(f"{model.name}-begun")


def write_begun(model: Path) -> None:
    """An adapter of the form that these specs train, with numbers of its own in B as well."""
    from loray.models.adapter import adapter_tensors, save_adapter, saved_form
    from loray.train.learner import build_learner

    learner: Any = build_learner(make_spec(model), device="cpu")
    torch.manual_seed(7)
    for weight in adapter_tensors(learner).values():
        weight.add_(torch.randn_like(weight), alpha=0.02)
    save_adapter(*saved_form(learner, adapter_tensors(learner)), begun_beside(model), base="x")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four layers, each larger than what is outside of them, stored in bfloat16."""
    folder = tmp_path_factory.mktemp("deep")
    write_random_model(folder, hidden_size=64, intermediate=128, layers=LAYERS, dtype="bfloat16")
    write_begun(folder)
    return folder


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tokens(tmp_path_factory.mktemp("rows"), make_rows(40))


def assert_equal(mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert mine.keys() == theirs.keys()
    assert mine
    for name, tensor in theirs.items():
        assert torch.equal(mine[name], tensor), name


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("case", SHARED)
def test_one_worker_begins_and_learns_the_same_bit_for_bit(
    deep: Path, tokens: str, case: str
) -> None:
    spec = spec_of(case, deep)
    whole, parted = (run(spec, tokens, is_whole=is_whole, workers=1) for is_whole in (True, False))
    assert_the_same(whole, parted)
    assert parted.norms.keys() == whole.norms.keys()
    assert_by_parts(parted, workers=1, grown=growth_of(case))


def assert_the_same(whole: Found, parted: Found) -> None:
    assert_equal(parted.beginning, whole.beginning)
    assert parted.losses == whole.losses
    assert parted.losses[0] != parted.losses[-1]
    assert_equal(parted.learned, whole.learned)
    assert whole.norms.items() >= parted.norms.items()


def growth_of(case: str) -> int:
    """How much larger a share is than that part of the weights was: FSDP2 learns in float32."""
    return 2 if case == "fsdp full-bfloat16" else 1


def assert_by_parts(parted: Found, *, workers: int, grown: int) -> None:
    """At most a share of what was read before, a part, and the adapter were ever held.

    A part is a decoder layer or what is outside of them; 1% is for what does not divide.
    """
    assert len(parted.held) == LAYERS + 1
    read = 0
    for held, part in zip(parted.held, parted.parts, strict=True):
        assert held < 1.01 * (grown * read / workers + part + parted.adapter)
        read += part


@pytest.fixture(scope="module")
def compared(
    tmp_path_factory: pytest.TempPathFactory, deep: Path, biased: Path, tokens: str
) -> dict[str, list[Found]]:
    """Both ends learn in full only where they are two matrices."""
    models = {case: biased if case == "pipeline in-full" else deep for case in CASES}
    specs = {case: spec_of(case, model, WORKERS) for case, model in models.items()}
    return compare_all(specs, tokens, tmp_path_factory.mktemp("compared"))


@pytest.mark.workers
@pytest.mark.parametrize("case", CASES)
def test_two_workers_begin_and_learn_the_same_bit_for_bit(
    compared: dict[str, list[Found]], case: str
) -> None:
    assert_the_same(*compared[case])


@pytest.mark.workers
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_begins_with_the_adapter_that_it_goes_on_from(
    compared: dict[str, list[Found]], deep: Path, name: str
) -> None:
    from loray.models.adapter import read_adapter

    wanted = {
        f"weight/model.{key.removeprefix('base_model.model.').removesuffix('.weight')}"
        ".default.weight": tensor.bfloat16()
        for key, tensor in read_adapter(begun_beside(deep)).tensors.items()
    }
    _, parted = compared[f"{name} begun"]
    assert parted.beginning
    for key, tensor in parted.beginning.items():
        assert torch.equal(tensor.bfloat16(), wanted[key]), key
        assert not torch.equal(parted.learned[key].bfloat16(), wanted[key]), key


@pytest.mark.workers
@pytest.mark.parametrize("case", SHARED)
def test_no_worker_ever_holds_more_than_its_share_and_a_part(
    compared: dict[str, list[Found]], case: str
) -> None:
    whole, parted = compared[case]
    assert_by_parts(parted, workers=WORKERS, grown=growth_of(case))
    assert max(parted.held) < 0.75 * growth_of(case) * max(whole.held)


@pytest.mark.workers
@pytest.mark.parametrize("case", STAGED)
def test_no_stage_ever_holds_more_than_what_it_keeps(
    compared: dict[str, list[Found]], case: str
) -> None:
    """But for PiSSA, which decomposes the others' layers too, one at a time."""
    whole, parted = compared[case]
    *_, kept = parted.held
    seen = max(parted.parts) if case == "pipeline pissa" else 0
    assert max(parted.held) <= 1.01 * (kept + seen + parted.adapter)
    assert max(parted.held) - seen < 0.75 * max(whole.held)
    others = set(whole.norms) - set(parted.norms)
    later = ("layers.1",) if case == "pipeline in-full" else ("layers.2", "layers.3")
    assert all(name.removeprefix("model.").startswith(later) for name in others)
    assert bool(others) == (case not in ("pipeline pissa", "pipeline full-bfloat16"))

"""Every legal cell of the compatibility table, trained on two workers beside the plain strategy."""

from pathlib import Path

import pytest
import torch

from loray.spec.compatibility import AXES, Cell, broken_rules, every_cell, method_of, strategy_of
from loray.spec.run import RunSpec
from tests.train.group import STEPS, Job, Trained, train_all
from tests.train.loops import build, step_through
from tests.train.sequences import make_rows, make_spec, write_tokens

pytestmark = pytest.mark.workers
LEGAL = [cell for cell in every_cell() if not broken_rules(cell)]
RESUMED = [c for c in LEGAL if (c["dtype"], c["quantization"]) == ("float32", "none")]
LOSS_TOLERANCE = {"float32": 2e-5, "bfloat16": 4e-3}
"""Largest relative difference of a step's loss."""
FALL = {"float32": 0.05, "bfloat16": 0.0}
"""By how much the loss falls at least, over the steps of that type."""
WEIGHT_TOLERANCE = 1e-4
"""Largest difference of a learned weight in float32 after 12 steps at a rate of 5e-3."""


LORA = {"method": "lora", "quantization": "none", "dtype": "float32", "offload": "none"}
SHARDED = ("fsdp", "pipeline", "zero-3")
STRATEGIES = ("plain", "fsdp", "zero-0", "zero-1", "zero-2", "zero-3")
NORM_TOLERANCE = 1e-4
"""Largest relative difference of a gradient's norm in float32."""
FULL = {"method": "full", "quantization": "none", "dtype": "float32", "offload": "none"}
SUMS_IN_FLOAT32 = ("fsdp", "zero-2", "zero-3")
CROSSINGS = [("plain", "pipeline"), ("pipeline", "plain")]


def name_of(cell: Cell) -> str:
    return "-".join(cell[axis] for axis in AXES)


def spec_of(cell: Cell, model: Path) -> RunSpec:
    return make_spec(
        model,
        method=method_of(cell) if cell["method"] == "full" else {**method_of(cell), "rank": 4},
        base_model__quantization=cell["quantization"],
        base_model__dtype=cell["dtype"],
        train__strategy=strategy_of(cell),
        train__steps=STEPS[cell["dtype"]],
        train__batch={"global_size": 4, "micro_size": 1},
        resources={"workers": 2},
    )


def job_of(cell: Cell, model: Path) -> Job:
    return Job(name_of(cell), spec_of(cell, model), again_from=7 if cell in RESUMED else None)


def pissa_job(name: str, model: Path) -> Job:
    """PiSSA, activations computed again: what else a strategy may stumble over."""
    spec = spec_of(LORA | {"strategy": name}, model)
    return Job(
        f"pissa-{name}",
        spec.model_copy(
            update={
                "method": spec.method.model_copy(update={"init": "pissa"}),
                "train": spec.train.model_copy(update={"gradient_checkpointing": True}),
            }
        ),
        again_from=7,
    )


def uneven_job(name: str, model: Path) -> Job:
    """Three micro-batches for two workers, as when one of three has died."""
    spec = spec_of(LORA | {"strategy": name}, model)
    batch = spec.train.batch.model_copy(update={"global_size": 3})
    train = spec.train.model_copy(update={"batch": batch, "gradient_checkpointing": True})
    return Job(f"uneven-{name}", spec.model_copy(update={"train": train}))


def crossing_job(first: str, then: str, model: Path) -> Job:
    """Every weight learns, the tied embedding too, under one strategy and then another."""
    one, other = (spec_of(FULL | {"strategy": name}, model) for name in (first, then))
    return Job(f"{first}-then-{then}", one, again_from=7, again_under=other)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, model: Path) -> dict[str, Trained]:
    folder = tmp_path_factory.mktemp("strategies")
    tokens = write_tokens(folder, make_rows(40))
    jobs = [job_of(cell, model) for cell in LEGAL]
    jobs += [pissa_job(name, model) for name in ("plain", *SHARDED)]
    jobs += [crossing_job(*names, model) for names in CROSSINGS]
    return train_all(jobs, tokens, folder)


@pytest.mark.parametrize("cell", LEGAL, ids=name_of)
def test_a_legal_cell_has_the_loss_curve_of_the_plain_strategy(
    trained: dict[str, Trained], cell: Cell
) -> None:
    found = trained[name_of(cell)]
    plain = trained[name_of({**cell, "strategy": "plain", "offload": "none"})]
    assert len(found.losses) == STEPS[cell["dtype"]]
    assert found.losses[-1] < found.losses[0] - FALL[cell["dtype"]]
    assert found.losses == pytest.approx(plain.losses, rel=LOSS_TOLERANCE[cell["dtype"]])
    assert {name: t.dtype for name, t in found.learned.items()} == {
        name: t.dtype for name, t in plain.learned.items()
    }
    if cell["dtype"] == "float32":
        assert min(plain.norms) > 0
        assert found.norms == pytest.approx(plain.norms, rel=NORM_TOLERANCE)
        for name, tensor in found.learned.items():
            torch.testing.assert_close(tensor, plain.learned[name], rtol=0, atol=WEIGHT_TOLERANCE)


@pytest.mark.parametrize("cell", LEGAL, ids=name_of)
def test_a_run_that_is_set_back_to_its_beginning_goes_the_same_way_again(
    trained: dict[str, Trained], cell: Cell
) -> None:
    found = trained[name_of(cell)]
    assert found.first_again == found.losses[: len(found.first_again)]
    assert found.first_again


@pytest.mark.parametrize("cell", RESUMED, ids=name_of)
def test_two_workers_that_resume_end_bit_for_bit_where_they_would_have(
    trained: dict[str, Trained], cell: Cell
) -> None:
    found = trained[name_of(cell)]
    assert found.again.keys() == found.learned.keys()
    assert all(torch.equal(found.again[name], tensor) for name, tensor in found.learned.items())


@pytest.mark.parametrize("strategy", SHARDED)
def test_pissa_with_recomputed_activations_agrees_and_resumes(
    trained: dict[str, Trained], strategy: str
) -> None:
    found, plain = trained[f"pissa-{strategy}"], trained["pissa-plain"]
    assert found.losses == pytest.approx(plain.losses, rel=LOSS_TOLERANCE["float32"])
    assert found.losses != trained[name_of(LORA | {"strategy": strategy})].losses
    for name, tensor in found.learned.items():
        torch.testing.assert_close(tensor, plain.learned[name], rtol=0, atol=WEIGHT_TOLERANCE)
        assert torch.equal(found.again[name], tensor)


@pytest.mark.usefixtures("alone")
def test_what_two_workers_cannot_share_evenly_teaches_the_same(model: Path, tmp_path: Path) -> None:
    """Against one worker, for which nothing is left over."""
    tokens, jobs = write_tokens(tmp_path, make_rows(40)), [uneven_job(n, model) for n in STRATEGIES]
    trained = train_all(jobs, tokens, tmp_path)
    looped = build(jobs[0].spec)
    step_through(looped, jobs[0].spec, tokens, range(STEPS["float32"]))
    for name in STRATEGIES:
        found = trained[f"uneven-{name}"]
        assert found.losses == pytest.approx(looped.losses, rel=LOSS_TOLERANCE["float32"]), name
        assert found.norms == pytest.approx(looped.norms, rel=NORM_TOLERANCE), name


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("strategy", SUMS_IN_FLOAT32)
def test_many_small_gradients_in_bfloat16_are_not_lost_in_their_sum(
    model: Path, tmp_path: Path, strategy: str
) -> None:
    """In bfloat16 a sum would lose what is less than a 256th of it."""
    tokens, norms = write_tokens(tmp_path, make_rows(64)), {}
    for name in ("plain", strategy):
        cell = spec_of(LORA | {"dtype": "bfloat16", "strategy": name}, model)
        batch = cell.train.batch.model_copy(update={"global_size": 64})
        spec = cell.model_copy(update={"train": cell.train.model_copy(update={"batch": batch})})
        looped = build(spec)
        step_through(looped, spec, tokens, range(1))
        norms[name] = looped.norms
    assert norms[strategy] == pytest.approx(norms["plain"], rel=1e-6)


@pytest.mark.parametrize("names", CROSSINGS, ids="-then-".join)
def test_a_state_of_one_strategy_goes_on_under_another(
    trained: dict[str, Trained], names: tuple[str, str]
) -> None:
    found = trained["-then-".join(names)]
    assert found.again.keys() == found.learned.keys()
    for name, tensor in found.again.items():
        torch.testing.assert_close(tensor, found.learned[name], rtol=0, atol=WEIGHT_TOLERANCE)

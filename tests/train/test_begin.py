"""EVA's beginning: the run's own first sequences, the same on all workers and at every start."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from loray.spec.run import RunSpec
from tests.train.sequences import make_rows, make_spec, pack, write_tokens


def begun(spec: RunSpec, tokens: str) -> dict[str, torch.Tensor]:
    """Every A, after the beginning."""
    from loray.train.batches import open_tokens
    from loray.train.begin import begin_at_inputs
    from loray.train.learner import build_learner

    learner = build_learner(spec, device="cpu")
    begin_at_inputs(learner, spec, open_tokens(tokens))
    assert learner.training
    return {n: p.detach().clone() for n, p in learner.named_parameters() if "lora_A" in n}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_same_spec_begins_bit_for_bit_alike_and_another_seed_or_data_does_not(
    model: Path, tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loray.train import begin

    monkeypatch.setattr(begin, "TOKENS", 150)
    tokens = write_tokens(tmp_path / "one", make_rows(40))
    others = write_tokens(tmp_path / "other", make_rows(40, seed=1))
    changes: dict[str, Any] = {"method__init": "eva", "base_model__dtype": dtype}
    spec = make_spec(model, **changes)
    first = begun(spec, tokens)
    assert all(torch.equal(a, first[name]) for name, a in begun(spec, tokens).items())
    again = spec.model_copy(update={"train": spec.train.model_copy(update={"steps": 99})})
    assert all(torch.equal(a, first[name]) for name, a in begun(again, tokens).items())
    assert not any(torch.equal(a, first[name]) for name, a in begun(spec, others).items())
    seeded = make_spec(model, seed=4, **changes)
    assert not any(torch.equal(a, first[name]) for name, a in begun(seeded, tokens).items())


@pytest.mark.usefixtures("alone")
def test_packed_rows_begin_where_the_same_rows_apart_do(model: Path, tmp_path: Path) -> None:
    """What is looked at is the same tokens in the same places, prompts and all."""
    rows = make_rows(24)
    spec = make_spec(model, method__init="eva", base_model__quantization="none")
    apart = begun(spec, write_tokens(tmp_path / "apart", rows))
    packed = begun(spec, write_tokens(tmp_path / "packed", pack(rows, per_sequence=4)))
    for name, a in apart.items():
        overlap = (a @ packed[name].T).abs()
        assert torch.allclose(overlap, torch.eye(len(a)), atol=0.02), name


@pytest.mark.usefixtures("alone")
def test_a_run_of_another_init_is_left_alone(model: Path, tmp_path: Path) -> None:
    from loray.train.batches import open_tokens
    from loray.train.begin import begin_at_inputs
    from loray.train.learner import build_learner

    tokens = open_tokens(write_tokens(tmp_path, make_rows(8)))
    learner = build_learner(make_spec(model), device="cpu")
    before = {n: p.detach().clone() for n, p in learner.named_parameters()}
    begin_at_inputs(learner, make_spec(model), tokens)
    assert all(torch.equal(p, before[n]) for n, p in learner.named_parameters())


def test_the_sequences_are_the_first_of_the_run_and_none_comes_twice(tmp_path: Path) -> None:
    from loray.train.batches import BatchSizes, numbers_of_step, open_tokens
    from loray.train.begin import TOKENS, first_sequences

    rows = make_rows(40)
    tokens = open_tokens(write_tokens(tmp_path, rows, per_part=15))
    found = [s["input_ids"].tolist() for s in first_sequences(tokens, seed=3)]
    sizes = BatchSizes(8, 4, 1)
    line = [n for step in range(5) for n in numbers_of_step(tokens, step, seed=3, sizes=sizes)]
    assert found == [rows[n]["input_ids"] for n in line]
    long = [{**rows[0], "input_ids": [5] * 3000, "labels": [5] * 3000}] * 5
    long = [{**row, "positions": list(range(3000))} for row in long]
    some = list(first_sequences(open_tokens(write_tokens(tmp_path / "long", long)), seed=3))
    assert sum(len(s["input_ids"]) for s in some[:-1]) < TOKENS <= 3000 * len(some)


def _work(worker: int, spec: RunSpec, tokens: str, folder: str) -> None:
    os.environ |= {"LOCAL_RANK": str(worker)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/g", rank=worker, world_size=2)
    own = spec.model_copy(update={"seed": spec.seed if worker == 0 else 99})
    torch.save(begun(own, tokens), Path(folder) / f"{worker}.pt")
    dist.destroy_process_group()


@pytest.mark.workers
def test_all_workers_take_what_the_first_one_found(model: Path, tmp_path: Path) -> None:
    """The second worker is given another seed: left to itself it would begin elsewhere."""
    import torch.multiprocessing as mp

    spec = make_spec(model, method__init="eva", base_model__dtype="bfloat16")
    tokens = write_tokens(tmp_path, make_rows(40))
    mp.spawn(_work, (spec, tokens, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{worker}.pt") for worker in (0, 1))
    assert first
    assert all(torch.equal(a, second[name]) for name, a in first.items())

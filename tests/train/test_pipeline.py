"""A pipeline where layers do not divide, passes are few, rows are packed, and ends are not tied."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from loray.spec.run import RunSpec
from tests.train.group import STEPS, Job, Trained, together, train_all
from tests.train.loops import build, step_through
from tests.train.sequences import make_rows, make_spec, pack, write_tokens

pytestmark = pytest.mark.workers
STAGES = 3
LOSS_TOLERANCE, WEIGHT_TOLERANCE = 2e-5, 1e-4
"""As in `test_strategies.py`, float32."""
METHODS = {
    "lora": {
        "kind": "lora",
        "rank": 4,
        "patterns": ({"modules": "layers.3.mlp.up_proj", "rank": 8},),
    },
    "dora": {"kind": "lora", "rank": 4, "dora": True},
    "full": {"kind": "full"},
}
PASSES = {"many": 1, "few": 3}
"""Sequences of a micro-batch: six or two of them, at three stages."""


@pytest.fixture(scope="module")
def odd_model(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """Four layers of a Qwen3 whose output projection is not its embedding."""
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    folder = tmp_path_factory.mktemp("models") / "odd"
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=False,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


def spec_of(
    model: Path, method: str, strategy: str, *, micro_size: int = 1, **more: Any
) -> RunSpec:
    return make_spec(
        model,
        base_model={"path": str(model), "quantization": "none", "dtype": "float32"},
        method=METHODS[method],
        train__strategy={"kind": strategy},
        train__steps=STEPS["float32"],
        train__batch={"global_size": 6, "micro_size": micro_size},
        resources={"workers": STAGES},
        **more,
    )


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tokens(tmp_path_factory.mktemp("packed"), pack(make_rows(80), per_sequence=2))


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, odd_model: Path, tokens: str
) -> dict[str, Trained]:
    jobs = []
    for method in METHODS:
        jobs.append(Job(f"{method}-plain", spec_of(odd_model, method, "plain")))
        for passes, size in PASSES.items():
            spec = spec_of(odd_model, method, "pipeline", micro_size=size)
            jobs.append(Job(f"{method}-{passes}", spec, again_from=7))
    return train_all(jobs, tokens, tmp_path_factory.mktemp("trained"), workers=STAGES)


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("method", METHODS)
def test_uneven_stages_agree_with_the_plain_strategy_and_resume(
    trained: dict[str, Trained], method: str, passes: str
) -> None:
    found, plain = trained[f"{method}-{passes}"], trained[f"{method}-plain"]
    assert plain.losses[-1] < plain.losses[0] - 0.05
    assert found.losses == pytest.approx(plain.losses, rel=LOSS_TOLERANCE)
    assert found.first_again == found.losses[: len(found.first_again)]
    assert found.learned.keys() == plain.learned.keys()
    for name, tensor in found.learned.items():
        torch.testing.assert_close(tensor, plain.learned[name], rtol=0, atol=WEIGHT_TOLERANCE)
        assert torch.equal(found.again[name], tensor)


def look_around(model: Path, tokens: str, folder: Path, worker: int, workers: int) -> None:
    """Train a little under both strategies, and leave what each worker has to say of it."""
    from loray.artifacts.tokens import TokenParts
    from loray.train.audit import suspect_rows
    from loray.train.batches import BatchSizes, micro_batches
    from loray.train.learner import save_learned
    from loray.train.loop import loss_on
    from loray.train.watch import Watch

    opened, told = TokenParts(tokens), {}
    for method in ("dora", "full"):
        for strategy in ("plain", "pipeline"):
            spec = spec_of(model, method, strategy)
            looped = build(spec, workers=workers)
            readers = looped.engine.replicas
            sizes = BatchSizes(6, 1, workers=readers)
            watch = Watch(spec, looped.vitals, looped.engine)
            watch.begin(is_recorded=True)
            step_through(looped, spec, tokens, range(2), worker=worker, look=watch.look)
            watch.end(2, num_tokens=1)
            batches = micro_batches(opened, step=5, seed=3, sizes=sizes, worker=worker % readers)
            rows = suspect_rows(
                looped.engine, opened, range(2), seed=3, sizes=sizes, worker=worker % readers
            )
            told[f"{method}-{strategy}"] = {
                "loss": loss_on(looped.engine, batches),
                "rows": [(row.id, row.why) for row in rows],
                "vitals": watch.records,
                "held": sum(p.numel() for p in looped.learner.parameters() if not p.is_meta),
                "tokens": looped.results[-1].num_tokens,
                "targets": looped.results[-1].num_targets,
                "grad_norm": looped.results[-1].grad_norm,
            }
            weights = looped.engine.weights()
            if worker == 0:
                save_learned(looped.learner, spec, folder / f"{method}-{strategy}", weights)
    (folder / f"{worker}.json").write_text(json.dumps(told), encoding="utf-8")


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory, odd_model: Path, tokens: str
) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("told")
    together(partial(look_around, odd_model, tokens, folder), folder, workers=STAGES)
    return folder, [json.loads((folder / f"{at}.json").read_text()) for at in range(STAGES)]


@pytest.mark.parametrize("method", ["dora", "full"])
def test_every_worker_knows_what_the_plain_strategy_tells(
    told: tuple[Path, list[dict[str, Any]]], method: str
) -> None:
    for worker in told[1]:
        found, plain = worker[f"{method}-pipeline"], worker[f"{method}-plain"]
        assert found["rows"] == plain["rows"]
        assert len(found["rows"]) > 0
        for name in ("loss", "grad_norm", "tokens", "targets"):
            assert found[name] == pytest.approx(plain[name], rel=1e-4), name
        assert len(found["vitals"]) == len(plain["vitals"]) == (28 if method == "dora" else 0)
        for mine, theirs in zip(found["vitals"], plain["vitals"], strict=True):
            assert mine.keys() == theirs.keys()
            assert mine["module"] == theirs["module"]
            numbers = [name for name in mine if name != "module"]
            assert [mine[n] for n in numbers] == pytest.approx([theirs[n] for n in numbers], 1e-3)


def test_the_workers_hold_the_model_together(told: tuple[Path, list[dict[str, Any]]]) -> None:
    held = [worker["full-pipeline"]["held"] for worker in told[1]]
    assert sum(held) == told[1][0]["full-plain"]["held"]
    assert max(held) < 0.6 * sum(held)


@pytest.mark.parametrize("method", ["dora", "full"])
def test_what_is_saved_is_what_the_plain_strategy_saves(
    told: tuple[Path, list[dict[str, Any]]], method: str
) -> None:
    from safetensors.torch import load_file

    name = "model.safetensors" if method == "full" else "adapter_model.safetensors"
    found, plain = (load_file(told[0] / f"{method}-{s}" / name) for s in ("pipeline", "plain"))
    assert found.keys() == plain.keys()
    for key, tensor in found.items():
        torch.testing.assert_close(tensor, plain[key], rtol=0, atol=WEIGHT_TOLERANCE)
    files = [
        sorted(p.name for p in (told[0] / f"{method}-{s}").iterdir()) for s in ("pipeline", "plain")
    ]
    assert files[0] == files[1]

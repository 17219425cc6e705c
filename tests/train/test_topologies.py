"""Every form of adapter: as large as planned, learning, the same in plain PEFT and our engine."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from loray.planner.configs import read_architecture
from loray.planner.memory import count_learned
from tests.families import save
from tests.train.loops import weights_of
from tests.train.sequences import make_rows, make_spec
from tests.train.test_loop import (
    BF16_TOLERANCE,
    FSDP,
    PLAIN,
    TOLERANCE,
    assert_same_run,
    run,
    zero,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]

FORMS: dict[str, dict[str, Any]] = {
    "attention": {"targets": "attention"},
    "mlp": {"targets": "mlp"},
    "q and v": {"targets": ("q_proj", "v_proj")},
    "rsLoRA": {"rslora": True, "rank": 16},
    "gaussian": {"init": "gaussian"},
    "DoRA": {"dora": True},
    "DoRA of q and v, dropout": {"dora": True, "targets": ("q_proj", "v_proj"), "dropout": 0.1},
    "PiSSA": {"init": "pissa"},
    "PiSSA, patterns": {"init": "pissa", "patterns": ({"modules": "down_proj", "rank": 2},)},
    "EVA": {"init": "eva"},
    "EVA, DoRA": {"init": "eva", "dora": True},
    "patterns": {
        "patterns": (
            {"modules": "layers.0.self_attn.q_proj", "rank": 8, "alpha": 4},
            {"modules": "down_proj", "rank": 2},
            {"modules": "q_proj", "alpha": 16},
        )
    },
}


UNTIED: dict[str, dict[str, Any]] = {
    "biases of the targets": {"biases": "targets"},
    "biases of the targets, v alone": {"biases": "targets", "targets": ("v_proj", "up_proj")},
    "all biases": {"biases": "all", "targets": ("v_proj", "down_proj")},
    "all biases, DoRA": {"biases": "all", "dora": True, "targets": "attention"},
    "all biases, PiSSA": {"biases": "all", "init": "pissa"},
    "output projection": {"modules_to_save": ("lm_head",)},
    "embedding": {"modules_to_save": ("embed_tokens",), "targets": "mlp"},
    "both ends, biases, DoRA": {
        "modules_to_save": ("lm_head", "embed_tokens"),
        "biases": "targets",
        "dora": True,
    },
    "both ends, PiSSA": {"modules_to_save": ("lm_head", "embed_tokens"), "init": "pissa"},
}
"""Over a base that has biases, in q, k and v, and an output projection of its own."""


FUSED: dict[str, dict[str, Any]] = {
    "fused": {"rslora": True, "rank": 8},
    "fused, DoRA": {"dora": True, "targets": ("qkv_proj", "gate_up_proj")},
    "fused, PiSSA": {"init": "pissa", "targets": "attention"},
    "fused, EVA": {"init": "eva", "patterns": ({"modules": "qkv_proj", "rank": 8},)},
}
"""Over a Phi-3: q, k and v are one projection, gate and up another one."""


def on_disk(name: str) -> str:
    """What PEFT calls a parameter in the file."""
    for part, wanted in (
        (".default", ""),
        (".modules_to_save", ""),
        ("magnitude_vector.weight", "magnitude_vector"),
    ):
        name = name.replace(part, wanted)
    return name


@pytest.fixture(scope="module")
def fused(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("phi3", model, tmp_path_factory.mktemp("fused") / "phi3")


def forms() -> list[Any]:
    """Every form over a base in full, and over NF4 what depends on the base's weights."""
    return [
        *(pytest.param(form, "none", id=form) for form in FORMS),
        *(pytest.param(form, "nf4", id=f"{form} over NF4") for form in ("DoRA", "EVA")),
        *(pytest.param(form, "none", id=form) for form in (*UNTIED, *FUSED)),
        pytest.param("fused, DoRA", "nf4", id="fused, DoRA over NF4"),
        *(
            pytest.param(form, "nf4", id=f"{form} over NF4")
            for form, method in UNTIED.items()
            if "init" not in method
        ),
    ]


@pytest.mark.parametrize(("form", "quantization"), forms())
def test_an_adapter_is_as_large_as_planned_learns_and_is_served_as_it_was_trained(
    model: Path, biased: Path, fused: Path, tmp_path: Path, form: str, quantization: str
) -> None:
    from peft import PeftModel

    from loray.inference.engine import Engine
    from loray.inference.request import GenerateRequest, SamplingParams
    from loray.models.chat import load_tokenizer
    from loray.models.load import load_base
    from loray.train.learner import build_learner, save_learned

    base = fused if form in FUSED else biased if form in UNTIED else model
    method = {"kind": "lora", "rank": 4, "alpha": 8, **(FORMS | UNTIED | FUSED)[form]}
    spec = make_spec(base, method=method, train__steps=12, base_model__quantization=quantization)
    learner = build_learner(spec, device="cpu")
    trainable = sum(p.numel() for p in learner.parameters() if p.requires_grad)
    assert trainable == count_learned(spec, read_architecture(spec.base_model))

    losses, learned, _ = run(spec, make_rows(8), tmp_path)
    assert losses[-1] < losses[0] - 0.02
    assert all(tensor.any() for name, tensor in learned.items() if "lora_B" in name)
    begun = dict(learner.named_parameters())
    for name, parameter in begun.items():
        if parameter.requires_grad and "lora_A" not in name and "lora_B" not in name:
            assert not torch.equal(parameter, learned[on_disk(name)])

    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            parameter.data.copy_(learned[on_disk(name)])
    save_learned(learner, spec, tmp_path / "adapter", weights_of(learner))
    plain = PeftModel.from_pretrained(load_base(spec.base_model), tmp_path / "adapter").eval()
    ids = list(range(30, 50))
    with torch.inference_mode():
        wanted = plain.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)[0, 20:]
    engine = Engine(
        load_base(spec.base_model),
        load_tokenizer(str(base)),
        slots=1,
        max_rank=spec.method.max_rank,
        max_batch=1,
        max_context=64,
    )
    with engine:
        engine.load_adapter("form", tmp_path / "adapter")
        (score,) = engine.score([(ids, [True] * 20)], "form")
        request = GenerateRequest("r", tuple(ids), "form", SamplingParams(12))
        (completion,) = engine.generate([request])
    assert list(completion.token_ids) == wanted.tolist()
    with torch.inference_mode():
        trained = learner.eval()(torch.tensor([ids]), labels=torch.tensor([ids])).loss
    assert score.nll_sum == pytest.approx(float(trained) * 19, rel=1e-5)


def test_patterns_are_what_peft_makes_of_them(model: Path, tmp_path: Path) -> None:
    from loray.train.learner import build_learner, save_learned

    spec = make_spec(model, method={"kind": "lora", "rank": 4, "alpha": 8, **FORMS["patterns"]})
    learner = build_learner(spec, device="cpu")
    layers = dict(learner.get_base_model().named_modules())
    found = {
        name: (layer.r["default"], layer.scaling["default"])
        for name, layer in layers.items()
        if hasattr(layer, "lora_A")
    }
    assert found["model.layers.0.self_attn.q_proj"] == (8, 0.5)
    assert found["model.layers.1.self_attn.q_proj"] == (4, 4.0)
    assert found["model.layers.1.mlp.down_proj"] == (2, 4.0)
    assert found["model.layers.0.mlp.up_proj"] == (4, 2.0)
    save_learned(learner, spec, tmp_path, weights_of(learner))
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert list(config["rank_pattern"].items()) == [
        ("layers.0.self_attn.q_proj", 8),
        ("down_proj", 2),
    ]


@pytest.mark.parametrize("strategy", [zero(0), zero(2), zero(3), FSDP, PLAIN])
def test_b_learns_as_much_faster_as_it_is_told(model: Path, tmp_path: Path, strategy: Any) -> None:
    """Adam's first step moves every weight by its learning rate, whatever the gradient."""
    changes = {}
    for ratio in (1.0, 4.0):
        spec = make_spec(
            model,
            train__optimizer={"learning_rate": 5e-3, "lora_plus_ratio": ratio},
            train__strategy=strategy,
            train__schedule={"kind": "constant", "warmup_steps": 0},
            train__max_grad_norm=1e6,
        )
        _, learned, _ = run(spec, make_rows(8), tmp_path, stop=1)
        moved = [t.abs().max() for name, t in learned.items() if "lora_B" in name]
        changes[ratio] = float(max(moved))
    assert changes[1.0] == pytest.approx(5e-3, rel=1e-3)
    assert changes[4.0] == pytest.approx(4 * 5e-3, rel=1e-3)


@pytest.mark.parametrize("strategy", [zero(2), PLAIN])
@pytest.mark.parametrize("dora", [False, True])
def test_a_run_of_two_rates_resumes_bit_for_bit(
    model: Path, tmp_path: Path, strategy: Any, dora: bool
) -> None:
    rows = make_rows(40)
    spec = make_spec(
        model,
        train__optimizer={"learning_rate": 5e-3, "lora_plus_ratio": 4.0},
        train__strategy=strategy,
        method__dora=dora,
    )
    whole = run(spec, rows, tmp_path)
    first = run(spec, rows, tmp_path, stop=4)
    second = run(spec, rows, tmp_path, state=(4, first[2]))
    assert first[0] + second[0] == whole[0]
    assert all(torch.equal(second[1][name], tensor) for name, tensor in whole[1].items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_dora_learns_the_same_sharded_or_not_and_recomputed_or_not(
    model: Path, tmp_path: Path, dtype: str
) -> None:
    rows = make_rows(40)
    ways = ({"train__strategy": PLAIN}, {}, {"train__gradient_checkpointing": True})
    runs = [
        run(make_spec(model, method__dora=True, base_model__dtype=dtype, **way), rows, tmp_path)
        for way in ways
    ]
    tolerance = TOLERANCE if dtype == "float32" else BF16_TOLERANCE
    assert_same_run(runs[0], runs[1], tolerance=tolerance)
    assert_same_run(runs[1], runs[2], tolerance=tolerance)


def test_a_base_with_an_output_of_zeros_is_refused_for_dora(model: Path) -> None:
    from loray.errors import ModelError
    from loray.models.adapter import attach_adapter
    from loray.models.load import load_base

    spec = make_spec(model, method__dora=True, base_model__quantization="none")
    base = load_base(spec.base_model)
    base.get_submodule("model.layers.1.mlp.up_proj").weight.data[3] = 0.0
    with pytest.raises(ModelError, match=r"output of model\.layers\.1\.mlp\.up_proj to a length"):
        attach_adapter(base, spec.method)


def test_a_pissa_run_resumes_bit_for_bit(model: Path, tmp_path: Path) -> None:
    from loray.train.learner import build_learner, save_learned, take_up

    rows = make_rows(40)
    spec = make_spec(model, method__init="pissa", base_model__quantization="none")
    whole = run(spec, rows, tmp_path)
    first = run(spec, rows, tmp_path, stop=4)
    second = run(spec, rows, tmp_path, state=(4, first[2]))
    assert first[0] + second[0] == whole[0]
    learner = build_learner(spec, device="cpu")
    save_learned(learner, spec, tmp_path / "adapter", weights_of(learner))
    other = build_learner(spec, device="cpu")
    take_up(other, load_file(tmp_path / "adapter" / "adapter_model.safetensors"))
    assert all(
        torch.equal(mine, theirs)
        for mine, theirs in zip(learner.parameters(), other.parameters(), strict=True)
    )

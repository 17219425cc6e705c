"""What the planner counts against what transformers and PEFT make."""

from pathlib import Path

import pytest

from loray.planner.configs import read_architecture
from loray.planner.memory import weight_bytes
from loray.planner.parameters import count_adapter, count_base, count_method, targets_of
from loray.spec.train import BaseModelSpec, LoraMethod

pytestmark = pytest.mark.filterwarnings("default")  # PEFT uses a name that transformers retires


@pytest.mark.parametrize(
    "targets", ["all-linear", "attention", "mlp", ("v_proj",), ("q_proj", "down_proj")]
)
def test_the_counts_are_those_of_the_modules(tiny_model_dir: Path, targets: object):
    from loray.models.adapter import attach_adapter
    from loray.models.load import load_base

    spec = BaseModelSpec(path=str(tiny_model_dir), quantization="none")
    shape, method = read_architecture(spec), LoraMethod(rank=4, targets=targets)
    model = load_base(spec)
    assert sum(p.numel() for p in model.parameters()) == count_base(shape).total
    adapted = attach_adapter(model, method)
    learned = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert learned == count_adapter(shape, targets_of(shape, method), 4)


@pytest.mark.parametrize("biases", ["none", "targets", "all"])
@pytest.mark.parametrize("targets", ["all-linear", "attention", ("v_proj", "up_proj")])
def test_the_biases_that_learn_are_counted(biased_model_dir: Path, biases: str, targets: object):
    from loray.models.adapter import attach_adapter
    from loray.models.load import load_base

    spec = BaseModelSpec(path=str(biased_model_dir), quantization="none")
    shape = read_architecture(spec)
    method = LoraMethod(rank=4, targets=targets, biases=biases)
    model = load_base(spec)
    assert sum(p.numel() for p in model.parameters()) == count_base(shape).total
    adapted = attach_adapter(model, method)
    learned = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert learned == count_method(shape, method)
    plain = count_adapter(shape, targets_of(shape, method), 4)
    of_one = {"q_proj": 64, "k_proj": 32, "v_proj": 32}
    wanted = {
        "none": 0,
        "targets": 2 * sum(of_one.get(name, 0) for name in targets_of(shape, method)),
        "all": 2 * 128,
    }
    assert learned - plain == wanted[biases]


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_the_weights_take_the_bytes_that_they_have(tiny_model_dir: Path, quantization: str):
    from loray.models.load import load_base

    spec = BaseModelSpec(path=str(tiny_model_dir), quantization=quantization)
    model = load_base(spec)
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    for module in model.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None:  # scales in 8 bits, and their own scales in float32
            held += state.absmax.numel() + 4 * state.state2.absmax.numel()
    planned = weight_bytes(spec, read_architecture(spec))
    # A scale of scales covers 256 scales; weights this small fill only a part of theirs.
    assert held == pytest.approx(planned, rel=0.01 if quantization == "nf4" else 0)

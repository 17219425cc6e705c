"""Biases that an adapter brings: served in one batch, each as plain PEFT computes it alone."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from loray.errors import AdapterError
from loray.inference import GenerateRequest, SamplingParams
from tests.inference.worlds import (
    build_base,
    plain_generate,
    prompt,
    read_base,
    write_adapter,
)

pytestmark = pytest.mark.slow  # numerics, seconds each: the second half of make test
NEW = 16
KINDS = {
    "lora": {},
    "targets": {"bias": "lora_only", "target_modules": ["q_proj", "o_proj", "up_proj"]},
    "all": {"bias": "all", "target_modules": ["v_proj", "down_proj"]},
    "dora": {"use_dora": True},
    "dora and all": {"use_dora": True, "bias": "all", "target_modules": ["q_proj", "k_proj"]},
}


class Biased:
    """A Qwen2 with biases, in full or in NF4, and adapters over it."""

    def __init__(self, root: Path, *, nf4: bool) -> None:
        self.root, self.nf4 = root, nf4
        made = build_base("qwen2", hidden_size=64, intermediate_size=128)
        move_biases(made, seed=5)
        made.save_pretrained(root / "base")
        self.adapters = {}
        for seed, (name, kind) in enumerate(KINDS.items(), start=41):
            base = self.base()
            if "bias" in kind:  # PEFT saves those of them that the kind says
                move_biases(base, seed=seed)
            self.adapters[name] = write_adapter(root / name, base, seed, **kind)

    def base(self) -> PreTrainedModel:
        return read_base(self.root / "base", nf4=self.nf4)

    def plain(self, name: str) -> PeftModel:
        """PEFT takes one adapter with biases over a base at a time."""
        return PeftModel.from_pretrained(self.base(), self.adapters[name], name).eval()


def move_biases(model: PreTrainedModel, *, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            parameter.data += torch.randn(parameter.shape, generator=generator)


def nll(model: PreTrainedModel, ids: tuple[int, ...]) -> float:
    """Nats over all tokens but the first."""
    with torch.inference_mode():
        loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss
    return float(loss) * (len(ids) - 1)


@pytest.fixture(scope="module", params=[False, True], ids=["in full", "NF4"])
def saved(request, tmp_path_factory) -> Biased:
    return Biased(tmp_path_factory.mktemp("biased"), nf4=request.param)


def test_the_files_hold_the_biases_that_the_kinds_say(saved):
    def biases(name: str) -> set[str]:
        names = load_file(saved.adapters[name] / "adapter_model.safetensors")
        prefix = "base_model.model.model.layers.0.self_attn."
        return {n.removeprefix(prefix) for n in names if n.startswith(prefix) and "bias" in n}

    assert biases("lora") == set()
    assert biases("targets") == {"q_proj.base_layer.bias"}
    assert biases("all") == {"q_proj.bias", "k_proj.bias", "v_proj.base_layer.bias"}


def test_all_kinds_in_one_batch_say_what_plain_peft_says_of_each(saved, new_engine):
    engine = new_engine(model=saved.base())
    for name, folder in saved.adapters.items():
        engine.load_adapter(name, folder)
    names = (None, *KINDS)
    jobs = [(names[i % 6], prompt(60 + i, 3 + (7 * i) % 30)) for i in range(8)]
    requests = [
        GenerateRequest(f"{i}", ids, name, SamplingParams(max_new_tokens=NEW))
        for i, (name, ids) in enumerate(jobs)
    ]
    answers = engine.generate(requests)
    plain = {name: saved.plain(name) for name in KINDS}
    for (name, ids), answer in zip(jobs, answers, strict=True):
        model = plain[name or "lora"]
        assert answer.token_ids == plain_generate(model, ids, name, NEW), name
    assert len({answer.token_ids for answer in answers}) > 4


def test_the_likelihoods_are_those_of_plain_peft_and_of_the_merged_model(saved, new_engine):
    ids = prompt(3, 40)
    engine = new_engine(model=saved.base())
    found = set()
    for name, folder in saved.adapters.items():
        engine.load_adapter(name, folder)
        (score,) = engine.score([(ids, [True] * 40)], name)
        plain = saved.plain(name)
        assert score.nll_sum == pytest.approx(nll(plain, ids), rel=1e-5)
        if not saved.nf4:  # in NF4, PEFT quantizes what it merged once more
            assert score.nll_sum == pytest.approx(nll(plain.merge_and_unload(), ids), rel=1e-5)
        found.add(round(score.nll_sum, 3))
    assert len(found) == len(KINDS)


def test_a_slot_that_held_biases_gives_the_base_back(saved, new_engine):
    ids = prompt(4, 30)
    engine = new_engine(model=saved.base(), slots=1)
    engine.load_adapter("all", saved.adapters["all"])
    engine.load_adapter("lora", saved.adapters["lora"])
    (score,) = engine.score([(ids, [True] * 30)], "lora")
    assert score.nll_sum == pytest.approx(nll(saved.plain("lora"), ids), rel=1e-5)
    (base,) = engine.score([(ids, [True] * 30)], None)
    assert base.nll_sum == pytest.approx(nll(saved.base(), ids), rel=1e-5)


def test_biases_over_a_base_that_has_none_are_refused(saved, new_engine, tmp_path):
    engine = new_engine(
        model=build_base("mistral", hidden_size=64, intermediate_size=128, head_dim=16)
    )
    with pytest.raises(AdapterError, match=r"has a bias \(32,\) for .*k_proj, .* has none"):
        engine.load_adapter("all", saved.adapters["all"])
    folder = saved.adapters["all"]
    weights = load_file(folder / "adapter_model.safetensors")
    stray = {"base_model.model.model.norm.bias": torch.ones(64)}
    (tmp_path / "adapter_config.json").write_bytes((folder / "adapter_config.json").read_bytes())
    save_file(weights | stray, tmp_path / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match=r"changes 'model\.norm', which .* no linear layer for"):
        new_engine(model=saved.base()).load_adapter("stray", tmp_path)

"""DoRA: what the engine serves is what plain PEFT computes, and what a merged model computes."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel

from loray.inference import GenerateRequest, SamplingParams
from tests.inference.worlds import (
    World,
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
    "dora": {"use_dora": True},
    "rsdora": {"use_dora": True, "use_rslora": True, "r": 8, "rank_pattern": {"up_proj": 3}},
    "few": {"use_dora": True, "target_modules": ["q_proj", "down_proj"], "size": 0.6},
}


def ask(number: int, adapter: str | None, ids: tuple[int, ...]) -> GenerateRequest:
    return GenerateRequest(f"{number}", ids, adapter, SamplingParams(max_new_tokens=NEW))


def biased(model):
    """The model with biases that are not zero, where it has any."""
    generator = torch.Generator().manual_seed(5)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    return model


class Saved(World):
    """A base model from a folder, in full or in NF4."""

    def __init__(self, root: Path, family: str, *, nf4: bool = False) -> None:
        heads = {"head_dim": 16} if family == "llama" else {}
        made = build_base(family, hidden_size=64, intermediate_size=128, **heads)
        biased(made).save_pretrained(root / "base")
        self.root, self.nf4 = root, nf4
        adapters = {
            name: write_adapter(root / name, self.base(), seed, **kind)
            for seed, (name, kind) in enumerate(KINDS.items(), start=31)
        }
        super().__init__(family, adapters)

    def base(self):
        return read_base(self.root / "base", nf4=self.nf4)


@pytest.fixture(
    scope="module",
    params=[("llama", False), ("qwen2", False), ("llama", True)],
    ids=["llama", "qwen2 with biases", "llama in NF4"],
)
def saved(request, tmp_path_factory) -> Saved:
    family, nf4 = request.param
    return Saved(tmp_path_factory.mktemp("dora"), family, nf4=nf4)


def test_plain_lora_and_dora_in_one_batch_say_what_plain_peft_says(saved, new_engine):
    engine, plain = new_engine(model=saved.base()), saved.peft()
    for name, folder in saved.adapters.items():
        engine.load_adapter(name, folder)
    names = (None, *KINDS)
    jobs = [(names[i % 5], prompt(60 + i, 3 + (7 * i) % 30)) for i in range(8)]
    answers = engine.generate([ask(i, name, ids) for i, (name, ids) in enumerate(jobs)])
    for (name, ids), answer in zip(jobs, answers, strict=True):
        assert answer.token_ids == plain_generate(plain, ids, name, NEW), name
    alone = {engine.generate([ask(0, name, prompt(1, 9))])[0].token_ids for name in names}
    assert len(alone) == len(names)


def test_the_likelihoods_are_those_of_plain_peft_and_of_the_merged_model(saved, new_engine):
    ids = prompt(3, 40)
    engine = new_engine(model=saved.base())
    for name, folder in saved.adapters.items():
        engine.load_adapter(name, folder)
        (score,) = engine.score([(ids, [True] * 40)], name)
        plain = PeftModel.from_pretrained(saved.base(), folder).eval()
        assert score.nll_sum == pytest.approx(_nll(plain, ids), rel=1e-5)
        if not saved.nf4:  # in NF4, PEFT quantizes what it merged once more
            merged = plain.merge_and_unload()
            assert score.nll_sum == pytest.approx(_nll(merged, ids), rel=1e-5)


def _nll(model, ids: tuple[int, ...]) -> float:
    """Nats over all tokens but the first."""
    with torch.inference_mode():
        loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss
    return float(loss) * (len(ids) - 1)

"""Types that no test compares family by family: taken if a small copy proves them, else refused."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from loray.errors import UnsupportedError
from loray.inference.engine import Engine
from loray.inference.proof import prove_engine
from loray.inference.request import GenerateRequest, SamplingParams
from loray.models import exactness
from loray.models.adapter import attach_adapter
from loray.models.exactness import prove_training
from loray.models.load import load_base
from loray.models.small_copy import small_config, small_copy
from loray.spec.train import BaseModelSpec, LoraMethod
from loray.train.loop import AnswerLoss
from tests.families import FAMILIES, SHAPE, build
from tests.inference.test_engine_families import Tokenizer, write_adapter
from tests.inference.worlds import plain_generate, prompt

SOUND: dict[str, dict[str, Any]] = {
    "starcoder2": {"sliding_window": 8},
    "stablelm": {},
    "gpt_neox": {"num_key_value_heads": None},
    "olmo3": {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
}
FALSE: dict[str, tuple[dict[str, Any], str]] = {
    "biogpt": ({"num_key_value_heads": None}, "packed rows see each other"),
    "mixtral": ({}, r"layers\.0\.mlp\.\S+ is not a linear layer's"),
    "falcon": ({}, "no list of `layers`"),
    "gpt2": ({}, "no list of `layers`"),
}


def make(kind: str, **own: Any) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    given = {k: v for k, v in {**SHAPE, **own}.items() if v is not None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **given)).eval()


@pytest.mark.parametrize("kind", SOUND)
def test_a_sound_type_is_taken_and_the_log_says_that_it_was_tried(kind: str, caplog) -> None:
    model = make(kind, **SOUND[kind])
    with caplog.at_level(logging.WARNING, logger="loray"):
        prove_training(model)
        prove_engine(model)
    words = f"type '{kind}' are not in the tested list; verified on a random small copy"
    assert caplog.text.count(words) == 2


@pytest.mark.parametrize("kind", FALSE)
def test_a_type_that_would_learn_something_else_is_refused_with_what_was_seen(kind: str) -> None:
    own, reason = FALSE[kind]
    with pytest.raises(UnsupportedError, match=reason):
        prove_training(make(kind, **own))


def test_a_scale_that_no_form_knows_is_found_by_the_copy(monkeypatch) -> None:
    """The same for an engine; Granite, were it unknown and its scale another."""
    from loray.inference import proof, runner
    from loray.models.logits import PLAIN

    monkeypatch.setattr(exactness, "TESTED", ())
    monkeypatch.setattr(proof, "TESTED", ())
    model = build("granite")
    prove_training(model)
    prove_engine(model)
    monkeypatch.setattr(exactness, "logit_form", lambda _: PLAIN)
    monkeypatch.setattr(runner, "logit_form", lambda _: PLAIN)
    with pytest.raises(UnsupportedError, match="logits are not those of its output projection"):
        prove_training(model)
    with pytest.raises(UnsupportedError, match="of prompts is not what transformers makes"):
        prove_engine(model)


def test_a_window_that_an_engine_forgets_is_found_by_the_copy(monkeypatch) -> None:
    from loray.inference import masks, proof

    monkeypatch.setattr(proof, "TESTED", ())
    model = build("gemma3_text")
    prove_engine(model)
    monkeypatch.setattr(masks, "SLIDING", "none")
    with pytest.raises(UnsupportedError, match="decodes is not what transformers does"):
        prove_engine(model)


@pytest.mark.parametrize("name", ["gemma3_text", "smollm3, windows", "phi3", "qwen2"])
def test_a_copy_is_small_and_has_every_kind_of_layer(name: str) -> None:
    changes: dict[str, Any] = {"num_hidden_layers": 12}
    if "layer_types" in FAMILIES[name][1]:
        changes["layer_types"] = (["sliding_attention"] * 5 + ["full_attention"]) * 2
    if "no_rope_layers" in FAMILIES[name][1]:
        changes["no_rope_layers"] = [1, 1, 1, 0] * 3
    model = build(name, hidden_size=128, **changes)
    small = small_config(model.config)
    kinds = getattr(model.config, "layer_types", None)
    if kinds is not None:
        assert set(small.layer_types) == set(kinds)
        assert len(small.layer_types) == small.num_hidden_layers
    assert sum(p.numel() for p in small_copy(model).parameters()) < 400_000
    assert model.config.num_hidden_layers == 12


def test_an_untested_type_learns_and_answers_what_plain_peft_does(tmp_path: Path) -> None:
    make("starcoder2", **SOUND["starcoder2"]).save_pretrained(tmp_path / "base")
    base = BaseModelSpec(path=str(tmp_path / "base"), quantization="none", dtype="float32")
    model = attach_adapter(load_base(base), LoraMethod(rank=2, targets=("c_fc", "q_proj")))
    assert {n.split(".")[-4] for n, p in model.named_parameters() if p.requires_grad} == {
        "c_fc",
        "q_proj",
    }
    ids = torch.tensor([prompt(1, 20)])
    loss = AnswerLoss(model.get_base_model())(ids, ids, torch.arange(20)[None])
    assert float(loss) == pytest.approx(float(model(ids, labels=ids).loss) * 19, rel=1e-6)

    from peft import PeftModel

    folder = write_adapter(tmp_path / "adapter", load_base(base), 1)
    plain = PeftModel.from_pretrained(load_base(base), folder, "a").eval()
    jobs = [(key, prompt(length, length)) for key in (None, "a") for length in (3, 17)]
    sizes = {"slots": 1, "max_rank": 4, "max_batch": 4, "max_context": 64}
    with Engine(load_base(base), Tokenizer(), **sizes) as engine:
        engine.load_adapter("a", folder)
        requests = [
            GenerateRequest(str(i), row, key, SamplingParams(max_new_tokens=12))
            for i, (key, row) in enumerate(jobs)
        ]
        found = [answer.token_ids for answer in engine.generate(requests)]
    assert found == [plain_generate(plain, row, key, 12) for key, row in jobs]

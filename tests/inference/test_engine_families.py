"""The engine says what transformers and PEFT say, in every family and whoever shares the batch."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from loray.inference import GenerateRequest, SamplingParams
from tests.families import FAMILIES, NAMES, WINDOW, build
from tests.inference.worlds import ByteTokenizer, plain_generate, prompt

pytestmark = pytest.mark.slow  # numerics, seconds each: the second half of make test
NEW = 12
LENGTHS = (3, WINDOW - 1, WINDOW, 21)
"""Of prompts: shorter and longer than a window, and those that outgrow it."""


class Tokenizer(ByteTokenizer):
    eos_token_id = 299


def write_adapter(folder, base, seed: int, **changes):
    config = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    model = get_peft_model(base, LoraConfig(**config | changes))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_" in name:
                drawn = torch.randn(weights.shape, generator=generator) * 0.2
                weights.copy_(weights * (1 + drawn) if "magnitude" in name else drawn)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_tokens_and_scores_of_a_mixed_batch_equal_plain_peft(name: str, tmp_path):
    from loray.inference.engine import Engine

    folders = {
        "a": write_adapter(tmp_path / "a", build(name), 1),
        "b": write_adapter(tmp_path / "b", build(name), 2, use_rslora=True, r=2),
        "c": write_adapter(tmp_path / "c", build(name), 3, use_dora=True),
    }
    plain = PeftModel.from_pretrained(build(name), folders["a"], "a")
    for key in "bc":
        plain.load_adapter(folders[key], key)
    plain.eval()
    jobs = [
        (key, prompt(10 * i + length, length))
        for i, key in enumerate((None, "a", "b", "c"))
        for length in LENGTHS
    ]
    sizes = {"slots": 3, "max_rank": 4, "max_batch": 6, "max_context": 64}
    with Engine(build(name), Tokenizer(), **sizes) as engine:
        for key, folder in folders.items():
            engine.load_adapter(key, folder)
        requests = [
            GenerateRequest(str(i), ids, key, SamplingParams(max_new_tokens=NEW))
            for i, (key, ids) in enumerate(jobs)
        ]
        answers = engine.generate(requests)
        wanted = [plain_generate(plain, ids, key, NEW) for key, ids in jobs]
        assert [answer.token_ids for answer in answers] == wanted
        assert len(set(wanted)) > len(jobs) // 2
        for key in (None, "a", "b", "c"):
            rows = [ids for other, ids in jobs if other == key]
            scores = engine.score([(ids, [True] * len(ids)) for ids in rows], key)
            for ids, score in zip(rows, scores, strict=True):
                nll = plain_nll(plain, ids, key)
                assert score.nll_sum == pytest.approx(nll, rel=2e-5)


def plain_nll(model, ids, key) -> float:
    """Summed over the tokens after the first, by transformers' own loss."""
    rows = torch.tensor([ids])
    with torch.inference_mode():
        if key is None:
            with model.disable_adapter():
                loss = model(rows, labels=rows).loss
        else:
            model.set_adapter(key)
            loss = model(rows, labels=rows).loss
    return float(loss) * (len(ids) - 1)


def test_windows_and_other_positions_matter_in_what_is_compared():
    """Or the tests above would show nothing."""
    ids = torch.tensor([prompt(5, 21)])
    for name in ("mistral, window", "gemma2", "gemma3_text", "cohere2", "qwen2, windows"):
        wide = build(name, sliding_window=200)
        with torch.inference_mode():
            assert not torch.allclose(build(name)(ids).logits[0, -1], wide(ids).logits[0, -1])
    assert {kind for kind, _ in FAMILIES.values()} >= {"phi3", "olmo2", "smollm3", "granite"}

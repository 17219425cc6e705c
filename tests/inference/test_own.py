"""Embeddings and output projections of adapters' own, each as plain PEFT computes it alone."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from loray.errors import AdapterError
from loray.inference import GenerateRequest, SamplingParams
from loray.inference.own import SlottedTable, TableUpdate
from loray.inference.rows import BASE, RowSlots
from tests.inference.worlds import build_base, plain_generate, prompt

NEW = 16
KINDS = {
    "lora": [],
    "head": ["lm_head"],
    "embedding": ["embed_tokens"],
    "both": ["embed_tokens", "lm_head"],
}
SLOTS, VOCAB, HIDDEN = 3, 20, 8


def table(kind: str) -> tuple[SlottedTable, dict[int, torch.Tensor]]:
    """A table of which slots 0 and 2 have their own matrix, and what each slot's is."""
    base = nn.Embedding(VOCAB, HIDDEN) if kind == "embedding" else nn.Linear(HIDDEN, VOCAB, False)
    made = SlottedTable(base)
    weights = {slot: torch.randn(VOCAB, HIDDEN) for slot in (0, 2)}
    for slot, weight in weights.items():
        made.fill(slot, weight)
    return made, {1: base.weight, BASE: base.weight, **weights}


@pytest.mark.parametrize("kind", ["embedding", "head"])
@pytest.mark.parametrize("is_prefill", [True, False])
@pytest.mark.parametrize(
    "slots", [[0, 0], [1, 1], [BASE, BASE], [BASE, 0, 1, 2], [BASE, 2], [0, 1, 2, 2]]
)
def test_every_row_gets_its_own_slots_matrix(kind: str, is_prefill: bool, slots: list[int]) -> None:
    made, weights = table(kind)
    if not is_prefill:
        slots = slots[::-1]
    made.set_rows(RowSlots.of(slots, torch.device("cpu"), is_prefill=is_prefill))
    n = len(slots)
    x = torch.arange(3 * n).view(n, 3) % VOCAB if kind == "embedding" else torch.randn(n, HIDDEN)
    with torch.inference_mode():
        y = made(x)
    for row, slot in enumerate(slots):
        own = weights[slot].detach()
        wanted = own[x[row]] if kind == "embedding" else own @ x[row]
        assert torch.allclose(y[row], wanted, atol=1e-5)
    made.set_rows(None)
    assert torch.equal(made(x), made.base(x))


@pytest.mark.parametrize("kind", ["embedding", "head"])
@pytest.mark.parametrize("is_prefill", [True, False])
@pytest.mark.parametrize("slots", [[1, 1], [BASE, BASE], [BASE, 0, 1, 1, 2], [BASE, 1]])
def test_a_slots_update_is_added_to_its_own_rows(
    kind: str, is_prefill: bool, slots: list[int]
) -> None:
    made, weights = table(kind)
    sides = (VOCAB, HIDDEN) if kind == "embedding" else (HIDDEN, VOCAB)
    a, b = torch.randn(sides[0], 3), torch.randn(3, sides[1])
    made.fill(1, None, TableUpdate(a, b))
    if not is_prefill:
        slots = slots[::-1]
    made.set_rows(RowSlots.of(slots, torch.device("cpu"), is_prefill=is_prefill))
    n = len(slots)
    x = torch.arange(3 * n).view(n, 3) % VOCAB if kind == "embedding" else torch.randn(n, HIDDEN)
    with torch.inference_mode():
        y = made(x)
    for row, slot in enumerate(slots):
        own = weights[slot].detach()
        wanted = own[x[row]] if kind == "embedding" else own @ x[row]
        if slot == 1:
            wanted = wanted + (a[x[row]] @ b if kind == "embedding" else x[row] @ a @ b)
        assert torch.allclose(y[row], wanted, atol=1e-5)
    made.fill(1, None)
    made.set_rows(RowSlots.of([1], torch.device("cpu"), is_prefill=True))
    with torch.inference_mode():
        assert torch.equal(made(x[:1]), made.base(x[:1]))


def test_a_slot_that_is_filled_anew_keeps_no_matrix() -> None:
    made, _ = table("head")
    for slot in (0, 2):
        made.fill(slot, None)
    made.set_rows(RowSlots.of([0, 2], torch.device("cpu"), is_prefill=True))
    assert made._own == {}
    x = torch.randn(2, HIDDEN)
    assert torch.equal(made(x), made.base(x))


def base():
    return build_base("llama", tie_word_embeddings=False)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory) -> dict[str, Path]:
    root, found = tmp_path_factory.mktemp("own"), {}
    for seed, (name, modules) in enumerate(KINDS.items(), start=51):
        config = LoraConfig(
            r=4,
            lora_alpha=8,
            target_modules=["q_proj", "up_proj"],
            modules_to_save=modules or None,
            task_type="CAUSAL_LM",
        )
        model = get_peft_model(base(), config)
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
        model.save_pretrained(root / name)
        found[name] = root / name
    return found


def plain(folder: Path) -> PeftModel:
    return PeftModel.from_pretrained(base(), folder, folder.name).eval()


@pytest.mark.slow
def test_all_kinds_in_one_batch_say_what_plain_peft_says_of_each(adapters, new_engine):
    engine = new_engine(model=base())
    for name, folder in adapters.items():
        engine.load_adapter(name, folder)
    names = (None, *KINDS)
    jobs = [(names[i % 5], prompt(80 + i, 3 + (7 * i) % 30)) for i in range(8)]
    answers = engine.generate(
        [
            GenerateRequest(f"{i}", ids, name, SamplingParams(max_new_tokens=NEW))
            for i, (name, ids) in enumerate(jobs)
        ]
    )
    models = {name: plain(folder) for name, folder in adapters.items()}
    for (name, ids), answer in zip(jobs, answers, strict=True):
        wanted = plain_generate(models[name or "lora"], ids, name, NEW)
        assert answer.token_ids == wanted, name
    assert len({answer.token_ids for answer in answers}) == len(jobs)


@pytest.mark.slow
def test_the_likelihoods_are_those_of_plain_peft_and_of_the_merged_model(adapters, new_engine):
    def nll(model) -> float:
        with torch.inference_mode():
            return float(model(input_ids=tokens, labels=tokens).loss) * (len(ids) - 1)

    ids = prompt(3, 40)
    tokens = torch.tensor([ids])
    engine = new_engine(model=base(), slots=1)
    for name, folder in adapters.items():
        engine.load_adapter(name, folder)
        (score,) = engine.score([(ids, [True] * 40)], name)
        model = plain(folder)
        assert score.nll_sum == pytest.approx(nll(model), rel=1e-5)
        assert score.nll_sum == pytest.approx(nll(model.merge_and_unload()), rel=1e-5)
        (bare,) = engine.score([(ids, [True] * 40)], None)
        assert bare.nll_sum == pytest.approx(nll(base()), rel=1e-5)


@pytest.mark.slow
def test_the_model_is_given_back_and_another_vocabulary_is_refused(adapters, new_engine):
    model = base()
    ends = model.get_input_embeddings(), model.get_output_embeddings()
    engine = new_engine(model=model)
    assert isinstance(model.get_output_embeddings(), SlottedTable)
    engine.close()
    assert (model.get_input_embeddings(), model.get_output_embeddings()) == ends
    other = new_engine(model=build_base("llama", tie_word_embeddings=False, vocab_size=270))
    with pytest.raises(AdapterError, match=r"'lm_head' in full, \(260, 48\), .*has \(270, 48\)"):
        other.load_adapter("head", adapters["head"])

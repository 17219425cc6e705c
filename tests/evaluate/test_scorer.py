import math
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch.nn import functional
from transformers import AutoTokenizer, GenerationConfig

from loray.errors import AdapterError
from loray.evaluate.assemble import score_suite
from loray.evaluate.candidate_files import pack
from loray.evaluate.rows import BASE, Candidate, Row, RowResult, list_checkpoints
from loray.evaluate.scorer import Scorer
from loray.evaluate.work import WorkItem
from loray.models.load import load_base, stop_at
from loray.spec.evaluate import EvalSpec
from loray.spec.run import RunSpec
from loray.spec.train import FullMethod
from tests.evaluate.evaluations import make_rows, run_spec

pytestmark = pytest.mark.slow  # seconds each: the second half of make test

ROWS = make_rows(6)


def spec_of(folder: Path, **changes: object) -> RunSpec:
    return run_spec(base=folder, evaluate=EvalSpec(max_new_tokens=12, batch_size=4), **changes)


@pytest.fixture(scope="module")
def scorer(tiny_model_dir: Path) -> Scorer:
    return Scorer(spec_of(tiny_model_dir))


def score(scorer: Scorer, candidate: Candidate, rows: tuple[Row, ...] = ROWS) -> list[RowResult]:
    scorer.hold(candidate.name, pack(candidate.folder) if candidate.folder else None)
    return list(scorer.score(WorkItem(candidate, "test", 0, rows, generate=True)))


BASE_CANDIDATE = Candidate(BASE, 0, None)


def plain_nll(model: torch.nn.Module, tokenizer: object, row: Row) -> tuple[float, int]:
    """The same number by the shortest route: the template's text, one row, transformers alone."""
    prompt = "".join(f"<|{role}|>{content}<|end|>" for role, content in row.prompt)
    before = tokenizer(prompt + "<|assistant|>", add_special_tokens=False).input_ids
    answer = tokenizer(f"{row.reference}<|end|>", add_special_tokens=False).input_ids
    ids = torch.tensor([before + answer])
    with torch.no_grad():
        logits = model(ids).logits[0, len(before) - 1 : -1].double()
    return float(functional.cross_entropy(logits, ids[0, len(before) :], reduction="sum")), len(
        answer
    )


def test_scores_and_answers_equal_those_of_plain_peft(
    scorer: Scorer, tiny_model_dir: Path, training_dir: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    candidates = [BASE_CANDIDATE, *list_checkpoints(training_dir)]
    for candidate in candidates:
        model = load_base(spec_of(tiny_model_dir).base_model)
        if candidate.folder is not None:
            model = PeftModel.from_pretrained(model, candidate.folder)
        for row, result in zip(ROWS, score(scorer, candidate), strict=True):
            nll, targets = plain_nll(model, tokenizer, row)
            assert result.id == row.id
            assert result.num_targets == targets
            assert result.nll_sum == pytest.approx(nll, rel=1e-5)
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": ROWS[0].prompt[0][1]}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        greedy = GenerationConfig(max_new_tokens=12, do_sample=False, pad_token_id=0)
        made = model.generate(**prompt, generation_config=greedy)
        text = tokenizer.decode(made[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
        assert score(scorer, candidate)[0].answer == text


def test_candidates_differ_and_each_can_be_scored_again(scorer: Scorer, training_dir: Path) -> None:
    candidates = [BASE_CANDIDATE, *list_checkpoints(training_dir)]
    first = [score(scorer, candidate) for candidate in candidates]
    again = [score(scorer, candidate) for candidate in reversed(candidates)][::-1]
    assert first == again, "what was held before leaves no trace"
    assert len({rows[0].nll_sum for rows in first}) == len(candidates)


def test_a_row_scores_the_same_in_any_company(scorer: Scorer) -> None:
    rows = (*ROWS, Row("long", (("user", "x" * 60),), "y" * 20))
    together = score(scorer, BASE_CANDIDATE, rows)
    for row, result in zip(rows, together, strict=True):
        (alone,) = score(scorer, BASE_CANDIDATE, (row,))
        assert alone.nll_sum == pytest.approx(result.nll_sum, rel=1e-5)
        assert alone.answer == result.answer


def test_raw_text_is_scored_whole_and_not_answered(scorer: Scorer) -> None:
    (result,) = score(scorer, BASE_CANDIDATE, (Row("a", (), "just text"),))
    assert result.answer is None
    assert result.num_targets >= 2
    assert math.isfinite(result.nll_sum)


def test_a_full_training_is_scored_as_a_whole_model(tiny_model_dir: Path, tmp_path: Path) -> None:
    spec = spec_of(tiny_model_dir, method=FullMethod(kind="full"))
    model = load_base(spec.base_model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.3)
    model.save_pretrained(tmp_path)
    scorer = Scorer(spec)
    candidate = Candidate("step-000010", 10, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    (base, *_), (trained, *_) = score(scorer, BASE_CANDIDATE), score(scorer, candidate)
    assert base.nll_sum != trained.nll_sum
    assert trained.nll_sum == pytest.approx(plain_nll(model, tokenizer, ROWS[0])[0], rel=1e-5)
    assert score(scorer, BASE_CANDIDATE)[0] == base


def test_a_damaged_checkpoint_is_refused(
    scorer: Scorer, training_dir: Path, tmp_path: Path
) -> None:
    files = dict(pack(list_checkpoints(training_dir)[0].folder))
    files["adapter_model.safetensors"] = files["adapter_model.safetensors"][:-100]
    with pytest.raises(AdapterError):
        scorer.hold("step-000040", files)
    assert score(scorer, BASE_CANDIDATE)


def test_a_row_that_does_not_fit_is_counted_and_costs_the_others_nothing(scorer: Scorer) -> None:
    room = scorer._max_context
    rows = (
        Row("a", (("user", "long " * room),), "x"),
        ROWS[0],
        Row("b", (("user", "short"),), "y" * 2 * room),
        Row("c", (), "z" * 2 * room),
    )
    prompt, sound, reference, raw = score(scorer, BASE_CANDIDATE, rows)
    (by_itself,) = score(scorer, BASE_CANDIDATE, ROWS[:1])
    assert (sound.answer, sound.is_too_long) == (by_itself.answer, False)
    assert sound.nll_sum == pytest.approx(by_itself.nll_sum, rel=1e-6)
    assert (prompt.answer, prompt.num_targets, prompt.is_too_long) == (None, 0, True)
    assert reference.answer is not None
    assert (reference.num_targets, reference.is_too_long) == (0, True)
    assert (raw.answer, raw.num_targets, raw.is_too_long) == (None, 0, True)
    counted = score_suite(("perplexity", "rougeL"), (prompt, sound, reference, raw), rows)
    assert (counted.rows, counted.answered, counted.too_long) == (4, 2, 3)
    alone = score_suite(("perplexity",), (sound,), rows)
    assert counted.metrics["perplexity"] == alone.metrics["perplexity"]


def test_answers_end_where_training_ended_them(tiny_model_dir: Path) -> None:
    model = load_base(spec_of(tiny_model_dir).base_model)
    model.generation_config.eos_token_id = 0
    stop_at(model, 7)
    stop_at(model, 7)
    assert model.generation_config.eos_token_id == [0, 7]

"""The untrained model that tests and pretraining start from."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from loray.quickstart.initialise import CONTROL_TOKENS, write_random_model

TEXTS = ["def get_close_matches(word, possibilities, n=3, cutoff=0.6):\n    return matches\n"] * 3


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_random_model(tmp_path / name, TEXTS, vocab_size=300, seed=3)
    write_random_model(tmp_path / "other", TEXTS, vocab_size=300, seed=4)
    one, two, other = (digests(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert {name for name in one if one[name] != other[name]} == {"model.safetensors"}


def test_transformers_loads_it_and_it_computes(tmp_path):
    write_random_model(tmp_path, TEXTS, vocab_size=300, hidden_size=48, layers=3, dtype="bfloat16")
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert model.dtype == torch.bfloat16
    assert len(model.model.layers) == 3
    ids = tokenizer("def f():", return_tensors="pt").input_ids
    assert model(ids).logits.shape == (1, ids.shape[1], len(tokenizer))
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


@pytest.mark.parametrize("texts", [None, TEXTS])
def test_any_text_survives_the_tokenizer(tmp_path, texts):
    write_random_model(tmp_path, texts, vocab_size=300)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = "  def h\u00e9llo(\u4f60\u597d):\r\n\t return '\u200b' \U0001f600 .  "
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_control_tokens_come_first_and_end_stops(tmp_path):
    write_random_model(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.convert_ids_to_tokens(range(5)) == list(CONTROL_TOKENS)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|end|>", "<|endoftext|>")
    assert json.loads((tmp_path / "config.json").read_text())["eos_token_id"] == 4


def test_the_chat_template_marks_every_turn(tmp_path):
    write_random_model(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rendered = tokenizer.apply_chat_template(turns, tokenize=False)
    assert rendered == "<|user|>q<|end|><|assistant|>a<|end|>"
    prompt = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    assert rendered.startswith(prompt)
    assert prompt.endswith("<|assistant|>")


def test_a_turn_of_no_known_role_is_refused(tmp_path):
    write_random_model(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    with pytest.raises(Exception, match="unknown role tool"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)

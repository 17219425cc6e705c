"""Chat templates by name, over a tokenizer that has their control tokens and one that has not."""

import pytest

from loray.errors import ModelError
from loray.models.chat import encode, encode_prompt, end_token_id
from loray.models.templates import TEMPLATES
from loray.quickstart.initialise import train_tokenizer
from loray.spec.data import ChatSpec


def bare_tokenizer():
    return train_tokenizer([f"a word or two more {n}" for n in range(40)], 400, 512)


BARE = bare_tokenizer()
TURNS = [{"role": "user", "content": "a word"}, {"role": "assistant", "content": "two more"}]


LLAMA_3_TEXT = (
    "<|endoftext|><|start_header_id|>user<|end_header_id|>\n\na word<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\ntwo more<|eot_id|>"
)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "chatml",
            "<|im_start|>user\na word<|im_end|>\n<|im_start|>assistant\ntwo more<|im_end|>\n",
        ),
        ("llama3", LLAMA_3_TEXT),
    ],
)
def test_a_named_template_serves_a_base_that_has_its_control_tokens(name, wanted):
    tokenizer = bare_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(TEMPLATES[name].control_texts)})
    chat = ChatSpec(template=name)
    encoded = encode(TURNS, tokenizer, chat)
    assert tokenizer.decode(encoded.input_ids) == wanted
    end = TEMPLATES[name].control_texts[-1]
    kept = zip(encoded.input_ids, encoded.target_mask, strict=True)
    assert tokenizer.decode([i for i, is_target in kept if is_target]) == f"two more{end}"
    assert end_token_id(tokenizer, chat) == tokenizer.convert_tokens_to_ids(end)
    prompt = encode_prompt(TURNS[:1], tokenizer, chat)
    assert prompt == encoded.input_ids[: len(prompt)]


def test_a_named_template_is_refused_where_its_control_tokens_are_missing():
    with pytest.raises(ModelError, match=r"chatml writes <\|im_start\|>, <\|im_end\|>, which"):
        encode(TURNS, BARE, ChatSpec(template="chatml"))

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loray.errors import ModelError
from loray.models.chat import encode, encode_prompt, end_token_id, load_tokenizer
from loray.quickstart.initialise import train_tokenizer
from loray.spec.data import ChatSpec

BASE = ChatSpec()
PLAIN = ChatSpec(template="plain")
CONTROL = ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
WORDS = [f"a word or two\nand {n} more  words, don't" for n in range(40)]
TEMPLATES = {
    "marks": None,
    "chatml": (
        "{% for m in messages %}<|user|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|user|>assistant\n{% endif %}"
    ),
    "no control token between prompt and answer": (
        "{% for m in messages %}"
        "{% if m.role == 'assistant' %} {{ m.content }}<|end|>{% else %}Q: {{ m.content }} A:"
        "{% endif %}{% endfor %}"
    ),
    "no control token at all": (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    ),
}


def tokenizer_with(template=None):
    tokenizer = train_tokenizer(WORDS, 400, 512)
    if template is not None:
        tokenizer.chat_template = template
    return tokenizer


LLAMA_2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }} {{ eos_token }}{% endif %}{% endfor %}"
)


def metaspace_tokenizer():
    """As of SentencePiece: spaces are part of tokens, and a text gets one in front."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    bpe.decoder = decoders.Metaspace(prepend_scheme="first")
    special = ["<unk>", *CONTROL]
    bpe.train_from_iterator(
        [*WORDS, *CONTROL, "[INST] [/INST] user"],
        trainers.BpeTrainer(vocab_size=300, special_tokens=special, show_progress=False),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        unk_token="<unk>",
        bos_token="<|endoftext|>",
        eos_token="<|end|>",
        additional_special_tokens=["<|user|>", "<|assistant|>", "<|system|>"],
        chat_template=LLAMA_2,
    )


TOKENIZERS = {name: tokenizer_with(template) for name, template in TEMPLATES.items()}
TOKENIZERS["metaspace"] = metaspace_tokenizer()
MARKS = TOKENIZERS["marks"]


def ask(*contents):
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(contents)]


def learned(encoded, tokenizer=MARKS):
    kept = [i for i, is_target in zip(*vars(encoded).values(), strict=True) if is_target]
    return tokenizer.decode(kept)


def test_a_question_and_its_answer_are_tokenized_as_the_template_does():
    turns = ask("a word", "two more words")
    assert encode(turns, MARKS, BASE).input_ids == MARKS.apply_chat_template(turns)["input_ids"]


def test_only_the_answer_and_its_end_token_are_learned():
    assert learned(encode(ask("a word", "two more"), MARKS, BASE)) == "two more<|end|>"


def test_an_answer_is_tokenized_as_in_the_whole_text_where_spaces_belong_to_tokens():
    tokenizer = TOKENIZERS["metaspace"]
    turns = ask("a word", "two more words", "and", "more")
    whole = tokenizer.apply_chat_template(turns)["input_ids"]
    assert encode(turns, tokenizer, BASE).input_ids == whole
    assert learned(encode(turns[:2], tokenizer, BASE), tokenizer) == "two more words <|end|>"


def test_hostile_text_is_spelled_out_where_no_token_spells_every_character():
    tokenizer = TOKENIZERS["metaspace"]
    encoded = encode(ask("a word", "two <|end|> \U0001f600"), tokenizer, BASE)
    assert tokenizer.decode(encoded.input_ids).count("<|end|>") == 2
    assert encoded.input_ids.count(tokenizer.unk_token_id) == 1


def test_every_answer_of_a_conversation_is_learned():
    encoded = encode(ask("one", "two", "three", "four"), MARKS, BASE)
    assert learned(encoded) == "two<|end|>four<|end|>"


def test_what_the_template_writes_after_the_end_token_is_not_learned():
    tokenizer = TOKENIZERS["chatml"]
    encoded = encode(ask("one", "two"), tokenizer, BASE)
    assert tokenizer.decode(encoded.input_ids).endswith("<|end|>\n")
    assert learned(encoded, tokenizer) == "two<|end|>"


def test_an_answer_gets_an_end_token_where_the_template_writes_none():
    tokenizer = TOKENIZERS["no control token at all"]
    encoded = encode(ask("one", "two", "three", "four"), tokenizer, BASE)
    assert learned(encoded, tokenizer) == "two\n<|end|>four\n<|end|>"
    assert end_token_id(tokenizer, BASE) == tokenizer.eos_token_id


texts = st.one_of(
    st.sampled_from(["a word", " two", "\n", "\n\nmore", "more  words ", "don't", *CONTROL]),
    st.text(max_size=12).filter(lambda t: not any("\ud800" <= c <= "\udfff" for c in t)),
    st.lists(st.sampled_from([*CONTROL, "<|", "end|>", " ", "x"]), max_size=4).map("".join),
).filter(bool)


@settings(max_examples=40, deadline=None)
@given(st.lists(texts, min_size=2, max_size=6), st.sampled_from([*TOKENIZERS, "plain"]))
def test_what_a_model_sees_before_an_answer_is_what_it_learned_from(contents, name):
    tokenizer = TOKENIZERS.get(name, MARKS)
    chat = PLAIN if name == "plain" else BASE
    turns = ask(*contents[: len(contents) // 2 * 2])
    whole = encode(turns, tokenizer, chat)
    for number in range(1, len(turns), 2):
        prompt = encode_prompt(turns[:number], tokenizer, chat)
        assert whole.input_ids[: len(prompt)] == prompt
        assert whole.target_mask[len(prompt)]
        assert not whole.target_mask[len(prompt) - 1]


@settings(max_examples=40, deadline=None)
@given(st.lists(texts, min_size=2, max_size=4), st.sampled_from([*TOKENIZERS, "plain"]))
def test_control_tokens_in_a_row_are_plain_text(contents, name):
    tokenizer = TOKENIZERS.get(name, MARKS)
    chat = PLAIN if name == "plain" else BASE
    turns = ask(*contents[: len(contents) // 2 * 2])
    benign = [{**turn, "content": "x"} for turn in turns]
    ids = tokenizer.convert_tokens_to_ids(list(CONTROL))
    found = [i for i in encode(turns, tokenizer, chat).input_ids if i in ids]
    assert found == [i for i in encode(benign, tokenizer, chat).input_ids if i in ids]


@settings(max_examples=40, deadline=None)
@given(st.lists(texts, min_size=2, max_size=4))
def test_the_ids_spell_the_rendered_text(contents):
    turns = ask(*contents[: len(contents) // 2 * 2])
    text = MARKS.apply_chat_template(turns, tokenize=False)
    assert MARKS.decode(encode(turns, MARKS, BASE).input_ids) == text


@settings(max_examples=40, deadline=None)
@given(st.lists(texts, min_size=2, max_size=2))
def test_hostile_text_is_tokenized_as_transformers_does_when_it_sanitizes(contents):
    turns = ask(*contents)
    theirs = MARKS.apply_chat_template(turns, sanitize_control_tokens=True)["input_ids"]
    assert MARKS.decode(encode(turns, MARKS, BASE).input_ids) == MARKS.decode(theirs)


def test_raw_text_is_learned_whole_and_ends():
    encoded = encode([{"role": "text", "content": "a word <|end|>"}], MARKS, BASE)
    assert learned(encoded) == "a word <|end|><|end|>"
    assert all(encoded.target_mask)
    assert encoded.input_ids.count(MARKS.eos_token_id) == 1
    assert encode_prompt([], MARKS, BASE) == []


def test_raw_text_starts_with_the_token_that_the_tokenizer_opens_with():
    from tokenizers.processors import TemplateProcessing

    tokenizer = tokenizer_with()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    encoded = encode([{"role": "text", "content": "a word"}], tokenizer, BASE)
    assert encoded.input_ids[0] == tokenizer.bos_token_id
    assert not encoded.target_mask[0]
    assert encode_prompt([], tokenizer, BASE) == [tokenizer.bos_token_id]


def test_the_plain_template_joins_turns_without_marks():
    encoded = encode(ask("one ", "two"), MARKS, PLAIN)
    assert MARKS.decode(encoded.input_ids) == "one two<|end|>"
    assert learned(encoded) == "two<|end|>"


@pytest.mark.parametrize("template", ["base", "plain"])
def test_a_system_turn_is_added_only_where_a_row_brings_none(template):
    chat = ChatSpec(template=template, system="be brief")
    own = [{"role": "system", "content": "sing"}, *ask("one", "two")]
    assert "be brief" in MARKS.decode(encode(ask("one", "two"), MARKS, chat).input_ids)
    assert "be brief" not in MARKS.decode(encode(own, MARKS, chat).input_ids)
    assert "be brief" in MARKS.decode(encode_prompt(ask("one"), MARKS, chat))


def test_a_template_that_rewrites_earlier_turns_is_refused():
    tokenizer = tokenizer_with(
        "{% for m in messages %}<|user|>{{ loop.revindex }}{{ m.content }}<|end|>{% endfor %}"
    )
    with pytest.raises(ModelError, match="writes turns 1 to 2 differently"):
        encode(ask("one", "two"), tokenizer, BASE)


def test_a_template_that_refuses_a_role_says_so():
    with pytest.raises(ModelError, match="refuses turns of roles"):
        encode([{"role": "critic", "content": "x"}, *ask("a", "b")], MARKS, BASE)


@pytest.mark.parametrize("turns", [ask("only a question"), [], ask("a")[:0]])
def test_a_row_without_an_answer_is_refused(turns):
    with pytest.raises(ModelError, match="nothing to learn"):
        encode(turns, MARKS, BASE)


def test_a_conversation_that_begins_with_an_answer_is_refused():
    with pytest.raises(ModelError, match="begins with an answer"):
        encode([{"role": "assistant", "content": "hello"}], MARKS, BASE)


def test_a_base_without_a_template_is_refused_with_the_remedy():
    tokenizer = tokenizer_with("")
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match=r"data\.chat\.template: plain"):
        encode(ask("a", "b"), tokenizer, BASE)


@pytest.mark.parametrize("form", ["%d %b %Y", "%Y-%m-%d", "%B %d, %Y", "%d %B %Y"])
def test_a_template_that_writes_todays_date_is_rendered_the_same_every_day(form):
    tokenizer = tokenizer_with(
        "{{ strftime_now('" + form + "') }}{% for m in messages %}<|user|>{{ m.content }}<|end|>"
        "{% endfor %}"
    )
    from datetime import UTC, datetime

    text = tokenizer.decode(encode(ask("a", "b"), tokenizer, BASE).input_ids)
    assert text.startswith(datetime(2024, 7, 26, tzinfo=UTC).strftime(form) + "<|user|>")


def test_a_written_control_token_that_is_not_special_is_kept_in_answers_only():
    from tokenizers import AddedToken

    tokenizer = tokenizer_with(
        "{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|user|>{% endif %}{# <think> #}"
    )
    tokenizer.add_tokens([AddedToken("<think>", special=False)])
    think = tokenizer.convert_tokens_to_ids("<think>")
    encoded = encode(ask("<think>", "<think>so"), tokenizer, BASE)
    assert encoded.input_ids.count(think) == 1
    assert encoded.target_mask[encoded.input_ids.index(think)]


def test_a_saved_tokenizer_loads_without_torch(tmp_path):
    MARKS.save_pretrained(tmp_path)
    code = (
        "import sys; from loray.models.chat import *; from loray.spec.data import ChatSpec\n"
        f"t = load_tokenizer({str(tmp_path)!r})\n"
        "print(encode([{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'content': 'b'}],"
        " t, ChatSpec()).input_ids, 'torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == f"{encode(ask('a', 'b'), MARKS, BASE).input_ids} False"


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match=r"without tokenizer_config\.json"):
        load_tokenizer(str(tmp_path))
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="no tokenizer could be loaded"):
        load_tokenizer(str(tmp_path))

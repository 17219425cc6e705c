"""Turns to token ids and a loss mask: the one renderer of training, evaluation and serving.

What a model sees before an answer is the same list of ids everywhere, by construction:

    encode(turns + [answer], ...).input_ids == encode_prompt(turns, ...) + ids of the answer

A turn is `{"role": ..., "content": ...}`. Roles `system`, `user` and `assistant`, and those of tool
use (`loray.models.tool_use`), go through the chat template; a row with the single role `text` is
verbatim text, learned whole.
Learned: the content of every assistant turn and its end token (the template's end of turn, or EOS
where it writes none). Text in a row that looks like a control token is encoded as plain text.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from loray.errors import ModelError
from loray.models.markup import Markup, Turn, markup_of
from loray.models.rendering import (
    NOTHING_LEARNED,
    Encoded,
    encode_rendered,
    render_answers,
    render_prompt,
)
from loray.models.tool_use import JSON_ROLES, Conversation, Message, conversation_of
from loray.spec.data import ChatSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

GENERIC_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Tokenizer classes that are nothing but their `tokenizer.json`; they load without torch."""


def load_tokenizer(path: str, revision: str | None = None) -> "PreTrainedTokenizerFast":
    """The fast tokenizer of a base model; without importing torch where its class allows it.

    Args:
        path: a local folder or a hub id.
        revision: commit of a hub id.

    Raises:
        ModelError: nothing is there, or it has no fast tokenizer.
    """
    folder = Path(path)
    if folder.is_dir() and not (folder / "tokenizer_config.json").is_file():
        raise ModelError(
            f"base_model.path {path!r} is a folder without tokenizer_config.json; wanted a model "
            "folder as transformers saves it, its tokenizer included"
        )
    try:
        if _is_generic(folder):
            from transformers import PreTrainedTokenizerFast  # noqa: PLC0415 (slow to import)

            tokenizer = PreTrainedTokenizerFast.from_pretrained(path)
        else:
            from transformers import AutoTokenizer  # noqa: PLC0415 (imports torch)

            tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"no tokenizer could be loaded from base_model.path {path!r}: {error}; "
            "wanted a folder with tokenizer.json and tokenizer_config.json, or a hub id with its "
            "revision"
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{path!r} has the slow tokenizer {type(tokenizer).__name__}; loray needs offsets, "
            "which only fast tokenizers give: save the model with a tokenizer.json"
        )
    return cast("PreTrainedTokenizerFast", tokenizer)


class Lesson(NamedTuple):
    """What a row teaches."""

    sequences: list[Encoded]
    """One for all answers; several where the template writes earlier turns differently once others
    follow, the longest first. Each answer is learned in one of them."""
    num_answers: list[int]
    """How many answers are learned in each sequence, and have to end."""
    is_trimmed: bool = False
    """Whether the template took white space from the ends of a turn."""


def encode_lesson(
    turns: Sequence[Turn], tokenizer: "PreTrainedTokenizerFast", chat: ChatSpec
) -> Lesson:
    """Token ids of a whole row and what of it is learned, every answer after its own prompt.

    Raises:
        ModelError: the template cannot render these turns, leaves out what they say, or nothing in
            them is learned.
    """
    markup = _markup(tokenizer, chat)
    if [turn["role"] for turn in turns] == ["text"]:
        return Lesson([_encode_text(turns[0]["content"], markup)], [1])
    talk = _conversation(turns, chat, markup)
    if not any(message["role"] == "assistant" for message in talk.messages):
        raise ModelError(NOTHING_LEARNED)
    if chat.template == "plain":
        return Lesson([_encode_plain(talk, markup)], [_num_learned(talk)])
    rendered = render_answers(talk, markup)
    return Lesson(
        [encode_rendered(text, markup) for text in rendered],
        [text.num_learned for text in rendered],
        any(text.is_trimmed for text in rendered),
    )


def encode(turns: Sequence[Turn], tokenizer: "PreTrainedTokenizerFast", chat: ChatSpec) -> Encoded:
    """The longest sequence of `encode_lesson`: for nearly all templates the only one.

    Raises:
        ModelError: as `encode_lesson`.
    """
    return encode_lesson(turns, tokenizer, chat).sequences[0]


def encode_prompt(
    turns: Sequence[Turn], tokenizer: "PreTrainedTokenizerFast", chat: ChatSpec
) -> list[int]:
    """The ids before the next assistant turn: exactly what training put before that answer.

    No turns give the ids that raw text starts with.

    Raises:
        ModelError: the template cannot render these turns.
    """
    markup = _markup(tokenizer, chat)
    if not turns:
        return list(markup.opening)
    talk = _conversation(turns, chat, markup)
    if chat.template == "plain":
        return _encode_plain(talk, markup).input_ids
    return encode_rendered(render_prompt(talk, markup), markup).input_ids


def end_token_id(tokenizer: "PreTrainedTokenizerFast", chat: ChatSpec) -> int:
    """The token that ends every answer; generation has to stop at it.

    Raises:
        ModelError: neither the template nor the tokenizer has one.
    """
    markup = _markup(tokenizer, chat)
    return markup.eos if chat.template == "plain" else markup.template_end


def _markup(tokenizer: "PreTrainedTokenizerFast", chat: ChatSpec) -> Markup:
    """`plain` writes no marks, so the tokenizer's own are what its texts are kept from."""
    return markup_of(tokenizer, "base" if chat.template == "plain" else chat.template)


def _is_generic(folder: Path) -> bool:
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    has_file = (folder / "tokenizer.json").is_file()
    return has_file and config.get("tokenizer_class") in GENERIC_CLASSES


def _conversation(turns: Sequence[Turn], chat: ChatSpec, markup: Markup) -> Conversation:
    """What the template is given: with the spec's system turn where a row brings none.

    Raises:
        ModelError: tools are used where they cannot be shown as they are.
    """
    talk = conversation_of(turns)
    odd = [turn for turn in turns if turn["role"] in JSON_ROLES]
    if chat.template == "plain" and (talk.tools is not None or any(map(_is_odd, talk.messages))):
        raise ModelError(
            "data.chat.template: plain has no place for tools, reasoning or names; use base"
        )
    if any(markup.holds_control(turn["content"]) for turn in odd):
        raise ModelError(
            "tool definitions, calls, results or a name hold a control token; remove it"
        )
    has_system = any(message["role"] == "system" for message in talk.messages)
    if chat.system is not None and not has_system:
        system = {"role": "system", "content": chat.system}
        unlearned = frozenset(number + 1 for number in talk.unlearned)
        return Conversation([system, *talk.messages], talk.tools, unlearned)
    return talk


def _is_odd(message: Message) -> bool:
    return message["role"] == "tool" or bool(message.keys() - {"role", "content"})


# --- verbatim text and the template "plain": each turn by itself, no marks between them


def _encode_text(text: str, markup: Markup) -> Encoded:
    ids = markup.plain(text).ids
    opening = markup.opening
    return Encoded([*opening, *ids, markup.eos], [False] * len(opening) + [True] * (len(ids) + 1))


def _encode_plain(talk: Conversation, markup: Markup) -> Encoded:
    ids = list(markup.opening)
    mask = [False] * len(ids)
    for number, message in enumerate(talk.messages):
        is_answer = message["role"] == "assistant"
        more = markup.plain(message["content"]).ids + ([markup.eos] if is_answer else [])
        ids += more
        mask += [is_answer and number not in talk.unlearned] * len(more)
    return Encoded(ids, mask)


def _num_learned(talk: Conversation) -> int:
    answers = {n for n, message in enumerate(talk.messages) if message["role"] == "assistant"}
    if answers <= talk.unlearned:
        raise ModelError(NOTHING_LEARNED)
    return len(answers - talk.unlearned)

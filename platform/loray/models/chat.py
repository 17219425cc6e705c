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
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, cast

from loray.errors import ModelError
from loray.models.markup import Markup, Tokens, Turn, markup_of
from loray.models.tool_use import JSON_ROLES, Conversation, Message, conversation_of
from loray.spec.data import ChatSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

GENERIC_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Tokenizer classes that are nothing but their `tokenizer.json`; they load without torch."""


@dataclass(frozen=True)
class Encoded:
    """Token ids of a row; `target_mask[t]` tells whether the token at `t` is learned."""

    input_ids: list[int]
    target_mask: list[bool]


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


def encode(turns: Sequence[Turn], tokenizer: "PreTrainedTokenizerFast", chat: ChatSpec) -> Encoded:
    """Token ids of a whole row and what of it is learned.

    Raises:
        ModelError: the template cannot render these turns, or nothing in them is learned.
    """
    markup = _markup(tokenizer, chat)
    if [turn["role"] for turn in turns] == ["text"]:
        return _encode_text(turns[0]["content"], markup)
    talk = _conversation(turns, chat, markup)
    if not any(message["role"] == "assistant" for message in talk.messages):
        raise ModelError("a row without an assistant turn has nothing to learn; add an answer")
    if chat.template == "plain":
        return _encode_plain(talk.messages, markup)
    return _encode_rendered(_render(talk, markup), markup)


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
        return _encode_plain(talk.messages, markup).input_ids
    return _encode_rendered(_render(talk, markup, open_prompt=True), markup).input_ids


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
    messages, tools = conversation_of(turns)
    if any(turn["role"] in JSON_ROLES for turn in turns):
        if chat.template == "plain":
            raise ModelError("data.chat.template: plain has no place for tools; use base")
        if any(markup.holds_control(t["content"]) for t in turns if t["role"] in JSON_ROLES):
            raise ModelError("tool definitions, calls or results hold a control token; remove it")
    has_system = any(message["role"] == "system" for message in messages)
    if chat.system is not None and not has_system:
        messages = [{"role": "system", "content": chat.system}, *messages]
    return Conversation(messages, tools)


# --- verbatim text and the template "plain": each turn by itself, no marks between them


def _encode_text(text: str, markup: Markup) -> Encoded:
    ids = markup.plain(text).ids
    opening = markup.opening
    return Encoded([*opening, *ids, markup.eos], [False] * len(opening) + [True] * (len(ids) + 1))


def _encode_plain(turns: Sequence[Message], markup: Markup) -> Encoded:
    ids = list(markup.opening)
    mask = [False] * len(ids)
    for turn in turns:
        is_answer = turn["role"] == "assistant"
        more = markup.plain(turn["content"]).ids + ([markup.eos] if is_answer else [])
        ids += more
        mask += [is_answer] * len(more)
    return Encoded(ids, mask)


# --- the tokenizer's own template


@dataclass(frozen=True)
class _Rendered:
    """A conversation as the template writes it, with control tokens of the content veiled."""

    text: str
    answers: tuple[tuple[int, int], ...]
    """Start and end, in characters, of what the model writes for each assistant turn."""
    veil: Mapping[str, str]
    """Stand-in character to the text it stands for."""


def _render(talk: Conversation, markup: Markup, *, open_prompt: bool = False) -> _Rendered:
    """Render the messages and find each answer by rendering what comes before it.

    Raises:
        ModelError: the template refuses the turns, or writes a turn differently once more follow.
    """
    veiled, veil = markup.veil(talk.messages)
    text = markup.render(veiled, talk.tools, open_prompt=open_prompt)
    answers = []
    for number, turn in enumerate(veiled):
        if turn["role"] != "assistant":
            continue
        if number == 0:
            raise ModelError("a conversation that begins with an answer; put a user turn before")
        before = markup.render(veiled[:number], talk.tools, open_prompt=True)
        is_last = number + 1 == len(veiled) and not open_prompt
        through = text if is_last else markup.render(veiled[: number + 1], talk.tools)
        if not (through.startswith(before) and text.startswith(through)):
            raise ModelError(
                f"the chat template writes turns 1 to {number + 1} differently once the answer or "
                "later turns follow, so what the model sees when it answers is not what it "
                "learned; bring one answer a row, or set data.chat.template: plain"
            )
        answers.append((len(before), len(through)))
    return _Rendered(text, tuple(answers), veil)


def _encode_rendered(rendered: _Rendered, markup: Markup) -> Encoded:
    """Tokenize so that the ids before each answer are those of the text before it alone.

    The text is encoded whole where that is so already, and in parts where a token would reach
    across the start of an answer, or where an answer's end token has to be added.
    """
    whole = markup.tokens(rendered.text, rendered.veil)
    bare = {
        end for start, end in rendered.answers if not whole.find(markup.template_end, start, end)
    }
    torn = {start for start, _ in rendered.answers if not _is_clean(rendered, start, whole, markup)}
    if bare or torn:
        whole = _encode_parts(rendered, torn, bare, markup)
    mask = [False] * len(whole.ids)
    for start, end in rendered.answers:
        ends = whole.find(markup.template_end, start, end)
        first = bisect_left(whole.starts, start)
        mask[first : ends[-1] + 1] = [True] * (ends[-1] + 1 - first)
    return Encoded(whole.ids, mask)


def _encode_parts(rendered: _Rendered, torn: set[int], bare: set[int], markup: Markup) -> Tokens:
    ids: list[int] = []
    starts: list[int] = []
    edges = sorted({0, len(rendered.text)} | torn | bare)
    for left, right in pairwise(edges):
        part = markup.tokens(rendered.text[left:right], rendered.veil)
        ids += part.ids
        starts += [left + start for start in part.starts]
        if right in bare:
            ids.append(markup.template_end)
            starts.append(right - 1)  # counted with the answer's last character
    return Tokens(ids, starts)


def _is_clean(rendered: _Rendered, cut: int, whole: Tokens, markup: Markup) -> bool:
    """Whether the ids before `cut` are what the text before it gives by itself.

    Control tokens part a text for good, so only what follows the last one is encoded again.
    """
    control = markup.last_control(rendered.text[:cut])
    if control is None:
        return False
    again = markup.tokens(rendered.text[control:cut], rendered.veil).ids
    first = bisect_left(whole.starts, cut)
    return whole.ids[max(first - len(again), 0) : first] == again

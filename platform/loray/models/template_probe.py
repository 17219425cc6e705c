"""What the chat template of a tokenizer can do, found out by rendering, without torch.

found = probe_template(Path("models/tiny"), ChatSpec())
found.faults      with any of these, no row of chat could be learned: refuse the base
found.limits      what rows cannot have with this template; such rows are rejected one by one
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loray.errors import ModelError
from loray.models.chat import encode_lesson, end_token_id
from loray.models.markup import markup_of
from loray.spec.data import ChatSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from loray.models.markup import Turn

TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks up a word.",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
    },
}
CALL = {
    "type": "function",
    "id": "abcdefghi",  # Mistral's templates want nine characters
    "function": {"name": "look_up", "arguments": {"word": "loray"}},
}


@dataclass(frozen=True)
class TemplateProbe:
    """What a chat template can do."""

    end_token: str | None = None
    """The text of the token that ends every answer; None where there is none."""
    opens_answer: bool = False
    """Whether it writes the start of an answer when asked for one (a generation prompt)."""
    takes_system: bool = False
    takes_tools: bool = False
    """Definitions, calls and results; it may take them in some rows only."""
    takes_reasoning: bool = False
    is_steady: bool = False
    """Whether it writes earlier turns the same way once others follow. Where it does not, each
    answer becomes a training sequence of its own."""
    faults: tuple[str, ...] = ()
    """Why no row of chat could be learned with it: found; wanted; what to do."""
    limits: tuple[str, ...] = ()
    """What some rows cannot have, and what becomes of them."""


def probe_template(folder: Path, chat: ChatSpec) -> TemplateProbe:
    """Look at the chat template of a tokenizer on this disk.

    Only sources of `prompt` or `messages` need one; raw text does not.

    Args:
        folder: holds `tokenizer.json` and `tokenizer_config.json`.
        chat: which template rows are rendered with, and the system turn they get.

    Raises:
        ModelError: the tokenizer cannot be read.
    """
    return probe_tokenizer(_tokenizer_in(folder), chat)


def probe_tokenizer(tokenizer: "PreTrainedTokenizerFast", chat: ChatSpec) -> TemplateProbe:
    """The same for a tokenizer that is loaded already."""
    asked = {"role": "user", "content": "What is the Answer?"}
    replied = {"role": "assistant", "content": "It is Forty-Two."}
    without = chat.model_copy(update={"system": None})
    try:
        encode_lesson([asked, replied], tokenizer, without)
        end = tokenizer.convert_ids_to_tokens(end_token_id(tokenizer, without))
    except ModelError as error:
        fault = f"no row of chat can be learned with this base: {error}"
        return TemplateProbe(faults=(fault,))
    system = {"role": "system", "content": "Speak Plainly."}
    no_system = _refusal([system, asked, replied], tokenizer, without)
    no_tools = _refusal(_tool_loop(asked, replied), tokenizer, without)
    no_reasoning = _refusal(
        [asked, {"role": "reasoning", "content": "Count the Days."}, replied], tokenizer, without
    )
    is_steady = _is_steady([asked, replied, asked, replied], tokenizer, without)
    limits = [f"rows with {what} are rejected: {why}" for what, why in (
        ("a system turn", no_system), ("tools", no_tools), ("reasoning", no_reasoning),
    ) if why]  # fmt: skip
    if not is_steady:
        limits.append(
            "the template writes earlier turns differently once others follow, so each answer of a "
            "row of several becomes a training sequence of its own"
        )
    return TemplateProbe(
        end_token=str(end),
        opens_answer=chat.template != "plain" and _opens(asked, tokenizer, chat),
        takes_system=no_system is None,
        takes_tools=no_tools is None,
        takes_reasoning=no_reasoning is None,
        is_steady=is_steady,
        faults=_faults(chat, no_system),
        limits=tuple(limits),
    )


def _faults(chat: ChatSpec, no_system: str | None) -> tuple[str, ...]:
    if chat.system is None or no_system is None:
        return ()
    fault = (
        "found data.chat.system, which the base's chat template cannot show "
        f"({no_system}); leave it out, put its text into the users' turns, or set "
        "data.chat.template"
    )
    return (fault,)


def _refusal(
    turns: list["Turn"], tokenizer: "PreTrainedTokenizerFast", chat: ChatSpec
) -> str | None:
    try:
        encode_lesson(turns, tokenizer, chat)
    except ModelError as error:
        return str(error)
    return None


def _is_steady(turns: list["Turn"], tokenizer: "PreTrainedTokenizerFast", chat: ChatSpec) -> bool:
    try:
        return len(encode_lesson(turns, tokenizer, chat).sequences) == 1
    except ModelError:
        return False


def _tool_loop(asked: "Turn", replied: "Turn") -> list["Turn"]:
    result: Any = {"content": "found", "name": "look_up", "tool_call_id": CALL["id"]}
    said = {"tools": [TOOL], "calls": [CALL], "tool": result}
    found = {role: {"role": role, "content": json.dumps(said[role])} for role in said}
    return [found["tools"], asked, found["calls"], found["tool"], replied]


def _opens(asked: "Turn", tokenizer: "PreTrainedTokenizerFast", chat: ChatSpec) -> bool:
    template = markup_of(tokenizer, chat.template).template
    return template.render([asked], open_prompt=True) != template.render([asked])


def _tokenizer_in(folder: Path) -> "PreTrainedTokenizerFast":
    """The tokenizer by its files alone, since a class of its own may import torch."""
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415 (slow to import)

    missing = [
        name
        for name in ("tokenizer.json", "tokenizer_config.json")
        if not (folder / name).is_file()
    ]
    if missing:
        raise ModelError(
            f"base_model.path {str(folder)!r} holds no {' and no '.join(missing)}; wanted a model "
            "folder as transformers saves it, its fast tokenizer included"
        )
    try:
        found: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(str(folder))
    except Exception as error:  # tokenizers raises plain ones for a damaged file
        raise ModelError(
            f"the tokenizer in {str(folder)!r} cannot be read: {error}; fetch the model again"
        ) from error
    return found

"""The chat template of one tokenizer, and what it does to the turns that it is given."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from loray.errors import ModelError
from loray.models.json_numbers import as_json
from loray.models.templates import source_of
from loray.models.tool_use import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FROZEN_DATE = "26 Jul 2024"
"""What a template gets as `date_string`: no row may depend on when it is rendered."""
ASKED = "What is the Answer, to (this)  question?\nSay it."
REPLIED = "It is:  Forty-Two,\nas_said (before)."
TOLD = "Speak  Plainly,\nalways & briefly."
"""Texts that a template would have to write as they are: capitals, blanks, a new line."""
_PLAIN = {"ensure_ascii": False}
SHOWN_ROLES = 8
"""Roles that a message names."""


class ChatTemplate:
    """Renders messages; what the template raises, whatever it is, is a `ModelError`."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", name: str = "base") -> None:
        """Take the tokenizer's own template, or the one of that name.

        Raises:
            ModelError: the tokenizer lacks a control token of the template of that name.
        """
        self._tokenizer = tokenizer
        self._named: str | None = None
        if name != "base":
            known = {token.content for token in tokenizer.added_tokens_decoder.values()}
            self._named = source_of(name, known)
        self._special = dict(tokenizer.special_tokens_map)

    @property
    def written(self) -> str:
        """All that it may write, to look for control tokens in."""
        return self._named or str(self._tokenizer.chat_template or "")

    @cached_property
    def takes_parts(self) -> bool:
        """Whether it wants contents as lists of parts, as those of vision models do."""
        asked: list[Message] = [{"role": "user", "content": ASKED}]
        return not self._writes(ASKED, asked) and self._writes(ASKED, _in_parts(asked))

    @cached_property
    def takes_text_arguments(self) -> bool:
        """Whether it wants the arguments of a call as JSON text.

        Such a template fails on an object, or writes Python's repr of it.
        """
        called = {"name": "look_up", "arguments": {"word": "loray"}}
        calls = [{"id": "abcdefghi", "type": "function", "function": called}]
        asked = {"role": "user", "content": ASKED}
        messages: list[Message] = [asked, {"role": "assistant", "content": "", "tool_calls": calls}]
        as_text = [_with_text_arguments(message) for message in messages]
        if self._writes("{'word': 'loray'}", messages):
            return self._writes('{"word": "loray"}', as_text)
        return not self._writes("loray", messages) and self._writes("loray", as_text)

    @cached_property
    def altered(self) -> Mapping[str, str]:
        """Roles whose contents it does not write as they are, and what it makes of a sample."""
        user, answer = {"role": "user", "content": ASKED}, {"role": "assistant", "content": REPLIED}
        samples: dict[str, list[Message]] = {
            "user": [user],
            "assistant": [user, answer],
            "system": [{"role": "system", "content": TOLD}, user],
        }
        found = {}
        for role, messages in samples.items():
            sample = next(m["content"] for m in messages if m["role"] == role)
            try:
                text = self.render(messages)
            except ModelError:
                continue  # rows with such turns are refused in the template's own words
            if sample not in text:
                found[role] = text
        return found

    @cached_property
    def opening(self) -> str:
        """What it writes after a question to open an answer; empty where it writes nothing."""
        asked = [{"role": "user", "content": "a"}]
        try:
            text, opened = self.render(asked), self.render(asked, open_prompt=True)
        except ModelError:
            return ""
        return opened[len(text) :] if opened.startswith(text) else ""

    def render(
        self,
        messages: Sequence[Message],
        tools: list[Any] | None = None,
        *,
        open_prompt: bool = False,
    ) -> str:
        """The template's text of `messages`, with the start of an answer if `open_prompt`.

        Raises:
            ModelError: there is no template, it refuses the messages, or knows no tools.
        """
        source = self._source(tools)
        is_calling = any("tool_calls" in message for message in messages)
        for is_used, name in ((tools is not None, "tools"), (is_calling, "tool_calls")):
            if is_used and name not in source:
                raise ModelError(
                    f"the chat template never writes `{name}`, so the model would not see them; "
                    "use a base model whose template does, or take them out of the rows"
                )
        if self.takes_parts:
            messages = _in_parts(messages)
        if is_calling and self.takes_text_arguments:
            messages = [_with_text_arguments(message) for message in messages]
        return self._render(source, messages, tools, open_prompt=open_prompt)

    def _render(
        self,
        source: str,
        messages: Sequence[Message],
        tools: list[Any] | None,
        *,
        open_prompt: bool,
    ) -> str:
        from loray.models.sandbox import render_template  # noqa: PLC0415 (only rendering needs it)

        variables = {
            **self._special,
            "date_string": FROZEN_DATE,
            "messages": [_named(message) for message in messages],
            "tools": tools,
            "documents": None,
            "add_generation_prompt": open_prompt,
        }
        try:
            return render_template(source, variables, num_chars=_length(messages, tools))
        except Exception as error:  # whatever a template raises is the template's refusal
            roles = [str(message["role"]) for message in messages]
            shown = ", ".join(roles[:SHOWN_ROLES]) + (", ..." if len(roles) > SHOWN_ROLES else "")
            raise ModelError(
                f"the chat template refuses turns of roles {shown}: {_words(error)}; change the "
                "rows, or set data.chat.template"
            ) from error

    def _writes(self, text: str, messages: Sequence[Message]) -> bool:
        try:
            return text in self._render(self._source(None), messages, None, open_prompt=False)
        except ModelError:
            return False

    def _source(self, tools: list[Any] | None) -> str:
        """The template; a base may bring one of its own for tools."""
        if self._named is not None:
            return self._named
        try:
            return str(self._tokenizer.get_chat_template(tools=tools))
        except ValueError as error:
            raise ModelError(
                "the tokenizer has no chat template; set data.chat.template: plain, or name a "
                "base model that was trained to chat"
            ) from error


def _in_parts(messages: Iterable[Message]) -> list[Message]:
    return [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in messages]


def _with_text_arguments(message: Message) -> Message:
    if "tool_calls" not in message:
        return message
    calls = [
        {
            **call,
            "function": {**function, "arguments": as_json(function.get("arguments", {}), **_PLAIN)},
        }
        for call in message["tool_calls"]
        if isinstance(function := call.get("function"), dict)
    ]
    return {**message, "tool_calls": calls}


def _named(message: Message) -> Message:
    """Reasoning under each of the names that templates read it by."""
    if "reasoning_content" not in message:
        return message
    reasoning = message["reasoning_content"]
    return {**message, "reasoning": reasoning, "thinking": reasoning}


def _length(messages: Sequence[Message], tools: list[Any] | None) -> int:
    """About how many characters a row has."""
    from loray.models.template_costs import weight  # noqa: PLC0415

    said = sum(len(message["content"]) + 64 for message in messages)
    calls = sum(weight(m["tool_calls"]).chars for m in messages if "tool_calls" in m)
    thoughts = sum(len(m.get("reasoning_content", "")) for m in messages)
    return said + calls + thoughts + (weight(tools).chars if tools else 0)


def _words(error: Exception) -> str:
    """What a template says when it refuses; of another error, which one it is."""
    from jinja2 import TemplateError  # noqa: PLC0415

    said = str(error)[:500]
    if isinstance(error, TemplateError) and said:
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__

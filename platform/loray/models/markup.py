"""A tokenizer's control tokens: how they are rendered, and how text is kept from being one.

Control tokens are the special tokens, and the other added tokens that the chat template writes.
The latter stay control tokens in answers, so that a model can learn to write `<think>`.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from loray.errors import ModelError
from loray.models.template import ASKED, REPLIED, ChatTemplate
from loray.models.tool_use import Message

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

Turn: TypeAlias = Mapping[str, str]
"""`role` and `content`."""

PRIVATE_PLANES = range(0xF0000, 0x10FFFE)
"""Unicode's supplementary private use areas, where stand-ins for control tokens are taken from."""

MAX_LEADS = 1024
"""Texts that are remembered with their ids."""


@dataclass(frozen=True)
class Tokens:
    """Token ids of a text, and the character at which each starts."""

    ids: list[int]
    starts: list[int]

    def find(self, token_id: int, start: int, end: int) -> list[int]:
        """Where `token_id` stands among the tokens of the characters `start` to `end`."""
        span = range(bisect_left(self.starts, start), bisect_left(self.starts, end))
        return [at for at in span if self.ids[at] == token_id]


class Markup:
    """The control tokens of one tokenizer, its chat template, and its two ways to encode."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", template: str = "base") -> None:
        self._tokenizer = tokenizer
        self.template = ChatTemplate(tokenizer, template)
        self._backend: Tokenizer = tokenizer.backend_tokenizer
        added = tokenizer.added_tokens_decoder
        special = {token.content for token in added.values() if token.special}
        source = self.template.written
        written = {token.content for token in added.values() if token.content in source}
        self.texts = tuple(sorted(special | {text for text in written if not text.isspace()}))
        """Texts that must never become control tokens when a user brings them."""
        self.special_texts = tuple(sorted(special))
        """Those among `texts` that no turn may hold, an answer neither."""
        self._special = _any_of(special)
        self._control = _any_of(self.texts)
        self._numbers = {token.content: number for number, token in added.items()}
        unknown = {tokenizer.unk_token_id}  # what no token spells, stand-ins among it, is no mark
        self._leads: dict[str, list[int]] = {}
        self._control_ids = {self._numbers[text] for text in self.texts} - unknown

    @cached_property
    def eos(self) -> int:
        """The end-of-sequence token.

        Raises:
            ModelError: the tokenizer has none, so no answer could ever end.
        """
        if self._tokenizer.eos_token_id is None:
            raise ModelError(
                "the tokenizer has no eos_token, so no answer could end; set one in its "
                "tokenizer_config.json"
            )
        return int(self._tokenizer.eos_token_id)

    @cached_property
    def opening(self) -> tuple[int, ...]:
        """The ids that the tokenizer puts before any text: the BOS token, or nothing."""
        ids = self._backend.encode("", add_special_tokens=True).ids
        return tuple(ids[:1]) if ids and ids[0] == self._tokenizer.bos_token_id else ()

    @cached_property
    def template_end(self) -> int:
        """The control token that the chat template writes after an answer, or else EOS.

        Raises:
            ModelError: the template refuses a plain answer, or does not write it as it is.
        """
        text = self.render(
            [{"role": "user", "content": ASKED}, {"role": "assistant", "content": REPLIED}]
        )
        at = text.rfind(REPLIED)
        if at < 0:
            raise ModelError(
                f"the chat template does not write an answer as it is: of {REPLIED!r} it makes "
                f"{text[-200:]!r}; set data.chat.template: plain, or use another base model"
            )
        end = self._control.search(text, at + len(REPLIED))
        return self.eos if end is None else self._numbers[end[0]]

    @cached_property
    def template_end_text(self) -> str | None:
        """How that token is spelled; None where no text becomes it."""
        spelled = (text for text in self.texts if self._numbers[text] == self.template_end)
        return next(spelled, None)

    def render(
        self,
        messages: Sequence[Message],
        tools: list[Any] | None = None,
        *,
        open_prompt: bool = False,
    ) -> str:
        """As `ChatTemplate.render`.

        Raises:
            ModelError: there is no template, it refuses the messages, or knows no tools.
        """
        return self.template.render(messages, tools, open_prompt=open_prompt)

    def veil(self, messages: Sequence[Message]) -> tuple[list[Message], dict[str, str]]:
        """Control texts in what is said replaced by stand-ins, and what each stands for."""
        hostile = [pair for pair in self._said(messages) if pair[1].search(pair[0])]
        if not hostile:
            return list(messages), {}
        standin = self._standins("".join(text for text, _ in self._said(messages)))

        def veiled(text: str, pattern: re.Pattern[str]) -> str:
            return pattern.sub(lambda found: standin[found[0]], text)

        without: list[Message] = []
        for message in messages:
            own = {"content": veiled(message["content"], self._pattern(message))}
            if "reasoning_content" in message:
                own["reasoning_content"] = veiled(message["reasoning_content"], self._control)
            without.append({**message, **own})
        return without, {sign: text for text, sign in standin.items()}

    def holds_control(self, text: str) -> bool:
        """Whether a control token is spelled in `text`."""
        return self._control.search(text) is not None

    def tokens(self, text: str, veil: Mapping[str, str]) -> Tokens:
        """Encode rendered text; what a stand-in stands for becomes ordinary tokens."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        starts = [start for start, _ in encoding.offsets]
        if not veil or not any(sign in text for sign in veil):
            return Tokens(encoding.ids, starts)
        ids: list[int] = []
        unveiled: list[int] = []
        for first, last in self._runs(encoding.ids):
            left = encoding.offsets[first - 1][1] if first else 0
            right = encoding.offsets[last][0] if last < len(starts) else len(text)
            run = self._unveiled(text[left:right], veil)
            ids += run.ids
            unveiled += [left + start for start in run.starts]
            ids += encoding.ids[last : last + 1]
            unveiled += starts[last : last + 1]
        return Tokens(ids, unveiled)

    def ids(self, text: str) -> list[int]:
        """Encode rendered text that holds no stand-in."""
        (encoding,) = self._backend.encode_batch_fast([text], add_special_tokens=False)
        found: list[int] = encoding.ids
        return found

    def lead_ids(self, text: str) -> list[int]:
        """The same for what a template writes before an answer: the same in nearly every row."""
        if text not in self._leads:
            if len(self._leads) >= MAX_LEADS:
                self._leads.clear()
            self._leads[text] = self.ids(text)
        return self._leads[text]

    def plain(self, text: str) -> Tokens:
        """Encode `text` so that nothing in it becomes a control token."""
        is_hostile = self._control.search(text) is not None
        encoder = self._without_control if is_hostile else self._backend
        encoding = encoder.encode(text, add_special_tokens=False)
        return Tokens(encoding.ids, [start for start, _ in encoding.offsets])

    def last_control(self, text: str) -> int | None:
        """The character at which the last control token of rendered text starts."""
        found = None
        for match in self._control.finditer(text):
            found = match.start()
        return found

    def _said(self, messages: Sequence[Message]) -> Iterator[tuple[str, re.Pattern[str]]]:
        """The texts of messages, and what each of them may not hold."""
        for message in messages:
            yield message["content"], self._pattern(message)
            if "reasoning_content" in message:
                yield message["reasoning_content"], self._control

    def _pattern(self, message: Message) -> re.Pattern[str]:
        return self._special if message["role"] == "assistant" else self._control

    def _standins(self, text: str) -> dict[str, str]:
        """A private-use character that `text` does not hold, for each control text."""
        used = set(text)
        free = (sign for sign in map(chr, PRIVATE_PLANES) if sign not in used)
        return dict(zip(self.texts, free, strict=False))

    def _runs(self, ids: Sequence[int]) -> Iterator[tuple[int, int]]:
        """First and last + 1 of the tokens between one control token and the next."""
        first = 0
        for at, token in enumerate(chain(ids, [None])):
            if token is None or token in self._control_ids:
                yield first, at
                first = at + 1

    def _unveiled(self, run: str, veil: Mapping[str, str]) -> Tokens:
        """Encode `run` with the real texts put back; starts are counted in `run` as it came."""
        origins = [at for at, sign in enumerate(run) for _ in veil.get(sign, sign)]
        text = "".join(veil.get(sign, sign) for sign in run)
        tokens = self.plain(text)
        return Tokens(tokens.ids, [origins[start] for start in tokens.starts])

    @cached_property
    def _without_control(self) -> "Tokenizer":
        """A copy of the tokenizer that reads control tokens as ordinary text.

        `encode_special_tokens` passes over special tokens only, so in the copy all are special;
        a copy, because that switch on the shared one would be seen by other threads.
        """
        from tokenizers import Tokenizer  # noqa: PLC0415 (most rows never need it)

        recipe = json.loads(self._backend.to_str())
        for token in recipe["added_tokens"]:
            token["special"] = token["special"] or token["content"] in self.texts
        copy: Tokenizer = Tokenizer.from_str(json.dumps(recipe))
        copy.encode_special_tokens = True
        return copy


@lru_cache(maxsize=8)
def markup_of(tokenizer: "PreTrainedTokenizerFast", template: str = "base") -> Markup:
    """The tokenizer's markup, worked out once.

    Args:
        template: `base` for the tokenizer's own, or a name of `loray.models.templates`.
    """
    return Markup(tokenizer, template)


def _any_of(texts: Sequence[str] | set[str]) -> re.Pattern[str]:
    """A pattern of the literal texts, the longest first; one that never matches if none."""
    ordered = sorted(texts, key=lambda text: (-len(text), text))
    return re.compile("|".join(map(re.escape, ordered)) or r"(?!)")

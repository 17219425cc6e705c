"""A conversation through a chat template into token ids, and which of them are learned."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from loray.errors import ModelError
from loray.models.markup import Markup, Tokens
from loray.models.tool_use import Conversation


@dataclass(frozen=True)
class Encoded:
    """Token ids of a row; `target_mask[t]` tells whether the token at `t` is learned."""

    input_ids: list[int]
    target_mask: list[bool]


@dataclass(frozen=True)
class Rendered:
    """A conversation as the template writes it, with control tokens of the content veiled."""

    text: str
    answers: tuple[tuple[int, int], ...]
    """Start and end, in characters, of what the model writes for each assistant turn."""
    veil: Mapping[str, str]
    """Stand-in character to the text it stands for."""


def render(talk: Conversation, markup: Markup, *, open_prompt: bool = False) -> Rendered:
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
    return Rendered(text, tuple(answers), veil)


def encode_rendered(rendered: Rendered, markup: Markup) -> Encoded:
    """Tokenize so that the ids before each answer are those of the text before it alone."""
    return _encode_by_controls(rendered, markup) or _encode_by_characters(rendered, markup)


def _encode_by_controls(rendered: Rendered, markup: Markup) -> Encoded | None:
    """The fast way, for answers that each begin after a control token and end with one.

    Control tokens part a text for good, so the text is encoded from one to the next, and where an
    answer begins is where the ids of what stands between the control token and it end. Without
    the characters at which tokens start, the tokenizer takes two thirds of the time.
    """
    text, end_text = rendered.text, markup.template_end_text
    if end_text is None or any(sign in text for sign in rendered.veil):
        return None
    ids: list[int] = []
    mask: list[bool] = []
    cuts = [markup.last_control(text[:start]) for start, _ in rendered.answers]
    for number, (start, end) in enumerate(rendered.answers):
        left, right = cuts[number], cuts[number + 1] if number + 1 < len(cuts) else len(text)
        num_ends = text.count(end_text, start, end)
        if left is None or right is None or right < end or num_ends == 0:
            return None
        if number == 0:
            ids += markup.ids(text[:left])
            mask += [False] * len(ids)
        lead, part = markup.lead_ids(text[left:start]), markup.ids(text[left:right])
        if part[: len(lead)] != lead or part.count(markup.template_end) < num_ends:
            return None  # a token reaches across the start of the answer, or across its end
        last = len(lead) - 1
        for _ in range(num_ends):
            last = part.index(markup.template_end, last + 1)
        learned = last + 1 - len(lead)
        mask += [False] * len(lead) + [True] * learned + [False] * (len(part) - last - 1)
        ids += part
    return Encoded(ids, mask) if rendered.answers else None


def _encode_by_characters(rendered: Rendered, markup: Markup) -> Encoded:
    """The way that is always right.

    The text is encoded whole where that will do, and in parts where a token would reach across
    the start of an answer, or where an answer's end token has to be added.
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


def _encode_parts(rendered: Rendered, torn: set[int], bare: set[int], markup: Markup) -> Tokens:
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


def _is_clean(rendered: Rendered, cut: int, whole: Tokens, markup: Markup) -> bool:
    """Whether the ids before `cut` are what the text before it gives by itself.

    Control tokens part a text for good, so only what follows the last one is encoded again.
    """
    control = markup.last_control(rendered.text[:cut])
    if control is None:
        return False
    again = markup.tokens(rendered.text[control:cut], rendered.veil).ids
    first = bisect_left(whole.starts, cut)
    return whole.ids[max(first - len(again), 0) : first] == again

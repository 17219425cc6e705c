"""A conversation through a chat template into token ids, and which of them are learned."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from loray.errors import ModelError
from loray.models.fidelity import check_tools, is_said_as_it_is
from loray.models.markup import Markup, Tokens
from loray.models.tool_use import Conversation, Message

NOTHING_LEARNED = "a row without an answer, or with none of a weight above 0, has nothing to learn"


@dataclass(frozen=True)
class Encoded:
    """Token ids of a row; `target_mask[t]` tells whether the token at `t` is learned."""

    input_ids: list[int]
    target_mask: list[bool]


class Answer(NamedTuple):
    """What the model writes for an assistant turn, in characters of the rendered text."""

    start: int
    end: int
    is_learned: bool = True


@dataclass(frozen=True)
class Rendered:
    """A conversation as the template writes it, with control tokens of the content veiled."""

    text: str
    answers: tuple[Answer, ...]
    """Those that stand in the text as they do when they are the last turn."""
    veil: Mapping[str, str]
    """Stand-in character to the text it stands for."""
    is_trimmed: bool = False
    """Whether the template takes white space from the ends of a turn."""

    @property
    def num_learned(self) -> int:
        """How many answers are learned, each of which has to end."""
        return sum(answer.is_learned for answer in self.answers)


def render_prompt(talk: Conversation, markup: Markup) -> Rendered:
    """Render the messages and the start of an answer.

    Raises:
        ModelError: the template refuses the turns.
    """
    veiled, veil = markup.veil(talk.messages)
    text = markup.render(veiled, talk.tools, open_prompt=True)
    stable = _stable_in(text, _answers(veiled, talk, markup, None))
    return Rendered(text, tuple(stable.values()), veil)


def render_answers(talk: Conversation, markup: Markup) -> list[Rendered]:
    """Render the messages so that every answer stands after what the model sees before it.

    Most templates write a turn the same way whatever follows, so one text serves all answers. Some
    take the reasoning from earlier answers: of those, each answer that a longer text does not hold
    as the model wrote it gets a text of its own, which ends with it.

    Returns:
        the longest first; each answer is learned in one of them.

    Raises:
        ModelError: the template refuses the turns, writes an answer differently from the prompt
            for it, or leaves out what a turn says.
    """
    veiled, veil = markup.veil(talk.messages)
    check_tools(veiled, talk.tools or [], markup)
    whole = markup.render(veiled, talk.tools)
    found = _answers(veiled, talk, markup, whole)
    left = found.keys() - talk.unlearned
    if not left:
        raise ModelError(NOTHING_LEARNED)
    for number in sorted(left):
        before, through = found[number]
        if not through.startswith(before):
            raise ModelError(_unsteady(number, before, through))
        opening = markup.template.opening
        if opening and through[len(before) :].startswith(opening) and not before.endswith(opening):
            raise ModelError(
                f"the chat template opens no answer after turns 1 to {number}, so {opening[:80]!r} "
                "would be learned as part of it; put a user turn before, or set data.chat.template"
            )
    rendered = []
    for length, text in _texts(found, left, len(veiled), whole):
        if not left:
            break
        stable = _stable_in(text, found)
        new = left.intersection(stable)
        if new:
            spans = {n: answer._replace(is_learned=n in new) for n, answer in stable.items()}
            kept = Conversation(veiled[:length], talk.tools)
            is_trimmed = is_said_as_it_is(kept, text, {n: spans[n][:2] for n in new}, markup)
            rendered.append(Rendered(text, tuple(spans.values()), veil, is_trimmed))
            left -= new
    return rendered


def _texts(
    found: Mapping[int, tuple[str, str]], left: Set[int], length: int, whole: str
) -> list[tuple[int, str]]:
    """Texts that answers may be learned in, the longest first, and how many messages each has."""
    last = found.get(length - 1)
    if last is not None and not whole.startswith(last[0]):
        whole = last[1]
    return [(length, whole), *((n + 1, found[n][1]) for n in sorted(left, reverse=True))]


def _answers(
    veiled: Sequence[Message], talk: Conversation, markup: Markup, whole: str | None
) -> dict[int, tuple[str, str]]:
    """By the number of an assistant's message: the prompt for it, and the text up to its end.

    Args:
        whole: the text of all messages, where it is known.
    """
    found = {}
    for number, message in enumerate(veiled):
        if message["role"] != "assistant":
            continue
        if number == 0:
            raise ModelError("a conversation that begins with an answer; put a user turn before")
        before = markup.render(veiled[:number], talk.tools, open_prompt=True)
        is_whole = whole is not None and number + 1 == len(veiled)
        text = whole if is_whole else markup.render(veiled[: number + 1], talk.tools)
        through = _up_to_its_end(str(text), len(before), markup)
        if not through.startswith(before):
            through = _after_prompt(before, through, markup) or through
        found[number] = before, through
    return found


def _after_prompt(before: str, through: str, markup: Markup) -> str | None:
    """The prompt and the answer to it, of a template that changes blanks before an answer.

    Hermes' templates end a result with a new line only where something follows it. What a model is
    to write is the same; it is learned after what the model sees at inference.
    """
    opening = markup.template.opening
    if markup.last_control(opening) is None or not before.endswith(opening):
        return None
    earlier, mark, answer = through.rpartition(opening)
    asked = before.removesuffix(opening)
    is_same = "".join(earlier.split()) == "".join(asked.split())
    return before + answer if mark and is_same else None


def _up_to_its_end(text: str, start: int, markup: Markup) -> str:
    """`text` up to the end token of the answer at `start`: some templates close with more."""
    end_text = markup.template_end_text
    at = text.rfind(end_text, start) if end_text else -1
    return text[: at + len(end_text)] if end_text and at >= 0 else text


def _stable_in(text: str, found: Mapping[int, tuple[str, str]]) -> dict[int, Answer]:
    """The answers that `text` holds as they are when nothing follows them."""
    return {
        number: Answer(len(before), len(through))
        for number, (before, through) in found.items()
        if text.startswith(through) and through.startswith(before)
    }


def _unsteady(number: int, before: str, through: str) -> str:
    same = next((at for at, (a, b) in enumerate(zip(before, through, strict=False)) if a != b), -1)
    at = same if same >= 0 else min(len(before), len(through))
    return (
        f"the chat template writes turns 1 to {number + 1} differently once the answer follows: "
        f"the prompt has {before[at : at + 60]!r} where the answered text has "
        f"{through[at : at + 60]!r}, so what the model sees when it answers is not what it would "
        "learn from; set data.chat.template: chatml (where the tokenizer has its tokens) or plain"
    )


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
    cuts = [markup.last_control(text[: answer.start]) for answer in rendered.answers]
    for number, (start, end, is_learned) in enumerate(rendered.answers):
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
        mask += [False] * len(lead) + [is_learned] * learned + [False] * (len(part) - last - 1)
        ids += part
    return Encoded(ids, mask) if rendered.answers else None


def _encode_by_characters(rendered: Rendered, markup: Markup) -> Encoded:
    """The way that is always right.

    The text is encoded whole where that will do, and in parts where a token would reach across
    the start of an answer, or where an answer's end token has to be added.
    """
    whole = markup.tokens(rendered.text, rendered.veil)
    ends = {answer.end: whole.find(markup.template_end, *answer[:2]) for answer in rendered.answers}
    bare = {end for end, found in ends.items() if not found}
    torn = {a.start for a in rendered.answers if not _is_clean(rendered, a.start, whole, markup)}
    if bare or torn:
        whole = _encode_parts(rendered, torn, bare, markup)
    mask = [False] * len(whole.ids)
    for start, end, is_learned in rendered.answers:
        if is_learned:
            last = whole.find(markup.template_end, start, end)[-1]
            first = bisect_left(whole.starts, start)
            mask[first : last + 1] = [True] * (last + 1 - first)
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

"""The `fields` of a source: which of its columns hold what, and how its messages are written."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from loray.spec.base import Column, StrictModel
from loray.spec.column_templates import template_of

SHAREGPT_KEYS = ("from", "value")
OPENAI_KEYS = ("role", "content")
OPENAI_ROLES = {
    **{name: name for name in ("system", "user", "assistant", "tool")},
    "developer": "system",
    "function": "tool",
}
SHAREGPT_ROLES = {
    "system": "system",
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model"), "assistant"),
    **dict.fromkeys(("observation", "tool", "function_response"), "tool"),
    **dict.fromkeys(("function_call", "tool_call"), "calls"),
}
"""Names that sets of this format use; `calls` stands for an assistant that calls tools."""
UNNAMED = ("alternating", "pairs", "transcript")
"""Formats whose messages name neither keys nor roles of one's own."""


_PREFERENCE = (
    "loray learns answers, it does not compare two; name the better one alone: {prompt: prompt, "
    "completion: chosen}"
)
INSTEAD = {
    "chosen": _PREFERENCE,
    "rejected": _PREFERENCE,
    "input": 'join it to the question: prompt: "{instruction}{?\\n\\n{input}}"',
    "conversations": "write {messages: conversations, format: sharegpt}",
}
"""What to write for names that a user may look for among the fields."""


def _is_sound(value: str) -> str:
    template_of(value)
    return value


Filled = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_is_sound)]
"""A column, or a template that joins several: see `loray.spec.column_templates`."""


class KeysSpec(StrictModel):
    """What the keys of a message are called."""

    role: Column | None = None
    """Key that says who speaks; `role`, or `from` of `sharegpt`, when not given."""
    content: Column | None = None
    """Key of what is said; `content`, or `value` of `sharegpt`, when not given."""
    leave_out: Annotated[tuple[Column, ...], Field(max_length=64)] = ()
    """Keys that are left out, such as `id` or `timestamp`; a row with any other that is not known
    is rejected."""


Names = Annotated[tuple[Column, ...], Field(max_length=64)]


class RolesSpec(StrictModel):
    """Further names of the roles, beside those that the format knows."""

    system: Names = ()
    """Names of who sets the scene."""
    user: Names = ()
    """Names of who asks."""
    assistant: Names = ()
    """Names of who answers; what they say is learned."""
    tool: Names = ()
    """Names of a tool's result."""
    calls: Names = ()
    """Names of an assistant's call of a tool, whose content is the JSON of `name` and `arguments`,
    or a list of them."""


class FieldsSpec(StrictModel):
    """Which columns of a source hold what; `prompt` and `completion`, or `messages`, or `text`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "question", "completion": "answer"}]}
    )

    prompt: Filled | None = None
    """Column with what the user asks: text, or a list of messages. Or several columns in braces:
    `"{instruction}{?\\n\\n{input}}"`; the part in `{?...}` goes where its column is blank."""
    completion: Filled | None = None
    """Column with the answer that is learned: text, or a list of messages; or columns in braces."""
    system: Filled | None = None
    """Column with a system turn, put first; a row where it is blank or missing has none."""
    history: Column | None = None
    """Column with earlier turns of a pair: a list of `[question, answer]`, learned too."""
    messages: Column | None = None
    """Column with a list of `{role, content}` turns; every assistant turn is learned, its
    `tool_calls` too."""
    tools: Column | None = None
    """Column with a list of tool definitions, or its JSON text."""
    format: Literal["openai", "sharegpt", "alternating", "pairs", "transcript"] = "openai"
    """How messages are written: `{role, content}`; `{from, value}` with `human` and `gpt`; a list
    of texts, question and answer in turn (LIMA); a list of `{input, output}` (Capybara); or one
    text with `Human:` and `Assistant:` at the start of paragraphs (HH)."""
    keys: KeysSpec = KeysSpec()
    """Other names of the keys of a message."""
    roles: RolesSpec = RolesSpec()
    """Other names of the roles."""
    text: Filled | None = None
    """Column with raw text that is learned whole; or columns in braces."""
    group: Column | None = None
    """Column whose equal values stay in one split; the row itself when not named."""

    @model_validator(mode="after")
    def _one_shape_of_row(self) -> Self:
        pair = self.prompt is not None and self.completion is not None
        half = (self.prompt is None) != (self.completion is None)
        shapes = [pair, self.messages is not None, self.text is not None]
        with_pairs_only = self.history is not None and not pair
        with_text = self.text is not None and (
            self.system is not None or self.tools is not None or self.is_respelled
        )
        if half or sum(shapes) != 1 or with_pairs_only or with_text:
            raise ValueError(
                "name the columns of exactly one shape of row: `prompt` and `completion` (with "
                "`system`, `history` and `tools`, if they are there), or `messages` (with `system` "
                "and `tools`, and `format`, `keys` or `roles` where they are spelled otherwise), "
                "or `text`"
            )
        return self

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> Self:
        more = self.more_names
        twice = sorted({name for name, _ in more if [n for n, _ in more].count(name) > 1})
        role, content = self.message_keys
        if self.format in UNNAMED and (more or self.keys != KeysSpec()):
            raise ValueError(
                f"`keys` and `roles` name nothing in messages of format {self.format}; drop them"
            )
        if self.format in UNNAMED and self.messages is None:
            raise ValueError(f"format {self.format} is one of `messages`; name their column there")
        if twice:
            raise ValueError(f"`roles` has {twice[0]!r} for two roles; wanted one; take one out")
        if role == content:
            raise ValueError(f"`keys` has {role!r} for role and content; wanted two keys")
        return self

    @property
    def is_respelled(self) -> bool:
        """Whether messages are written in another way than `{role, content}`."""
        return self.format != "openai" or self.message_keys != OPENAI_KEYS or bool(self.more_names)

    @property
    def message_keys(self) -> tuple[str, str]:
        """What the keys of a message's role and content are called."""
        role, content = SHAREGPT_KEYS if self.format == "sharegpt" else OPENAI_KEYS
        return self.keys.role or role, self.keys.content or content

    @property
    def more_names(self) -> tuple[tuple[str, str], ...]:
        """Names of roles beyond those of the format, each with its role."""
        more = {
            "system": self.roles.system,
            "user": self.roles.user,
            "assistant": self.roles.assistant,
            "tool": self.roles.tool,
            "calls": self.roles.calls,
        }
        return tuple((name, role) for role, names in more.items() for name in dict.fromkeys(names))

    @property
    def role_of(self) -> dict[str, str]:
        """The role by each of its names: those of a turn, and `calls`."""
        known = SHAREGPT_ROLES if self.format == "sharegpt" else OPENAI_ROLES
        return {**known, **dict(self.more_names)}

    @property
    def texts(self) -> tuple[str, ...]:
        """Columns that hold text, sorted; those of `prompt` and `completion` may hold messages."""
        filled = (self.prompt, self.completion, self.system, self.text)
        return tuple(
            sorted({name for value in filled if value for name in template_of(value).columns})
        )

    @property
    def optional(self) -> tuple[str, ...]:
        """Columns that stand in optional parts alone, sorted."""
        filled = [template_of(v) for v in (self.prompt, self.completion, self.text) if v]
        needed = {name for template in filled for name in template.needed}
        return tuple(sorted({name for t in filled for name in t.columns} - needed))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is named, sorted."""
        others = (self.history, self.messages, self.tools, self.group)
        return tuple(sorted({*self.texts, *(name for name in others if name is not None)}))

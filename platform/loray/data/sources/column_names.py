"""Names that columns have in public sets, and what they say of them."""

import shlex
from collections.abc import Iterable, Sequence

from loray.data.sources.columns_seen import ColumnSeen

Fields = dict[str, str]
"""By the names that `fields` has in a spec."""
PAIRS = (
    ("prompt", "completion"), ("prompt", "response"), ("question", "answer"),
    ("instruction", "output"), ("instruction", "response"), ("instruction", "completion"),
    ("query", "response"), ("query", "answer"), ("question", "response"), ("prompt", "answer"),
    ("problem", "solution"), ("input", "output"), ("input", "target"), ("source", "target"),
    ("user", "assistant"), ("human", "assistant"), ("prompt", "output"), ("prompt", "chosen"),
    ("article", "highlights"), ("article", "summary"), ("document", "summary"),
    ("dialogue", "summary"), ("text", "summary"), ("frage", "antwort"), ("pregunta", "respuesta"),
    ("instruction", "answer"), ("question", "solution"), ("question", "chosen"),
    ("instruction", "chosen"), ("input", "response"), ("input", "answer"), ("request", "response"),
)  # fmt: skip
"""Names of a question and its answer in public sets, the likeliest first."""
TEXTS = ("text", "content", "document")
LABELLED = (*TEXTS, "sentence", "utterance", "query", "message", "review", "tweet", "input")
LABELS = ("label", "labels", "intent", "category", "class", "sentiment", "topic", "emotion")
BESIDE = {"instruction": ("input", "context"), "question": ("context",), "prompt": ("context",)}
"""Columns that go on with a question where they are not blank."""
SYSTEMS = ("system", "system_prompt")
CHAT_NAMES = ("messages", "conversations", "conversation")
QUESTIONS = ("prompt", "question", "instruction", "query")
SPEAKERS = ("role", "from", "speaker")


def named(columns: Sequence[ColumnSeen], names: Iterable[str], *kinds: str) -> ColumnSeen | None:
    """A column of one of the names, in capitals or not."""
    wanted = list(names)
    fitting = (c for c in columns if c.name.lower() in wanted and (not kinds or c.kind in kinds))
    return next(fitting, None)


def options(fields: Fields) -> str:
    """How the command line says which column is what."""
    return " ".join(f"--field {shlex.quote(f'{name}={value}')}" for name, value in fields.items())

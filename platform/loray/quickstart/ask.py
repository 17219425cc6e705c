"""Ask served adapters with the official `openai` client, as any program would."""

from collections.abc import Sequence
from dataclasses import dataclass

from openai import OpenAI


@dataclass(frozen=True)
class Answer:
    """One model's answer to one question."""

    model: str
    """As it was asked for: an adapter's name, or the base's."""
    question: str
    text: str
    served_by: str
    """The immutable version that answered."""


def ask(url: str, models: Sequence[str], question: str, *, max_tokens: int = 48) -> list[Answer]:
    """Ask every model the same question over HTTP, greedily.

    Args:
        url: the server's address, such as `http://127.0.0.1:8000`.
    """
    client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=2, timeout=60.0)
    return [_ask_one(client, model, question, max_tokens) for model in models]


def _ask_one(client: OpenAI, model: str, question: str, max_tokens: int) -> Answer:
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        temperature=0.0,
        max_tokens=max_tokens,
    )
    text = answer.choices[0].message.content or ""
    return Answer(model=model, question=question, text=text, served_by=answer.model)

"""The `data.steps` of a spec: what is done to every row, one class a kind."""

from typing import Annotated, Literal

from pydantic import Field

from loray.spec.base import Count, StrictModel


class UnicodeStep(StrictModel):
    """Repair mojibake, normalise to NFC, remove zero-width, bidi, tag and control characters."""

    kind: Literal["unicode"]


class ControlTokensStep(StrictModel):
    """Neutralise the tokenizer's control tokens where a row holds them as plain text."""

    kind: Literal["control_tokens"]


class PiiStep(StrictModel):
    """Replace personal data by typed placeholders such as `<EMAIL_1f3a>`."""

    kind: Literal["pii"]
    entities: tuple[Literal["email", "ip", "phone", "card"], ...] = ("email", "ip", "phone", "card")
    """What is looked for; a card number counts only with a sound Luhn checksum."""


class LengthStep(StrictModel):
    """Reject rows whose texts together have fewer or more characters than allowed."""

    kind: Literal["length"]
    min_chars: Count = 1
    """Fewest characters in all turns of a row together."""
    max_chars: Count = 1_000_000
    """Most characters in all turns of a row together."""


class ExactDuplicatesStep(StrictModel):
    """Reject every row whose turns equal those of a row with a smaller id."""

    kind: Literal["exact_duplicates"]


Step = Annotated[
    UnicodeStep | ControlTokensStep | PiiStep | LengthStep | ExactDuplicatesStep,
    Field(discriminator="kind"),
]

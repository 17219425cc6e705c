"""What every spec model has in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys, coercion, NaN and infinity."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""Names of runs, adapters and aliases: lower case, 1 to 64 characters, no separators."""

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]

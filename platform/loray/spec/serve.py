"""The `serve` block, and the whole of a `configs/serve/*.yaml`."""

from typing import Annotated

from pydantic import Field

from loray.spec.base import AliasName, Count, StrictModel


class ServeSpec(StrictModel):
    """How adapters are served over one base model."""

    alias: AliasName = "champion"
    """The alias that a bare adapter name stands for, and that `apply` moves to what passed."""
    slots: Annotated[int, Field(ge=1, le=4096)] = 8
    """Adapters held in memory at once, per replica."""
    max_rank: Annotated[int, Field(ge=1, le=1024)] = 64
    """Highest LoRA rank a slot can hold."""
    max_batch: Annotated[int, Field(ge=1, le=1024)] = 16
    """Sequences decoded together, per replica."""
    max_context: Annotated[int, Field(ge=16, le=1_048_576)] = 1024
    """Tokens of prompt and answer together that one request may use."""
    max_new_tokens: Annotated[int, Field(ge=1, le=1_048_576)] = 256
    """Longest answer a request may ask for, and the default."""
    replicas: Annotated[int, Field(ge=1, le=1024)] = 1
    """Engines, each with its own copy of the base model."""
    request_timeout_seconds: Annotated[float, Field(gt=0.0, le=86400.0)] = 60.0
    """Longest time from request to last token; what takes longer is cancelled."""
    drain_seconds: Annotated[float, Field(ge=0.0, le=86400.0)] = 25.0
    """How long requests in flight may still take when the server is told to stop; then they end
    with an error. Whoever stops the server should wait longer than this (Kubernetes waits 30 s)."""
    max_queued_requests: Count = 128
    """Requests that may wait before more are refused with HTTP 429."""

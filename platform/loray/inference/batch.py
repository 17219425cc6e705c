"""The sequences that are being decoded together, one row each; used by the engine's thread only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite

from loray.errors import EngineError
from loray.inference.request import Event, FinishReason, GenerateRequest
from loray.inference.rows import BASE
from loray.inference.runner import ModelRunner
from loray.inference.sampling import Sampler, choose
from loray.inference.text import AnswerStream


@dataclass(eq=False)
class RunningSequence:
    """A request from its submission to its last event."""

    request: GenerateRequest
    on_event: Callable[[Event], None]
    slot: int | None
    """The adapter's slot, taken for the request; None asks the base."""
    deadline: float
    """On `time.monotonic`'s clock."""
    sampler: Sampler
    stream: AnswerStream | None
    """Looks for the stop strings; None without any."""
    num_new: int = 0
    num_cached: int = 0
    """Tokens in the cache; the newest token comes after them."""
    num_written: int = 0
    """Positions of its row that are not zero any more; a prefill writes padding, too."""
    newest: int = 0

    @property
    def lora_slot(self) -> int:
        """The slot in the stacks of A and B."""
        return BASE if self.slot is None else self.slot


@dataclass
class Limits:
    """What ends a sequence, beside its own parameters."""

    end_tokens: frozenset[int]
    max_context: int


@dataclass
class Outcome:
    """A sequence's news after a pass."""

    sequence: RunningSequence
    event: Event


@dataclass
class RunningBatch:
    """Rows of the cache, the first ones in use; sequences join at the end and leave anywhere."""

    runner: ModelRunner
    limits: Limits
    max_rows: int
    rows: list[RunningSequence] = field(default_factory=list)

    @property
    def num_free(self) -> int:
        """Rows that a sequence could have."""
        return self.max_rows - len(self.rows)

    def join(self, sequences: Sequence[RunningSequence]) -> list[Outcome]:
        """Prefill at most `num_free` sequences; each gets its first token."""
        ordered = sorted(sequences, key=lambda s: s.lora_slot)
        prompts = [sequence.request.prompt_ids for sequence in ordered]
        slots = [sequence.lora_slot for sequence in ordered]
        first_row = len(self.rows)
        longest = max(map(len, prompts))
        try:
            logits = self.runner.prefill(prompts, slots, first_row)
        except BaseException:
            for row in range(first_row, first_row + len(ordered)):
                self.runner.cache.clear(row, longest)
            raise
        self.rows.extend(ordered)
        for sequence in ordered:
            sequence.num_cached = len(sequence.request.prompt_ids)
            sequence.num_written = longest
        return self._take(ordered, *choose(logits, [s.sampler for s in ordered]))

    def step(self) -> list[Outcome]:
        """One more token for every row."""
        rows = list(self.rows)
        for sequence in rows:
            sequence.num_written = max(sequence.num_written, sequence.num_cached + 1)
        logits = self.runner.decode(
            [s.newest for s in rows], [s.num_cached for s in rows], [s.lora_slot for s in rows]
        )
        for sequence in rows:
            sequence.num_cached += 1
        return self._take(rows, *choose(logits, [s.sampler for s in rows]))

    def leave(self, sequence: RunningSequence) -> None:
        """Give the sequence's row to the last one, and leave zeros behind.

        Infinity or NaN would poison the next sequence there, however well it is masked; and
        nobody's words are to outlive their request.
        """
        cache, row, last_row = self.runner.cache, self.rows.index(sequence), len(self.rows) - 1
        last = self.rows.pop()
        cache.clear(row, sequence.num_written)
        if last is not sequence:
            cache.move(last_row, row, last.num_cached)
            cache.clear(last_row, last.num_written)
            self.rows[row] = last
            last.num_written = last.num_cached

    def _take(
        self, rows: Sequence[RunningSequence], tokens: list[int], entropies: list[float]
    ) -> list[Outcome]:
        """Note the new token of each row, and whether it was its last."""
        return [
            Outcome(sequence, self._after(sequence, token, entropy))
            for sequence, token, entropy in zip(rows, tokens, entropies, strict=True)
        ]

    def _after(self, sequence: RunningSequence, token: int, entropy: float) -> Event:
        request_id = sequence.request.request_id
        if not isfinite(entropy):
            error = EngineError(
                f"the logits of request {request_id!r:.80} hold NaN or infinity; its adapter or "
                "the base model overflows: use another version, or a wider dtype"
            )
            return Event(request_id, finish_reason="error", error=error)
        sequence.newest = token
        sequence.num_new += 1
        return Event(request_id, (token,), (entropy,), self._finish_reason(sequence))

    def _finish_reason(self, sequence: RunningSequence) -> FinishReason | None:
        if sequence.newest in self.limits.end_tokens:
            return "stop"
        if sequence.stream is not None:
            sequence.stream.push([sequence.newest])
            if sequence.stream.stopped:
                return "stop"
        if sequence.num_new >= sequence.request.sampling.max_new_tokens:
            return "length"
        if sequence.num_cached + 1 >= self.limits.max_context:
            return "length"
        return None

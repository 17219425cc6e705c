"""The work of an evaluation, cut into items that any actor can do.

The cut depends on the spec and the rows alone, never on how many actors there are: an item's rows
share batches, and a batch's shape can change the last bits of a float.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from loray.evaluate.rows import BASE, Candidate, Row, RowResult, Suite
from loray.spec.evaluate import GENERATED, MetricName
from loray.spec.run import RunSpec

ROWS_PER_ITEM = 64
"""What is lost when an actor dies, and how finely work is spread over actors."""

Suites = Mapping[Suite, Sequence[Row]]
Results = dict[tuple[str, Suite], tuple[RowResult, ...]]
"""By candidate and suite, in the order of the suite's rows."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """Some rows of one suite for one candidate."""

    candidate: Candidate
    suite: Suite
    first: int
    """Place of the first row in its suite."""
    rows: tuple[Row, ...]
    generate: bool
    """Answer the prompts too, not only score the references."""

    @property
    def words(self) -> str:
        """The item as an error or a log line names it."""
        last = self.first + len(self.rows)
        return f"{self.candidate.name} on {self.suite} rows {self.first + 1} to {last}"


def metrics_of(suite: Suite, spec: RunSpec) -> tuple[MetricName, ...]:
    """What is measured on a suite; perplexity always, for it costs one pass and no decoding."""
    wanted: tuple[MetricName, ...] = spec.evaluate.metrics
    if suite == "validation":
        wanted = wanted if spec.evaluate.select_by in GENERATED else ()
    elif suite == "general":
        wanted = tuple(gate.metric for gate in spec.gates if gate.suite == "general")
    rest = tuple(name for name in spec.evaluate.metrics if name in wanted and name in GENERATED)
    return ("perplexity", *rest)


def to_choose(checkpoints: Iterable[Candidate], suites: Suites, spec: RunSpec) -> list[WorkItem]:
    """What is needed to choose a checkpoint, and all of the base's work, which waits for nobody."""
    base = Candidate(BASE, 0, None)
    items = [item for suite in suites for item in _cut(base, suite, suites, spec)]
    for checkpoint in checkpoints:
        items += _cut(checkpoint, "validation", suites, spec)
    return _longest_first(items)


def to_judge(best: Candidate, suites: Suites, spec: RunSpec) -> list[WorkItem]:
    """What is needed to judge the chosen checkpoint."""
    held_back: tuple[Suite, ...] = ("test", "general")
    return _longest_first(item for suite in held_back for item in _cut(best, suite, suites, spec))


def _cut(candidate: Candidate, suite: Suite, suites: Suites, spec: RunSpec) -> Iterator[WorkItem]:
    rows = suites[suite]
    generate = any(name in GENERATED for name in metrics_of(suite, spec))
    for first in range(0, len(rows), ROWS_PER_ITEM):
        shard = tuple(rows[first : first + ROWS_PER_ITEM])
        yield WorkItem(candidate, suite, first, shard, generate)


def _longest_first(items: Iterable[WorkItem]) -> list[WorkItem]:
    """Items that decode come first, so that no actor begins one when the others are done."""
    return sorted(items, key=lambda item: not item.generate)


def gather(done: Mapping[WorkItem, tuple[RowResult, ...]]) -> Results:
    """Join the items' results in the order of the suites' rows."""
    found: Results = {}
    for item in sorted(done, key=lambda item: item.first):
        key = (item.candidate.name, item.suite)
        found[key] = (*found.get(key, ()), *done[item])
    return found

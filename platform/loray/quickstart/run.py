"""The main job on the embedded default: corpus, two adapters, one server, one question to both.

`make quickstart` is this. It needs nothing but the installation: the corpus is the documentation
of the running Python, the base model lies in `models/tiny`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from loray.pipeline.apply import Outcome, apply
from loray.quickstart.ask import Answer, ask_all
from loray.quickstart.corpus import write_corpus
from loray.quickstart.summary import show_summary
from loray.spec.load import load_checked
from loray.spec.run import RunSpec

SPECS = (Path("configs/runs/docstring.yaml"), Path("configs/runs/call.yaml"))
CORPUS = Path("workspace/corpus")
Report = Callable[[str], None]


@dataclass
class Quickstart:
    """What one quickstart did."""

    outcomes: dict[str, tuple[RunSpec, Outcome]] = field(default_factory=dict)
    """By adapter name."""
    answers: list[Answer] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by part of the job, in order."""

    @property
    def passed(self) -> bool:
        """Every adapter cleared its gates and every question was answered."""
        cleared = all(outcome.passed for _, outcome in self.outcomes.values())
        return cleared and all(answer.text for answer in self.answers)


def quickstart(*, report: Report = print) -> Quickstart:
    """Run the whole job, or what of it is not fresh, and print a summary.

    Raises:
        LorayError: a part failed; running it again continues from there.
    """
    from loray.pipeline.cluster import cluster  # noqa: PLC0415 (Ray takes 1 s to import)

    done = Quickstart()
    with timed(done, "corpus"):
        rows = write_corpus(CORPUS)
        report(f"corpus: {', '.join(f'{count} rows in {name}' for name, count in rows.items())}")
    specs = [load_checked(path) for path in SPECS]
    with timed(done, "ray"):
        stack = cluster(specs[0].resources)
        stack.__enter__()
    try:
        for spec in specs:
            report(f"== {spec.name}")
            outcome = apply(spec, report=report)
            done.outcomes[spec.name] = (spec, outcome)
            done.seconds |= {f"{spec.name} {k}": s for k, s in outcome.seconds.items()}
        with timed(done, "serve and ask"):
            done.answers = ask_all(specs, report=report)
    finally:
        stack.__exit__(None, None, None)
    show_summary(done)
    return done

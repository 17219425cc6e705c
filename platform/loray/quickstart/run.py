"""The main job on the embedded default: corpus, two adapters, one server, one question to both.

`make quickstart` is this. It needs nothing but the installation: the corpus is the documentation
of the running Python, the base model lies in `models/tiny`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loray.cli.output import say
from loray.cli.progress import progress
from loray.pipeline.apply import Outcome, apply
from loray.pipeline.catalog import catalog_of
from loray.quickstart.ask import Answer, ask
from loray.quickstart.corpus import write_corpus
from loray.spec.load import load_checked
from loray.spec.run import RunSpec

SPECS = (Path("configs/runs/docstring.yaml"), Path("configs/runs/call.yaml"))
CORPUS = Path("workspace/corpus")
QUESTIONS = (
    "def get_close_matches(word, possibilities, n=3, cutoff=0.6)",
    "class ShoppingCart: def remove_item(self, item, *, quantity=1)",
    "def read_temperature_sensor(port, unit='celsius', timeout=None)",
)
"""Signatures to ask about; the last two are of no library."""


@dataclass
class Quickstart:
    """What one quickstart did."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By adapter name."""
    answers: list[Answer] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by part of the job, in order."""

    @property
    def passed(self) -> bool:
        """Every adapter cleared its gates, and every question was answered."""
        cleared = all(outcome.passed for outcome in self.outcomes.values())
        return cleared and all(answer.text for answer in self.answers)


def main() -> int:
    """Run the whole job, or what of it is not fresh, and print a summary; 0 when all went well.

    Raises:
        LorayError: a part failed; running it again continues from there.
    """
    from loray.pipeline.cluster import cluster  # noqa: PLC0415 (Ray takes 1 s to import)
    from loray.quickstart.summary import show_summary  # noqa: PLC0415
    from loray.serve.run import proxy_environment  # noqa: PLC0415

    done = Quickstart()
    with timed(done, "build the corpus"):
        rows = write_corpus(CORPUS)
        say("corpus: " + ", ".join(f"{count:,} rows in {name}" for name, count in rows.items()))
    specs = [load_checked(path) for path in SPECS]
    begin = time.monotonic()
    with cluster(specs[0].resources, environment=proxy_environment()):
        done.seconds["start Ray"] = time.monotonic() - begin
        for spec in specs:
            say(f"--- {spec.name}")
            with progress() as report:
                outcome = done.outcomes[spec.name] = apply(spec, report=report)
            done.seconds |= {f"{spec.name}: {k}": s for k, s in outcome.seconds.items()}
        with timed(done, "serve and ask"):
            done.answers = serve_and_ask(specs, [n for n, o in done.outcomes.items() if o.passed])
    show_summary(done)
    return 0 if done.passed else 1


@contextmanager
def timed(done: Quickstart, part: str) -> Iterator[None]:
    """Note how long the body took."""
    begin = time.monotonic()
    yield
    done.seconds[part] = time.monotonic() - begin


def serve_and_ask(specs: list[RunSpec], adapters: list[str]) -> list[Answer]:
    """Serve the first spec's registry, which is the other's too, and ask all the same questions.

    Args:
        adapters: names of those that passed; one that a gate refused is not served.
    """
    from loray.serve.run import serve_spec, served_name  # noqa: PLC0415

    say("--- serving")
    address = serve_spec(specs[0], catalog_of(specs[0]), port=0, report=say)
    models = [served_name(specs[0].base_model), *adapters]
    say(f"asking {', '.join(models)} over {address}/v1 with the openai client")
    return [answer for question in QUESTIONS for answer in ask(address, models, question)]

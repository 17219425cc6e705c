"""How each stage is called: the same shape for all, so that `apply` needs no case for any."""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loray.artifacts.manifest import StageKind
from loray.spec.run import RunSpec


@dataclass(frozen=True)
class Making:
    """One stage being made."""

    spec: RunSpec
    work: Path
    """A local folder of the stage's own; it survives a crash with what an earlier try left."""
    inputs: dict[str, Path]
    """Local folders of the artifacts made before, by kind; without tokens where they are remote."""
    dataset: str
    """Where the dataset is in storage, a local folder or a URI."""
    attempt: int
    """Counts the tries at this stage, over all processes."""
    check: Callable[[], None]
    """Raises LeaseError where another process has taken the stage over."""
    report: Callable[[str], None]

    def empty(self) -> Path:
        """The work folder without what an earlier try left."""
        shutil.rmtree(self.work)
        self.work.mkdir(mode=0o700)
        return self.work


def make_dataset(making: Making) -> dict[str, Any]:
    """Curate; an interrupted try starts over."""
    from loray.data.run import curate_to  # noqa: PLC0415 (each stage's libraries load on use)

    statistics = curate_to(making.empty(), making.spec, report=making.report)
    making.report(curated_words(statistics))
    return statistics


def curated_words(statistics: Mapping[str, Any]) -> str:
    """What became of a dataset's rows, from its statistics, and where to read why."""
    rows, counts = statistics["rows"], Counter[str]()
    for found in statistics["splits"].values():
        counts.update(found)
    shares = ", ".join(f"{counts[split]:,} {split}" for split in ("train", "validation", "test"))
    words = f"{rows['in']:,} rows in, {rows['kept']:,} kept ({shares})"
    put_aside = rows["quarantined"]
    why = "; `loray data quarantine list` says why"
    return f"{words}, {put_aside:,} in quarantine{why if put_aside else ''}"


def make_training(making: Making) -> dict[str, Any]:
    """Train; an interrupted try continues from its last checkpoint."""
    from loray.train.run import train_to  # noqa: PLC0415

    return train_to(
        making.work,
        making.spec,
        f"{making.dataset}/tokens",
        attempt=making.attempt,
        check=making.check,
        report=making.report,
    )


def make_evaluation(making: Making) -> dict[str, Any]:
    """Score; an interrupted try starts over."""
    from loray.evaluate.run import evaluate_to  # noqa: PLC0415

    return evaluate_to(
        making.empty(),
        making.spec,
        making.inputs["dataset"],
        making.inputs["training"],
        report=making.report,
    )


MAKERS: dict[StageKind, Callable[[Making], dict[str, Any]]] = {
    "dataset": make_dataset,
    "training": make_training,
    "evaluation": make_evaluation,
}
"""Each leaves its files in the work folder and returns the statistics for the manifest."""

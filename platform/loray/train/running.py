"""What one worker trains with, handed from one part of a run to the next."""

from collections.abc import Iterator
from dataclasses import dataclass

import ray
import torch

from loray.artifacts.diagnosis import Diagnosis
from loray.artifacts.tokens import TokenParts
from loray.train.batches import Batch, BatchSizes, micro_batches
from loray.train.checkpoint import CheckpointStore
from loray.train.engine import Engine
from loray.train.guard import Guard
from loray.train.journal import Journal
from loray.train.learner import Learner
from loray.train.task import WorkerTask
from loray.train.vitals import Vitals


@dataclass(frozen=True)
class Run:
    """What one worker trains with."""

    task: WorkerTask
    learner: Learner
    """The frozen base, and what learns on it."""
    vitals: Vitals
    engine: Engine
    """Shards, averages, steps."""
    store: CheckpointStore
    guard: Guard
    journal: Journal
    tokens: TokenParts
    sizes: BatchSizes
    worker: int
    beginning: dict[str, torch.Tensor]
    """What learns, as it was before the first step."""

    @property
    def reader(self) -> int:
        """Whose sequences this worker reads: its own ones, or those of all of its pipeline."""
        return self.worker % self.sizes.workers


def batches_of(run: Run, data_step: int) -> Iterator[Batch]:
    """This worker's micro-batches of a step of the data."""
    return micro_batches(
        run.tokens, step=data_step, seed=run.task.spec.seed, sizes=run.sizes, worker=run.reader
    )


def tell(run: Run, diagnosis: Diagnosis) -> None:
    """Note a diagnosis, and have the driver show it."""
    run.guard.note(diagnosis)
    if run.worker == 0:
        ray.get(run.task.progress.diagnose.remote(diagnosis.record()))

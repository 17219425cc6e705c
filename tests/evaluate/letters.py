"""A scorer without a model: it counts letters, and does as a row tells it."""

import os
import signal
import time

from loray.errors import EvaluationError, ModelError
from loray.evaluate.candidate_files import Files
from loray.evaluate.rows import BASE, RowResult
from loray.evaluate.work import WorkItem
from loray.spec.run import RunSpec


class LetterScorer:
    """Keeps the contract of `loray.evaluate.pool.ItemScorer`."""

    def __init__(self, spec: RunSpec) -> None:
        if spec.base_model.path == "unloadable":
            raise ModelError("base_model.path 'unloadable' cannot be loaded")
        if spec.base_model.path == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        self.held = BASE
        self._weight = 1.0

    def hold(self, name: str, files: Files | None) -> None:
        self.held = name
        self._weight = 1.0 if files is None else float(sum(map(len, files.values())))

    def score(self, item: WorkItem) -> tuple[RowResult, ...]:
        for row in item.rows:
            if row.reference == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if row.reference == "hang":
                time.sleep(600)
            if row.reference == "fail":
                raise EvaluationError(f"row {row.id} cannot be scored")
        time.sleep(0.02)
        return tuple(
            RowResult(row.id, self._weight * len(row.reference), len(row.reference))
            for row in item.rows
        )

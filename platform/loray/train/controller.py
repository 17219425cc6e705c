"""Ray Train's controller: what it is doing, and how it is ended when that leads nowhere.

It asks for its workers again and again, without limit and without a word. Here it says when it has
them and when it has not, so that the driver can tell, and give up.
"""

from typing import Any

import ray
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.execution.callback import ControllerCallback

from loray.errors import TrainingError
from loray.pages.visible import one_line
from loray.train.task import is_of_a_peer

RUNNING = "RunningState"
RESTARTING = "RestartingState"
MAX_CHARS = 600


class ToldController(ControllerCallback):
    """Runs in the controller's process; tells a `ProgressActor` what the controller does."""

    def __init__(self, progress: Any) -> None:  # noqa: ANN401 (an actor handle has no useful type)
        self._progress = progress

    def after_controller_start(self, train_run_context: Any) -> None:  # noqa: ANN401, ARG002
        """Leave the controller's handle: whoever has it can end the run."""
        handle = ray.get_runtime_context().current_actor
        self._progress.controlled_by.remote(handle)

    def before_controller_execute_failure_decision(self, failure_decision: Any) -> None:  # noqa: ANN401, ARG002
        """End the run where a worker has said that another try would only repeat its error.

        Raises:
            TrainingError: it has; Ray shuts down in order and starts no workers again.
        """
        failure = ray.get(self._progress.failure.remote())
        if failure is not None:
            raise TrainingError(failure)

    def after_controller_state_update(self, previous_state: Any, current_state: Any) -> None:  # noqa: ANN401, ARG002
        """Say whether there are workers, and why they begin again."""
        name = type(current_state).__name__
        why = ""
        if name == RESTARTING:
            why = cause_of(current_state.training_failed_error)
        self._progress.enter.remote(is_running=name == RUNNING, why=why)


class Trainer(TorchTrainer):
    """A trainer that leaves SIGINT to whoever started the process; Ray's never gives it back."""

    def _register_sigint_handler(self, controller: Any) -> None:  # noqa: ANN401
        """Do nothing."""


def cause_of(error: Exception) -> str:
    """What the workers died of, in one line, without Ray's frames around it."""
    failures: dict[int, Exception] = getattr(error, "worker_failures", None) or {}
    if not failures:
        inner = getattr(error, "controller_failure", error)
        return one_line(str(inner), longest=MAX_CHARS)
    worker, first = min(failures.items(), key=lambda each: (is_of_a_peer(each[1]), each[0]))
    inner = getattr(first, "_base_exc", first)
    return one_line(f"worker {worker}: {type(inner).__name__}: {inner}", longest=MAX_CHARS)

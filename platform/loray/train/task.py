"""What the driver hands to its workers; light, so that a driver needs no torch."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.exceptions import RayError, RayTaskError

from loray.machines.disk import full_disk_words
from loray.spec.run import RunSpec
from loray.train.rates import RateRange

MAX_CHARS = 2000
"""Of an error's message."""
_OF_A_PEER = re.compile(
    r"gloo.transport|connection (?:closed|reset|refused|aborted)|broken pipe|socket timeout"
    r"|timed out (?:waiting|after)|wait timeout|store .*timeout|nccl (?:communicator|error)"
    r"|ecc error",
    re.IGNORECASE,
)
_PORT = re.compile(r"(?<=\]):\d+|(?<=\d):\d{2,5}\b")
"""Of a peer's address: another one at every try."""


@dataclass(frozen=True)
class WorkerTask:
    """What the driver tells every worker."""

    spec: RunSpec
    tokens: str
    """The dataset's `tokens`, a local folder or a URI."""
    checkpoints: str
    """URI of the run's checkpoints."""
    attempt: int
    working_folder: str
    """Where the driver runs, and what the spec's relative paths are relative to."""
    progress: Any
    """Handle of a `ProgressActor`; hears of steps, and of errors that would only repeat."""
    trackers: Any = None
    """Handle of a `TrackerActor`, which hears of steps; None if no tracker is asked for."""
    rates: RateRange | None = None
    """Try these learning rates and leave their losses with `progress`, instead of training."""


def train_worker(config: dict[str, Any]) -> None:
    """Entry point on a worker: errors of ours end the run, deaths of machines resume it."""
    task: WorkerTask = config["task"]
    failure: Any = ray.get(task.progress.failure.remote())
    if failure is not None:
        return  # Ray Train starts the workers again; the driver reads the failure and raises
    if Path(task.working_folder).is_dir():
        os.chdir(task.working_folder)  # Ray Train moved this worker to a folder of its own
    if not task.spec.resources.gpus_per_worker:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # spares DeepSpeed a search and a warning
    from loray.train.worker import train, try_rates  # noqa: PLC0415 (torch and DeepSpeed: 10 s)

    try:
        train(task) if task.rates is None else try_rates(task, task.rates)
    except Exception as error:
        _give_notice(task, error)
        raise


def _give_notice(task: WorkerTask, error: Exception) -> None:
    """Tell the driver what ended this worker; where another try may help, it is made.

    The message is the error's own: what Ray passes on is cut off in the middle.
    """
    worker = ray.train.get_context().get_world_rank()
    text = error_in_words(error)
    if is_out_of_memory(error):
        what = "out of memory"
        advice = "`loray plan SPEC` says what takes how much and, with --device, what to change"
        ray.get(task.progress.meet.remote(worker, what, text, what=what, advice=advice))
    elif is_of_a_peer(error):
        return  # whoever died may die again, up to `resources.max_failures` times
    elif may_pass(error):
        ray.get(task.progress.meet.remote(worker, mark_of(error), text))
    else:
        ray.get(task.progress.fail.remote(text))


def error_in_words(error: Exception) -> str:
    """The error's kind and message, and its cause's; without the frames that torch appends."""
    if (full := full_disk_words(error)) is not None:
        return full
    own = str(error).split("\nException raised from")[0].strip()[:MAX_CHARS]
    text = f"{type(error).__name__}: {own}" if own else type(error).__name__
    cause = error.__cause__
    return text if cause is None else f"{text} (from {type(cause).__name__}: {cause!s:.300})"


def mark_of(error: Exception) -> str:
    """The error in words that are the same at every try: without the ports of peers."""
    return _PORT.sub("", error_in_words(error))


def may_pass(error: Exception) -> bool:
    """Whether the same step may go well the next time: a peer, a node or the network failed.

    Gloo raises plain RuntimeErrors; only their text tells them from those of the model.
    """
    import torch.distributed as dist  # noqa: PLC0415

    if isinstance(error, (dist.DistError, ConnectionError, TimeoutError, RayError)):
        return not isinstance(error, RayTaskError)
    return isinstance(error, RuntimeError) and _OF_A_PEER.search(str(error)) is not None


def is_of_a_peer(error: Exception) -> bool:
    """Whether it only says that another worker is gone."""
    return re.search(r"connection (?:closed|reset) by peer", str(error), re.IGNORECASE) is not None


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device had too little memory, or the host when torch asked it."""
    import torch  # noqa: PLC0415

    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )

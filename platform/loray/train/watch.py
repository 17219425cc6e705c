"""What a step takes, and what is recorded of it; the training does not feel it.

Watching draws nothing from random state and changes no weight: a watched run ends bit for bit
where an unwatched one does (`tests/train/test_watch.py`).
"""

import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from loray.errors import ModelError
from loray.planner.devices import device_reported
from loray.planner.families import architecture_for
from loray.planner.report import flops_per_token
from loray.spec.run import RunSpec
from loray.train.batches import Batch
from loray.train.engine import Engine
from loray.train.journal import Record, StepCost
from loray.train.vitals import Vitals

STATUS = Path("/proc/self/status")


class Watch:
    """Looks at one step after another: `begin`, `waiting` and `look` within it, `end`."""

    def __init__(self, spec: RunSpec, vitals: Vitals, engine: Engine) -> None:
        self.records: list[Record] = []
        """A line a module, of the step that ended last, if it was one to record."""
        self._engine = engine
        self._vitals = vitals
        self._workers = dist.get_world_size()
        self._utilization = utilization_per_token(spec, device_name(), workers=self._workers)
        self._is_recorded = False
        self._began = self._data_seconds = self._vitals_seconds = 0.0

    def begin(self, *, is_recorded: bool) -> None:
        """A step starts.

        Args:
            is_recorded: measure the modules, too; the same on every worker.
        """
        self.records = []
        self._is_recorded = is_recorded
        self._began = time.perf_counter()
        self._data_seconds = self._vitals_seconds = 0.0

    def waiting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; how long each is waited for is added up."""
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self._data_seconds += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    def look(self) -> None:
        """Measure gradients and weights, between `accumulate` and `step`."""
        if self._is_recorded:
            began = time.perf_counter()
            self._vitals.look(self._engine)
            self._vitals_seconds += time.perf_counter() - began

    def end(self, step: int, *, num_tokens: int) -> StepCost:
        """The optimizer has moved; `step` counts from 1."""
        if self._is_recorded:
            began = time.perf_counter()
            self.records = self._vitals.records(self._engine, step=step)
            self._vitals_seconds += time.perf_counter() - began
        seconds = time.perf_counter() - self._began
        speed = num_tokens / (seconds - self._vitals_seconds)
        return StepCost(
            workers=self._workers,
            seconds=seconds,
            data_seconds=self._data_seconds,
            vitals_seconds=self._vitals_seconds,
            tokens_per_second=speed,
            peak_memory_bytes=peak_memory(on_gpu=torch.cuda.is_initialized()),
            flops_utilization=None if self._utilization is None else speed * self._utilization,
        )


def device_name() -> str | None:
    """What CUDA calls this process's device; None on a CPU."""
    return torch.cuda.get_device_name() if torch.cuda.is_initialized() else None


def utilization_per_token(spec: RunSpec, name: str | None, *, workers: int) -> float | None:
    """Share of all devices' peak that one token a second keeps busy; None if it is not known.

    Args:
        name: what CUDA calls a worker's device; None on a CPU.
    """
    device = None if name is None else device_reported(name)
    if device is None or device.tflops is None or spec.base_model.dtype != "bfloat16":
        return None  # peaks are known of that type only
    try:
        flops = flops_per_token(spec, architecture_for(spec.base_model))
    except ModelError:  # of a kind that the planner cannot count
        return None
    return flops / (workers * device.tflops * 1e12)


def peak_memory(*, on_gpu: bool) -> int | None:
    """Most bytes that this process ever had, allocated on its GPU or resident; None if not told."""
    if on_gpu:
        return torch.cuda.max_memory_allocated()
    # Not getrusage, whose figure begins with what the parent process was. Source: proc(5), VmHWM.
    lines = STATUS.read_text(encoding="utf-8").splitlines() if STATUS.is_file() else []
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else None

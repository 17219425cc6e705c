"""What this machine has to compute with, without torch."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loray.machines.room import counted

GIB = 2**30
ASK_SECONDS = 10.0
"""How long `nvidia-smi` may take."""
WIDTH = 512
"""Of the matrices that are multiplied to learn how fast this CPU is."""
TRY_SECONDS = 0.05


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU, as its driver reports it."""

    name: str
    gib: float


@dataclass(frozen=True)
class Machine:
    """CPUs, memory and GPUs."""

    cpus: int
    """That this process may use."""
    free_gib: float
    """Memory that a new process may take."""
    gpus: tuple[Gpu, ...] = ()

    @property
    def words(self) -> str:
        """In a few words."""
        if self.gpus:
            return f"{len(self.gpus)} x {self.gpus[0].name} of {self.gpus[0].gib:.0f} GiB"
        return f"{counted(self.cpus, 'CPUs')}, {self.free_gib:.0f} GiB of free memory, no GPU"


def this_machine() -> Machine:
    """What there is here, now."""
    return Machine(len(os.sched_getaffinity(0)), _free_bytes() / GIB, _gpus())


def products_per_second() -> float:
    """Multiplications and additions a second of float32 matrix products on one CPU, measured.

    By processor time, so that other processes do not count, nor how many threads take part.
    """
    left = np.ones((WIDTH, WIDTH), np.float32)
    left @ left  # threads start
    count, began = 0, time.process_time()
    while (spent := time.process_time() - began) < TRY_SECONDS:
        left @ left
        count += 1
    return 2.0 * WIDTH**3 * count / spent


def _free_bytes() -> float:
    """Available memory, or what a container's limit leaves of it."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    sizes = {line.partition(":")[0]: float(line.split()[1]) * 1024 for line in lines}
    free = sizes["MemAvailable"]
    limit, used = (_number_in(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    return min(free, limit - used) if limit is not None and used is not None else free


def _number_in(path: str) -> float | None:
    try:
        return float(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or one without a limit
        return None


def _gpus() -> tuple[Gpu, ...]:
    """Those that `nvidia-smi` lists and CUDA_VISIBLE_DEVICES leaves."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return ()
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(  # noqa: S603 (a fixed command)
            command, capture_output=True, text=True, timeout=ASK_SECONDS, check=True
        )
        rows = [line.rsplit(",", 1) for line in done.stdout.splitlines() if line.strip()]
        found = tuple(Gpu(name.strip(), float(mib) / 1024) for name, mib in rows)
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()
    return found[: len(visible.split(","))] if visible else found

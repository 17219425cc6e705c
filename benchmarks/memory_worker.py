"""What a worker of Ray Train does, in a process of its own, and the largest that it was meanwhile.

    python memory_worker.py SPEC_JSON STEPS        prints a line of JSON, bytes

`memory.py` runs it, and says which worker of how many it is (RANK, WORLD_SIZE, MASTER_PORT).

Loads, takes steps over full sequences of which every token is a target, and gathers and writes a
checkpoint, by the worker's own parts in its own order. Linux only: it reads and resets VmHWM.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the environment is set before torch is imported
    from torch import Tensor

    from loray.spec.run import RunSpec
    from loray.train.batches import Batch
    from loray.train.learner import Learner

KIB = 1024


def main(spec_file: str, steps: int) -> None:
    """Measure; the first step makes what stays: moments of Adam, kernels."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "LOCAL_RANK": "0", "DS_ACCELERATOR": "cpu"}
    import torch  # noqa: PLC0415 (the environment first)
    import torch.distributed as dist  # noqa: PLC0415

    from loray.spec.run import RunSpec  # noqa: PLC0415
    from loray.train.learner import begin_learner, causal_lm  # noqa: PLC0415
    from loray.train.loop import AnswerLoss, loss_on, train_step  # noqa: PLC0415
    from loray.train.strategies import make_engine  # noqa: PLC0415
    from loray.train.vitals import Vitals  # noqa: PLC0415
    from loray.train.worker import train  # noqa: F401, PLC0415 (for all that it brings with it)

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    workers = dist.get_world_size()
    spec = RunSpec.model_validate_json(Path(spec_file).read_text(encoding="utf-8"))
    found = {}
    learner, read = begin_learner(spec, device="cpu")
    vitals, module = Vitals(learner), AnswerLoss(causal_lm(learner))
    found["loading"] = high_water()
    forget()

    def complete(part: torch.nn.Module) -> None:
        read(part)
        vitals.weigh(part)
        if spec.reads_by_parts:  # else all of it is there
            found["loading"] = max(found["loading"], high_water())

    engine = make_engine(module, spec, workers=workers, device="cpu", complete=complete)
    if spec.reads_by_parts:
        forget()
    beginning = engine.weights()
    loss_on(engine, batches(spec))
    for step in range(steps):
        train_step(
            engine,
            batches(spec),
            learning_rate=1e-4,
            dropout_seed=step,
            look_at_gradients=lambda: vitals.look(engine),
        )
        vitals.records(engine, step=step)
    found["step"] = high_water()
    forget()
    state = engine.state()
    if dist.get_rank() == 0:
        write(state, learner, spec)
    found["checkpoint"] = high_water()
    del beginning, state
    print(json.dumps(found))


def write(state: "dict[str, Tensor]", learner: "Learner", spec: "RunSpec") -> None:
    """What worker 0 writes of a checkpoint."""
    from safetensors.torch import save_file  # noqa: PLC0415

    from loray.train.learner import save_learned  # noqa: PLC0415

    weights = {key: value for key, value in state.items() if key.startswith("weight/")}
    with tempfile.TemporaryDirectory() as name:
        save_learned(learner, spec, Path(name), weights)
        save_file(state, Path(name) / "state.safetensors")


def batches(spec: "RunSpec") -> "list[Batch]":
    """The micro-batches of a step: rows of a quarter of a sequence where the spec packs."""
    import torch  # noqa: PLC0415

    from loray.train.batches import Batch  # noqa: PLC0415

    size, length = spec.train.batch.micro_size, spec.data.sequence.max_tokens
    row = length // 4 if spec.data.sequence.packing else length
    ids = torch.arange(size * length).view(size, length) % 200 + 20
    positions = (torch.arange(length) % row).expand(size, length).clone()
    batch = Batch(ids, ids.clone(), positions, num_tokens=size * length)
    return [batch] * spec.accumulation_steps


def high_water() -> int:
    """The largest that this process was since it last forgot, bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * KIB


def forget() -> None:
    """Let the high-water mark begin again at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

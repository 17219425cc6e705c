"""A training run on one worker, top to bottom."""

import hashlib
import math
import tempfile
import time
from pathlib import Path

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

from loray.errors import TrainingError
from loray.spec.run import RunSpec
from loray.train.batches import BatchSizes, micro_batches, open_tokens
from loray.train.checkpoint import STATE_NAME, CheckpointStore
from loray.train.engine import Engine, ZeroEngine
from loray.train.journal import Journal
from loray.train.learner import (
    Learner,
    build_learner,
    causal_lm,
    check_trained,
    learned_tensors,
    save_learned,
)
from loray.train.loop import AnswerLoss, learning_rate_at, train_step
from loray.train.task import WorkerTask
from loray.train.vitals import Vitals


def train(task: WorkerTask) -> None:
    """Train `spec.train.steps` optimizer steps, resuming from the last checkpoint if any."""
    spec, context = task.spec, ray.train.get_context()
    device = str(ray.train.torch.get_device())
    worker, workers = context.get_world_rank(), context.get_world_size()
    torch.set_num_threads(spec.resources.cpus_per_worker)

    learner = build_learner(spec, device=device)  # the frozen base, and what learns on it
    engine = ZeroEngine(  # shards, averages, steps
        AnswerLoss(causal_lm(learner)),
        spec.train,
        accumulation=spec.train.batch.global_size // (spec.train.batch.micro_size * workers),
        bf16=spec.base_model.dtype == "bfloat16",
        device=device,
    )
    vitals, journal = Vitals(learner), Journal()
    store = CheckpointStore(task.checkpoints)
    first_step = resume(engine, store)

    tokens = open_tokens(task.tokens)
    sizes = BatchSizes(spec.train.batch.global_size, spec.train.batch.micro_size, workers)
    for step in range(first_step, spec.train.steps):
        begin = time.perf_counter()
        look = None
        if step == 0 or is_every(spec.train.vitals_every, step + 1, spec):
            look = lambda n=step + 1: journal.vitals.extend(vitals.measure(engine, step=n))  # noqa: E731
        result = train_step(
            engine,
            micro_batches(tokens, step=step, seed=spec.seed, sizes=sizes, worker=worker),
            learning_rate=learning_rate_at(
                step,
                peak=spec.train.optimizer.learning_rate,
                steps=spec.train.steps,
                schedule=spec.train.schedule,
            ),
            dropout_seed=dropout_seed(spec.seed, step=step, worker=worker),
            look_at_gradients=look,
        )
        seconds = time.perf_counter() - begin
        if not math.isfinite(result.loss):
            raise TrainingError(
                f"the loss at step {step + 1} is {result.loss}; lower "
                "train.optimizer.learning_rate, and apply again to start from scratch"
            )
        if step == first_step:
            check_equal_workers(learner)
        journal.note(step + 1, result, seconds=seconds)
        if worker == 0:
            task.progress.note.remote(step + 1, result.loss, result.num_tokens / seconds)
        if is_every(spec.train.checkpoint_every, step + 1, spec):
            save(learner, engine, journal, store=store, task=task, step=step + 1)
            # A barrier: every worker reaches it. Source: `ray.train.report` docs.
            ray.train.report({"step": step + 1, "loss": result.loss})
    tokens.close()  # Ray ends this process without ceremony
    check_trained(learner)


def resume(engine: Engine, store: CheckpointStore) -> int:
    """Restore the newest checkpoint; returns the steps it had done, 0 without one.

    Worker 0 looks, and tells the others, so that all continue from the same step.
    """
    found = [store.committed()[-1:] if dist.get_rank() == 0 else []]
    dist.broadcast_object_list(found, src=0)
    if not found[0]:
        return 0
    checkpoint = found[0][0]
    with tempfile.TemporaryDirectory() as folder:
        store.fetch(checkpoint, Path(folder))
        state = load_file(Path(folder) / STATE_NAME)
    engine.restore(state, steps_done=checkpoint.step)
    return checkpoint.step


def save(
    learner: Learner,
    engine: Engine,
    journal: Journal,
    *,
    store: CheckpointStore,
    task: WorkerTask,
    step: int,
) -> None:
    """Commit a checkpoint; all workers gather the state, worker 0 writes."""
    state = engine.state()
    if dist.get_rank() != 0:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_learned(learner, task.spec, folder)
        save_file(state, folder / STATE_NAME)
        journal.write(folder)
        store.commit(folder, attempt=task.attempt, step=step)


def is_every(period: int, steps_done: int, spec: RunSpec) -> bool:
    """Whether something due every `period` steps is due now; it always is at the last step."""
    return steps_done % period == 0 or steps_done == spec.train.steps


def dropout_seed(seed: int, *, step: int, worker: int) -> int:
    """A seed of its own for every step and worker, the same when the run is resumed."""
    text = f"{seed}/{step}/{worker}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:7])


def check_equal_workers(learner: Learner) -> None:
    """Compare what the workers learned, bit by bit.

    Raises:
        TrainingError: the workers train apart, as when gradients are not averaged.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(learned_tensors(learner).items()):
        digest.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
    digests: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(digests, digest.hexdigest())
    if len(set(digests)) != 1:
        raise TrainingError(
            f"after one step the {len(digests)} workers hold different weights, so their gradients "
            "are not averaged; this is a fault of the strategy, please report it"
        )

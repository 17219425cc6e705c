"""A training run on one worker, top to bottom."""

import hashlib
import math
import time
from collections.abc import Sequence

import ray
import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from torch import nn

from loray.errors import TrainingError
from loray.models.finite import no_finite_loss
from loray.spec.run import RunSpec
from loray.spec.train import BaseModelSpec
from loray.train.audit import row_faults
from loray.train.batches import BatchSizes, open_tokens
from loray.train.begin import begin_at_inputs
from loray.train.checkpoint import CheckpointStore
from loray.train.continuing import act_on, adapter_before, discard_damaged, resume, save
from loray.train.engine import learning_parameters
from loray.train.export import Exporter
from loray.train.findings import dead_modules
from loray.train.guard import FIRST, Guard
from loray.train.journal import Journal
from loray.train.learner import Learner, begin_learner, causal_lm, check_trained, take_up
from loray.train.loop import AnswerLoss, learning_rate_at, loss_on, train_step
from loray.train.metrics import metrics_of
from loray.train.rates import RateRange, is_over
from loray.train.running import Run, batches_of, tell
from loray.train.strategies import make_engine
from loray.train.task import WorkerTask
from loray.train.vitals import Vitals
from loray.train.watch import Watch


def train(task: WorkerTask) -> None:
    """Train `spec.train.steps` optimizer steps, resuming from the last checkpoint if any."""
    spec = task.spec
    run = prepare(task)
    guard, journal = run.guard, run.journal
    watch = Watch(spec, run.vitals, run.engine)
    exporter = Exporter(spec.name, task.trackers)
    first_step = step = saved = resume(run)
    if run.worker == 0:
        task.progress.begin.remote(dist.get_world_size(), step)
    if step == 0:
        look_before(run)
    while step < spec.train.steps:
        is_recorded = step == 0 or is_every(spec.train.vitals_every, step + 1, spec)
        watch.begin(is_recorded=is_recorded)
        result = train_step(
            run.engine,
            watch.waiting(batches_of(run, guard.data_step(step))),
            learning_rate=learning_rate_at(step, train=spec.train) * guard.state.rate_factor,
            dropout_seed=dropout_seed(spec.seed, step=step, worker=run.worker),
            look_at_gradients=watch.look,
        )
        cost = watch.end(step + 1, num_tokens=result.num_tokens)
        journal.vitals.extend(watch.records)
        judgement = guard.judge(step, result.loss, result.grad_norm, saved=saved)
        back_to = None if judgement is None else act_on(judgement, run)
        if back_to is not None:
            step = saved = back_to
            continue
        if step == first_step:
            look_after_first(run, step)
        step += 1
        line = journal.note(step, result, cost)
        if run.worker == 0:
            epochs = step * spec.train.batch.global_size / len(run.tokens)
            task.progress.note.remote(step, result.loss, cost.tokens_per_second, epochs)
            exporter.tell(step, metrics_of(line, watch.records))
        if is_every(spec.train.checkpoint_every, step, spec):
            saved = step
            save(run, step=step)
            # A barrier: every worker reaches it. Source: `ray.train.report` docs.
            ray.train.report({"step": step, "loss": result.loss})
    run.tokens.close()  # Ray ends this process without ceremony
    check_trained(run.learner, run.engine.weights())


def try_rates(task: WorkerTask, rates: RateRange) -> None:
    """Take a step at each learning rate, the lowest first, until the loss has risen again."""
    run = prepare(task)
    tried: list[tuple[float, float]] = []
    for step in range(rates.steps):
        begin = time.perf_counter()
        rate = rates.rate(step)
        result = train_step(
            run.engine,
            batches_of(run, step),
            learning_rate=rate,
            dropout_seed=dropout_seed(task.spec.seed, step=step, worker=run.worker),
        )
        if step == 0:
            check_base(task.spec.base_model, [result.loss])
        tried.append((rate, result.loss))
        if run.worker == 0:
            speed = result.num_tokens / (time.perf_counter() - begin)
            task.progress.note.remote(step + 1, result.loss, speed)
        if is_over([loss for _, loss in tried]):
            break
    run.tokens.close()
    if run.worker == 0:
        ray.get(task.progress.leave.remote(tried))


def prepare(task: WorkerTask) -> Run:
    """Load the base, put on it what learns, and open the data."""
    spec, context = task.spec, ray.train.get_context()
    device = str(ray.train.torch.get_device())
    worker, workers = context.get_world_rank(), context.get_world_size()
    torch.set_num_threads(spec.resources.cpus_per_worker)
    store, tokens = CheckpointStore(task.checkpoints), open_tokens(task.tokens)
    learner, read = begin_learner(spec, device=device)
    discard_damaged(task, store)
    if (before := adapter_before(spec, store)) is not None:
        take_up(learner, before)
    begin_at_inputs(learner, spec, tokens)
    vitals = Vitals(learner)

    def complete(part: nn.Module) -> None:
        """All that needs the weights of a part in full; they are shared out next."""
        read(part)
        if before is not None:
            take_up(learner, before, part)
        vitals.weigh(part)

    module = AnswerLoss(causal_lm(learner))
    engine = make_engine(module, spec, workers=workers, device=device, complete=complete)
    batch = spec.train.batch
    return Run(
        task=task,
        learner=learner,
        vitals=vitals,
        engine=engine,
        store=store,
        guard=Guard(spec.train.guard),
        journal=Journal(),
        tokens=tokens,
        sizes=BatchSizes(batch.global_size, batch.micro_size, engine.replicas),
        worker=worker,
        beginning=engine.weights(),
    )


def look_before(run: Run) -> None:
    """Before the first step: are the rows sound, and what does the model lose untaught?"""
    if (found := row_faults(run.tokens)) is not None:
        tell(run, found)
    torch.manual_seed(run.task.spec.seed)  # dropout
    losses = [loss_on(run.engine, batches_of(run, at)) for at in range(FIRST)]
    check_base(run.task.spec.base_model, losses)
    run.guard.state.untrained = losses


def check_base(model: BaseModelSpec, losses: Sequence[float]) -> None:
    """Refuse a base whose losses before any training are NaN: no rate and no row is to blame.

    Raises:
        ModelError: with the tensor that holds NaN, if one does.
    """
    odd = [loss for loss in losses if not math.isfinite(loss)]
    if odd:
        raise no_finite_loss(model, odd[0])


def look_after_first(run: Run, step: int) -> None:
    """After a process's first step: do all workers hold the same, and does every module learn?"""
    if not run.engine.shards_weights:
        check_equal_workers(run.learner)
    found = dead_modules(run.journal.vitals) if step == 0 else None
    if found is not None and not run.guard.has_noted("dead_modules"):
        tell(run, found)


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
    for name, tensor in sorted(learning_parameters(learner).items()):
        digest.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
    digests: list[str | None] = [None] * dist.get_world_size()
    dist.all_gather_object(digests, digest.hexdigest())
    if len(set(digests)) != 1:
        raise TrainingError(
            f"after one step the {len(digests)} workers hold different weights, so their gradients "
            "are not averaged; this is a fault of the strategy, please report it"
        )

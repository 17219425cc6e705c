"""Checkpoints of a run: save them, go on from the newest, be set back to an earlier one."""

from dataclasses import replace

import ray
import torch.distributed as dist
from safetensors.torch import load_file, save_file

from loray.artifacts.diagnosis import Diagnosis
from loray.artifacts.scratch import scratch_folder
from loray.models.adapter import WEIGHTS_NAME
from loray.spec.run import RunSpec
from loray.train.audit import suspect_rows
from loray.train.checkpoint import GUARD_NAME, STATE_NAME, Checkpoint, CheckpointStore
from loray.train.guard import GuardState, Judgement
from loray.train.learner import Tensors, save_learned
from loray.train.running import Run, tell
from loray.train.task import WorkerTask


def adapter_before(spec: RunSpec, store: CheckpointStore) -> Tensors | None:
    """The newest checkpoint's adapter, where a run must `take_up` what it began with (PiSSA)."""
    if not spec.begins_with_principal or (checkpoint := newest(store)) is None:
        return None
    with scratch_folder("checkpoint") as folder:
        store.fetch(checkpoint, folder)
        return load_file(folder / WEIGHTS_NAME)


def discard_damaged(task: WorkerTask, store: CheckpointStore) -> None:
    """Go on from a sound checkpoint; worker 0 looks, before any worker asks for the newest."""
    if dist.get_rank() != 0 or not (said := store.discard_damaged()):
        return
    step = max((checkpoint.step for checkpoint in store.committed()), default=0)
    found = Diagnosis("damaged_checkpoint", step, "; ".join(said), f"went on from step {step}")
    ray.get(task.progress.diagnose.remote(found.record()))


def newest(store: CheckpointStore) -> Checkpoint | None:
    """The newest checkpoint; worker 0 looks, and tells the others, so that all take the same."""
    found = [store.committed()[-1:] if dist.get_rank() == 0 else []]
    dist.broadcast_object_list(found, src=0)
    return found[0][0] if found[0] else None


def resume(run: Run) -> int:
    """Restore the newest checkpoint; returns the steps it had done, 0 without one."""
    checkpoint = newest(run.store)
    if checkpoint is None:
        return 0
    with scratch_folder("checkpoint") as folder:
        run.store.fetch(checkpoint, folder)
        state = load_file(folder / STATE_NAME)
        text = (folder / GUARD_NAME).read_text(encoding="utf-8")
    run.engine.restore(state, steps_done=checkpoint.step)
    run.guard.take_over(GuardState.from_json(text))
    return checkpoint.step


def save(run: Run, *, step: int) -> None:
    """Commit a checkpoint; all workers gather the state, worker 0 writes."""
    state = run.engine.state()
    if run.worker != 0:
        return
    with scratch_folder("checkpoint") as folder:
        weights = {name: value for name, value in state.items() if name.startswith("weight/")}
        save_learned(run.learner, run.task.spec, folder, weights)
        save_file(state, folder / STATE_NAME)
        run.journal.write(folder)
        (folder / GUARD_NAME).write_text(run.guard.state.to_json(), encoding="utf-8")
        run.store.commit(folder, attempt=run.task.attempt, step=step)


def act_on(judgement: Judgement, run: Run) -> int | None:
    """Set the run back if that is called for, and name the rows to look at.

    Returns:
        the steps that the run was set back to, or None; its journal begins there again.
    """
    diagnosis, back_to = judgement.diagnosis, None
    if judgement.back_to is not None:
        if run.worker == 0:
            discard(judgement, run.store)
        decided = run.guard.state
        run.guard.take_over(GuardState())
        back_to = resume(run)
        if back_to == 0:
            run.engine.restore(run.beginning, steps_done=0)
        run.guard.set_back(decided)
        run.journal.clear()
        diagnosis = replace(diagnosis, done=diagnosis.done.format(step=back_to))
    rows = suspect_rows(
        run.engine,
        run.tokens,
        judgement.suspects,
        seed=run.task.spec.seed,
        sizes=run.sizes,
        worker=run.reader,
    )
    tell(run, diagnosis.naming(rows))
    return back_to


def discard(judgement: Judgement, store: CheckpointStore) -> None:
    """Take back the checkpoints that the run is not to go back to."""
    if judgement.back_to == "beginning":
        store.discard_all()
    elif judgement.back_to == "earlier":
        store.discard(store.committed()[-1])

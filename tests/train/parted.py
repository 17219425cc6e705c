"""Two workers that build a learner whole and by parts, watch what is held meanwhile, and train."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKERS = 2
STEPS = 3


@dataclass
class Found:
    """What one way left on a worker."""

    losses: list[float] = field(default_factory=list)
    beginning: Any = None
    """Weights that learn, before the first step."""
    learned: Any = None
    norms: dict[str, float] = field(default_factory=dict)
    """Of the frozen weights, by module."""
    held: list[int] = field(default_factory=list)
    """Bytes of weights, when a part was complete and before it was shared out."""
    parts: list[int] = field(default_factory=list)
    """Bytes of each part, as it was then; of the last one what was not shared out before."""
    adapter: int = 0
    """Bytes of what was put on the base."""


def compare_all(specs: dict[str, Any], tokens: str, folder: Path) -> dict[str, list[Found]]:
    """For every spec, what worker 0 found: whole, then by parts."""
    import torch
    import torch.multiprocessing as mp

    mp.spawn(_work, (specs, tokens, str(folder)), nprocs=WORKERS)
    return {name: torch.load(folder / f"{name}.pt", weights_only=False) for name in specs}


def _work(worker: int, specs: dict[str, Any], tokens: str, folder: str) -> None:
    import torch
    import torch.distributed as dist

    os.environ |= {"LOCAL_RANK": str(worker), "DS_ACCELERATOR": "cpu"}
    torch.set_num_threads(1)
    store = f"file://{folder}/group"
    dist.init_process_group("gloo", init_method=store, rank=worker, world_size=WORKERS)
    for name, spec in specs.items():
        both = [run(spec, tokens, worker, is_whole=is_whole) for is_whole in (True, False)]
        if worker == 0:
            torch.save(both, Path(folder) / f"{name}.pt")
    dist.destroy_process_group()


def run(
    spec: Any, tokens: str, worker: int = 0, *, is_whole: bool, workers: int = WORKERS
) -> Found:
    """Build a learner and its engine, and take some steps."""
    from loray.train.engine import is_complete
    from loray.train.learner import begin_learner, build_learner, causal_lm
    from loray.train.loop import AnswerLoss
    from loray.train.strategies import make_engine
    from loray.train.vitals import Vitals
    from tests.train.loops import Looped, step_through

    found = Found()
    if is_whole:
        learner, read = build_learner(spec, device="cpu"), is_complete
    else:
        learner, read = begin_learner(spec, device="cpu")
    vitals, module = Vitals(learner), AnswerLoss(causal_lm(learner))
    found.adapter = sum(
        _nbytes(p)
        for name, p in module.named_parameters()
        if "lora_" in name or "modules_to_save" in name
    )
    engine = make_engine(
        module, spec, workers=workers, device="cpu", complete=_watched(module, read, vitals, found)
    )
    found.norms = dict(vitals._base_norms)
    found.beginning = engine.weights()
    looped = Looped([], learner, engine, vitals, [])
    step_through(looped, spec, tokens, range(STEPS), worker=worker)
    found.losses, found.learned = looped.losses, engine.weights()
    return found


def _watched(module: Any, read: Callable[[Any], None], vitals: Any, found: Found) -> Any:
    def complete(part: Any) -> None:
        read(part)
        vitals.weigh(part)
        found.held.append(sum(_nbytes(p) for p in module.parameters()))
        found.parts.append(sum(_nbytes(p) for p in part.parameters() if not _is_shared(p)))

    return complete


def _is_shared(parameter: Any) -> bool:
    from torch.distributed.tensor import DTensor

    return parameter.is_meta or isinstance(parameter, DTensor) or hasattr(parameter, "ds_tensor")


def _nbytes(parameter: Any) -> int:
    """What a worker holds of it: all of it, its share, or a single number."""
    from torch.distributed.tensor import DTensor

    if parameter.is_meta:
        return 0
    if isinstance(parameter, DTensor):
        return parameter.to_local().untyped_storage().nbytes()
    share = getattr(parameter, "ds_tensor", None)
    held = 0 if share is None else share.untyped_storage().nbytes()
    return held + parameter.data.untyped_storage().nbytes()

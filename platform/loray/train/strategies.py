"""The engine of a spec's strategy."""

from torch import nn

from loray.models.load import DTYPES
from loray.spec.run import RunSpec
from loray.spec.train import DeepSpeedStrategy, FsdpStrategy, PipelineStrategy, PlainStrategy
from loray.train.engine import Complete, Engine, is_complete


def make_engine(
    module: nn.Module,
    spec: RunSpec,
    *,
    workers: int,
    device: str,
    complete: Complete = is_complete,
) -> Engine:
    """The engine of the spec's strategy around an `AnswerLoss` module.

    Args:
        complete: gives a part its weights before it is shared out, if the strategy does that.
    """
    match spec.train.strategy:
        case DeepSpeedStrategy():
            from loray.train.zero import ZeroEngine, config_of  # noqa: PLC0415 (seconds, and a log of its own)

            config = config_of(spec, workers=workers)
            if not spec.train.shares_weights:
                return ZeroEngine(module, spec.train, config, device=device)
            from loray.train.zero3 import Zero3Engine, share_out  # noqa: PLC0415

            share_out(module, config, complete)
            return Zero3Engine(module, spec.train, config, device=device)
        case FsdpStrategy():
            from loray.train.fsdp import FsdpEngine  # noqa: PLC0415

            return FsdpEngine(
                module,
                spec.train,
                workers=workers,
                dtype=DTYPES[spec.base_model.dtype],
                device=device,
                complete=complete,
            )
        case PipelineStrategy():
            from loray.train.pipeline import PipelineEngine  # noqa: PLC0415

            return PipelineEngine(
                module,
                spec.train,
                dtype=DTYPES[spec.base_model.dtype],
                device=device,
                complete=complete,
                sees_layers=spec.begins_with_principal,
            )
        case PlainStrategy():
            from loray.train.plain import PlainEngine  # noqa: PLC0415

            return PlainEngine(module, spec.train, device=device)

"""The whole of a run spec: what is made (fingerprinted) and where (never fingerprinted)."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from loray.spec.base import Name, StrictModel
from loray.spec.data import DataSpec
from loray.spec.evaluate import EvalSpec, GateSpec
from loray.spec.serve import ServeSpec
from loray.spec.train import BaseModelSpec, LoraMethod, Method, TrainSpec


class ResourceSpec(StrictModel):
    """Where and how wide a run is; never part of what it produces, so never fingerprinted."""

    workers: Annotated[int, Field(ge=1, le=4096)] = 1
    """Ray Train workers."""
    cpus_per_worker: Annotated[int, Field(ge=1, le=1024)] = 1
    gpus_per_worker: Annotated[int, Field(ge=0, le=1)] = 0
    eval_actors: Annotated[int, Field(ge=1, le=4096)] = 1
    """Actors that score checkpoints at once; each takes a worker's CPUs and GPUs."""
    max_failures: Annotated[int, Field(ge=0, le=1000)] = 3
    """Worker deaths that a training run survives."""


class StorageSpec(StrictModel):
    """Where artifacts and the registry live; never fingerprinted."""

    root: str = "workspace"
    """A folder, relative to where the command runs, or `s3://bucket/prefix`."""
    registry: str = "sqlite:///workspace/registry.db"
    """SQLAlchemy URL of the registry's database; credentials come from the environment."""


class RunSpec(StrictModel):
    """Everything a run needs to know, checked before anything starts."""

    name: Name
    """The adapter's name in the registry."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    base_model: BaseModelSpec
    data: DataSpec
    method: Method = LoraMethod()
    train: TrainSpec
    evaluate: EvalSpec = EvalSpec()
    gates: tuple[GateSpec, ...] = ()
    serve: ServeSpec = ServeSpec()
    resources: ResourceSpec = ResourceSpec()
    storage: StorageSpec = StorageSpec()

    @property
    def sequences_per_pass(self) -> int:
        """Sequences that all workers together take through the model at once."""
        return self.resources.workers * self.train.batch.micro_size

    @property
    def accumulation_steps(self) -> int:
        """Micro-batches a worker sums up before the optimizer moves."""
        return self.train.batch.global_size // self.sequences_per_pass

    @model_validator(mode="after")
    def _global_batch_splits_evenly(self) -> Self:
        wanted, per_pass = self.train.batch.global_size, self.sequences_per_pass
        below = wanted - wanted % per_pass
        if below != wanted:
            nearest = f"{below} or {below + per_pass}" if below else f"{per_pass}"
            raise ValueError(
                f"train.batch.global_size is {wanted}, but {self.resources.workers} worker(s) x "
                f"micro_size {self.train.batch.micro_size} = {per_pass} sequences a pass; "
                f"use {nearest}"
            )
        return self

    @model_validator(mode="after")
    def _gates_look_at_what_is_measured(self) -> Self:
        for number, gate in enumerate(self.gates):
            if gate.metric not in self.evaluate.metrics:
                raise ValueError(
                    f"gates.{number} needs the metric {gate.metric!r}, which evaluate.metrics "
                    f"{list(self.evaluate.metrics)} do not include; add it there"
                )
            if gate.suite == "general" and self.data.replay is None:
                raise ValueError(
                    f"gates.{number} looks at the suite 'general', which is made from "
                    "data.replay; add a replay block or drop the gate"
                )
        return self

    @model_validator(mode="after")
    def _full_training_is_not_quantized(self) -> Self:
        if self.method.kind == "full" and self.base_model.quantization != "none":
            raise ValueError(
                "method.kind is full, but base_model.quantization is "
                f"{self.base_model.quantization}: 4-bit weights cannot learn; "
                "use quantization: none, or method.kind: lora"
            )
        return self

"""The whole of a run spec: what is made (fingerprinted) and where (never fingerprinted)."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Self

from pydantic import Field, model_validator

from loray.spec.base import DatabaseUrl, Finding, Location, Name, RuleError, StrictModel
from loray.spec.compatibility import broken_rules, cell_of
from loray.spec.data import DataSpec
from loray.spec.evaluate import EvalSpec, GateSpec
from loray.spec.serve import ServeSpec
from loray.spec.tracking import TrackingSpec
from loray.spec.train import BaseModelSpec, LoraMethod, Method, TrainSpec

WHERE = {"resources", "storage", "tracking"}
"""The blocks that say where a run happens and who hears of it, never what it makes."""
WHOLE = ("plain", "pipeline", "zero-0", "zero-1", "zero-2")
"""Strategies, by their names in `spec.compatibility`, in which every worker has all weights, of a
pipeline at first and only if it must."""


class ResourceSpec(StrictModel):
    """Where and how wide a run is; never part of what it produces, so never fingerprinted."""

    workers: Annotated[int, Field(ge=1, le=4096)] = 1
    """Ray Train workers."""
    min_workers: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Train with so few while there are no more; without it, with `workers` and no fewer."""
    resize_seconds: Annotated[float, Field(ge=1, le=86400)] = 60.0
    """With `min_workers`: how often to look whether there are more workers to be had."""
    cpus_per_worker: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPUs that Ray sets aside for a worker; also the threads it computes with."""
    gpus_per_worker: Annotated[int, Field(ge=0, le=1)] = 0
    """1 to train and score on GPUs, 0 to do so on CPUs."""
    eval_actors: Annotated[int, Field(ge=1, le=4096)] = 1
    """Actors that score checkpoints at once; each takes a worker's CPUs and GPUs."""
    max_failures: Annotated[int, Field(ge=0, le=1000)] = 3
    """Worker deaths that a training run survives."""
    start_seconds: Annotated[float, Field(ge=1, le=604_800)] = 600.0
    """How long workers, scorers and replicas may take to start before the command gives up; raise
    it where an autoscaler, or a large base that is served, takes longer."""
    item_seconds: Annotated[float, Field(ge=1, le=604_800)] = 1800.0
    """How long a scorer may take for one item of an evaluation (64 rows) before it is killed and
    the item tried on another."""

    @property
    def fewest_workers(self) -> int:
        """With how many a run still trains."""
        return self.workers if self.min_workers is None else self.min_workers

    @model_validator(mode="after")
    def _no_more_are_needed_than_are_wanted(self) -> Self:
        if self.fewest_workers > self.workers:
            raise RuleError(
                Finding(
                    "min_workers",
                    f"found {self.min_workers}, more than workers {self.workers}; use at most "
                    f"{self.workers}, or raise workers",
                    reads=("workers",),
                )
            )
        return self


class StorageSpec(StrictModel):
    """Where artifacts and the registry live; never fingerprinted."""

    root: Location = "workspace"
    """A folder, relative to where the command runs, or `s3://bucket/prefix`."""
    registry: DatabaseUrl = "sqlite:///workspace/registry.db"
    """SQLAlchemy URL of the registry's database; credentials come from the environment."""


class RunSpec(StrictModel):
    """Everything a run needs to know, checked before anything starts."""

    name: Name
    """The adapter's name in the registry."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Where every random choice starts; the same spec and seed give the same adapter."""
    base_model: BaseModelSpec
    """The model that the adapter is for."""
    data: DataSpec
    """What is learned."""
    method: Method = LoraMethod()
    """Which weights learn."""
    train: TrainSpec
    """How they learn."""
    evaluate: EvalSpec = EvalSpec()
    """How checkpoints are scored and one of them is chosen."""
    gates: tuple[GateSpec, ...] = ()
    """What the chosen checkpoint must clear before the alias moves to it."""
    serve: ServeSpec = ServeSpec()
    """How it is served."""
    resources: ResourceSpec = ResourceSpec()
    """How wide the run is."""
    storage: StorageSpec = StorageSpec()
    """Where its artifacts and versions are kept."""
    tracking: TrackingSpec = TrackingSpec()
    """Who else hears of the training's numbers while it runs."""

    @property
    def replicas(self) -> int:
        """Groups of workers that read different sequences; the workers of a pipeline are one."""
        return 1 if self.train.strategy.kind == "pipeline" else self.resources.workers

    @property
    def begins_with_principal(self) -> bool:
        """Whether the adapter begins as parts of the frozen weights (PiSSA)."""
        return self.method.kind == "lora" and self.method.init == "pissa"

    @property
    def reads_by_parts(self) -> bool:
        """Whether a worker reads what it keeps of the base part by part, and never has all of it.

        Stages of a pipeline do, unless the method needs the whole base at first: EVA passes data
        through it, and DoRA takes norms where PEFT puts the adapter on.
        """
        if self.train.strategy.kind != "pipeline":
            return self.train.shares_weights
        method = self.method
        return method.kind == "full" or not (method.dora or method.init == "eva")

    @property
    def sequences_per_pass(self) -> int:
        """Sequences that all replicas together take through the model at once."""
        return self.replicas * self.train.batch.micro_size

    @property
    def accumulation_steps(self) -> int:
        """Micro-batches a replica sums up before the optimizer moves, while workers are fewest."""
        batch, is_one = self.train.batch, self.train.strategy.kind == "pipeline"
        replicas = 1 if is_one else self.resources.fewest_workers
        return -(-batch.global_size // (replicas * batch.micro_size))

    @model_validator(mode="after")
    def _blocks_agree(self) -> Self:
        rules = (
            self._global_batch_splits_evenly(),
            self._a_pipeline_has_stages(),
            self._gates_look_at_what_is_measured(),
            self._parts_go_together(),
            self._pissa_is_not_quantized(),
            self._eva_passes_data_through_the_whole_model(),
            self._an_adapter_goes_on_as_a_lora_alone(),
            self._two_rates_need_two_factors(),
            self._the_optimizer_has_its_device_and_strategy(),
            self._what_is_trained_can_be_served(),
        )
        if findings := list(chain.from_iterable(rules)):
            raise RuleError(*findings)
        return self

    def _global_batch_splits_evenly(self) -> Iterator[Finding]:
        wanted, per_pass = self.train.batch.global_size, self.sequences_per_pass
        below = wanted - wanted % per_pass
        if below != wanted:
            nearest = f"{below} or {below + per_pass}" if below else f"{per_pass}"
            is_pipeline = self.train.strategy.kind == "pipeline"
            what = "a pipeline" if is_pipeline else f"{self.resources.workers} worker(s)"
            yield Finding(
                "train.batch.global_size",
                f"found {wanted}, but {what} x micro_size "
                f"{self.train.batch.micro_size} = {per_pass} sequences a pass; use {nearest}",
                reads=("resources.workers", "train.batch.micro_size", "train.strategy.kind"),
            )

    def _a_pipeline_has_stages(self) -> Iterator[Finding]:
        if self.train.strategy.kind == "pipeline" and self.resources.fewest_workers == 1:
            yield Finding(
                "resources.workers" if self.resources.workers == 1 else "resources.min_workers",
                "found 1, but train.strategy.kind is pipeline, of which every worker holds one "
                "stage; use 2 or more, at most the base model's layers, or strategy: {kind: plain}",
                reads=("train.strategy.kind",),
            )

    def _gates_look_at_what_is_measured(self) -> Iterator[Finding]:
        measured = self.evaluate.metrics
        for number, gate in enumerate(self.gates):
            if gate.metric not in measured:
                yield Finding(
                    f"gates.{number}.metric",
                    f"found {gate.metric!r}, which evaluate.metrics {list(measured)} do not "
                    "include; add it there",
                    reads=("evaluate.metrics",),
                )
            if gate.suite == "general" and self.data.replay is None:
                yield Finding(
                    f"gates.{number}.suite",
                    "found 'general', which is made from data.replay, and there is none; "
                    "add a replay block or drop the gate",
                    reads=("data.replay",),
                )

    def _parts_go_together(self) -> Iterator[Finding]:
        cell = cell_of(self)
        yield from (rule.finding(cell) for rule in broken_rules(cell))

    def _pissa_is_not_quantized(self) -> Iterator[Finding]:
        if self.method.kind != "lora" or self.method.init != "pissa":
            return
        if self.base_model.quantization != "none":
            yield Finding(
                "method.init",
                f"found pissa, but base_model.quantization is {self.base_model.quantization}: what "
                "is left of the weights would be quantized, and an adapter that was trained over "
                "it computes something else over the quantized base; use quantization: none, or "
                "another init",
                reads=("base_model.quantization",),
            )

    def _eva_passes_data_through_the_whole_model(self) -> Iterator[Finding]:
        strategy = cell_of(self)["strategy"]
        if self.method.kind == "lora" and self.method.init == "eva" and strategy not in WHOLE:
            yield Finding(
                "method.init",
                f"found eva, but train.strategy is {strategy}: no worker holds the whole model, "
                f"through which eva passes data before the first step; use one of "
                f"{', '.join(WHOLE)}, or another init",
                reads=("train.strategy",),
            )

    def _an_adapter_goes_on_as_a_lora_alone(self) -> Iterator[Finding]:
        method = self.method
        if method.kind != "lora" or method.begin_from is None:
            return
        needed = {
            "init": (method.init, "kaiming", method.init == "kaiming"),
            "biases": (method.biases, "none", method.biases == "none"),
            "modules_to_save": (list(method.modules_to_save), "[]", not method.modules_to_save),
        }
        for name, (found, wanted, is_sound) in needed.items():
            if not is_sound:
                yield Finding(
                    f"method.{name}",
                    f"found {found}, but method.begin_from names an adapter to go on from, of "
                    f"which A and B (and a DoRA's magnitudes) are taken; use {name}: {wanted}, or "
                    "drop begin_from",
                    reads=("method.begin_from",),
                )

    def _two_rates_need_two_factors(self) -> Iterator[Finding]:
        ratio = self.train.optimizer.lora_plus_ratio
        if self.method.kind == "full" and ratio != 1.0:
            yield Finding(
                "train.optimizer.lora_plus_ratio",
                f"found {ratio:g}, but method.kind is full and has no A and B; drop it, or use "
                "method.kind: lora",
                reads=("method.kind",),
            )

    def _the_optimizer_has_its_device_and_strategy(self) -> Iterator[Finding]:
        kind, strategy = self.train.optimizer.kind, self.train.strategy.kind
        if kind != "adamw" and strategy != "plain":
            yield Finding(
                "train.optimizer.kind",
                f"found {kind}, but train.strategy.kind is {strategy}, out of whose shards 8-bit "
                "moments cannot be saved for another number of workers; use strategy: {kind: "
                "plain}, or kind: adamw",
                reads=("train.strategy.kind",),
            )
        if kind == "paged_adamw_8bit" and not self.resources.gpus_per_worker:
            yield Finding(
                "train.optimizer.kind",
                "found paged_adamw_8bit, but resources.gpus_per_worker is 0, and only a GPU has "
                "pages to move; use adamw_8bit, or gpus_per_worker: 1",
                reads=("resources.gpus_per_worker",),
            )

    def _what_is_trained_can_be_served(self) -> Iterator[Finding]:
        if self.method.kind == "lora" and self.method.max_rank > self.serve.max_rank:
            rank, is_doubled = self.method.max_rank, self.method.init == "pissa"
            factor = 2 if is_doubled else 1
            of_all = rank == factor * self.method.rank
            where = "method.rank" if of_all else "a rank in method.patterns,"
            where = f"twice {where.rstrip(',')}," if is_doubled else where
            yield Finding(
                "serve.max_rank",
                f"found {self.serve.max_rank}, less than {where} {rank}: no slot could hold the "
                f"adapter; use {rank} or more",
                reads=("method.rank", "method.patterns", "method.init"),
            )
        if self.serve.max_new_tokens >= self.serve.max_context:
            yield Finding(
                "serve.max_new_tokens",
                f"found {self.serve.max_new_tokens}, which leaves no room for a prompt in "
                f"serve.max_context {self.serve.max_context}; set it below that, or raise "
                "serve.max_context",
                reads=("serve.max_context",),
            )

"""The `base_model`, `method` and `train` blocks."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loray.spec.base import Count, Finding, LocalFolder, ModelPath, RuleError, StrictModel

MAX_RANK = 1024
NF4_BLOCK = 64
"""Weights that share one scale. Source: arXiv:2305.14314, sec. 3."""


class BaseModelSpec(StrictModel):
    """The frozen model that adapters learn on top of."""

    path: ModelPath
    """A local folder, relative to where the command runs, or a hub id."""
    revision: str | None = None
    """Commit of a hub id; needed for one, refused for a local folder."""
    quantization: Literal["none", "nf4"] = "nf4"
    """`nf4`: 4-bit NormalFloat, double quantization (QLoRA). Source: arXiv:2305.14314, sec. 3."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Type of computation, and of the weights that are not quantized."""


Projection = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", max_length=128)]
"""The last part of a linear layer's dotted name, such as `q_proj`."""


class PatternSpec(StrictModel):
    """Another rank or alpha for some of the targeted modules."""

    modules: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$", max_length=256)]
    """The end of their dotted names, such as `q_proj` or `layers.0.mlp.down_proj`."""
    rank: Annotated[int, Field(ge=1, le=MAX_RANK)] | None = None
    """`method.rank` when not given."""
    alpha: Annotated[int, Field(ge=1, le=65536)] | None = None
    """`method.alpha` when not given."""

    @model_validator(mode="after")
    def _something_is_changed(self) -> Self:
        if self.rank is None and self.alpha is None:
            raise ValueError("neither rank nor alpha is given; give one, or drop the pattern")
        return self


class LoraMethod(StrictModel):
    """A low-rank update, W0 + (alpha / rank) B A. Source: arXiv:2106.09685, sec. 4.1."""

    kind: Literal["lora"] = "lora"
    rank: Annotated[int, Field(ge=1, le=MAX_RANK)] = 16
    """Inner dimension of A and B."""
    alpha: Annotated[int, Field(ge=1, le=65536)] = 32
    """Scale of the update: it is multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Probability that an input element of A is dropped while training."""
    targets: Literal["all-linear", "attention", "mlp"] | tuple[Projection, ...] = "all-linear"
    """What gets an adapter: all linear layers of the base's decoder layers, those of its attention
    or of its MLP, or names such as `[q_proj, v_proj]`; `plan` checks them against the base, whose
    own they must be (Phi-3 has `qkv_proj` and `gate_up_proj`)."""
    patterns: tuple[PatternSpec, ...] = ()
    """Modules of another rank or alpha; the first pattern that fits a module counts."""
    rslora: bool = False
    """Multiply by alpha / sqrt(rank), which keeps high ranks learning. Source: arXiv:2312.03732."""
    dora: bool = False
    """Learn a magnitude for each output of a module, too. Source: arXiv:2402.09353, sec. 4."""
    biases: Literal["none", "targets", "all"] = "none"
    """Which of the base's biases learn, too: those of `targets`, or all of them; PEFT's `bias` of
    none, lora_only and all. Of the tested families Qwen2 has some, on q, k and v."""
    modules_to_save: tuple[Literal["embed_tokens", "lm_head"], ...] = ()
    """What learns in full beside the adapter, and is saved with it: the embedding, the output
    projection. Refused where the base ties them together."""
    init: Literal["kaiming", "gaussian", "eva", "pissa"] = "kaiming"
    """How A begins: uniform as in a linear layer, or normal with deviation 1 / rank, B at zero.

    `eva`: A holds the directions in which the module's inputs are largest, over the first tokens of
    the data; B is zero, and ranks stay as they are. Source: arXiv:2410.07170, sec. 3.
    `pissa`: A and B are the principal part of the weights; saved as a LoRA of twice the rank.
    Source: arXiv:2404.02948, sec. 3.
    """
    begin_from: LocalFolder | None = None
    """A folder with an adapter in PEFT's layout, relative to where the command runs, to go on from:
    A and B begin as its own, in place of `init`. Rank, alpha and targets must be as it has them."""

    @property
    def max_rank(self) -> int:
        """The highest rank of any module in the file that is saved."""
        learned = max([self.rank, *(p.rank for p in self.patterns if p.rank is not None)])
        return 2 * learned if self.init == "pissa" else learned

    def rank_of(self, module: str) -> int:
        """The rank of a module, by its dotted name."""
        fitting = (
            p.rank for p in self.patterns if p.rank and f".{module}".endswith(f".{p.modules}")
        )
        return next(fitting, self.rank)

    @model_validator(mode="after")
    def _some_projection_is_targeted(self) -> Self:
        if not self.targets:
            raise ValueError("targets is empty; name at least one projection, or use all-linear")
        return self

    @model_validator(mode="after")
    def _pissa_ends_as_a_lora(self) -> Self:
        findings = []
        if self.init == "pissa" and self.dora:
            findings.append(
                Finding(
                    "dora",
                    "found true, but init is pissa, which ends as a plain LoRA over the unchanged "
                    "base, and a DoRA's magnitudes would not; use dora: false, or another init",
                    reads=("init",),
                )
            )
        if self.init == "pissa" and self.max_rank > MAX_RANK:
            findings.append(
                Finding(
                    "init",
                    f"found pissa, which saves a rank of {self.max_rank}, twice what learns; at "
                    f"most {MAX_RANK} can be read: use ranks of at most {MAX_RANK // 2}",
                    reads=("rank", "patterns"),
                )
            )
        if findings:
            raise RuleError(*findings)
        return self

    @model_validator(mode="after")
    def _patterns_fit_what_is_targeted(self) -> Self:
        if isinstance(self.targets, str):
            return self  # which names these are, the base says: `loray.planner.legal`
        findings = [
            Finding(
                f"patterns.{at}.modules",
                f"found {pattern.modules!r}, which ends in no targeted projection "
                f"({', '.join(sorted(set(self.targets)))}); end it with one of them",
                reads=("targets",),
            )
            for at, pattern in enumerate(self.patterns)
            if pattern.modules.rpartition(".")[2] not in self.targets
        ]
        if findings:
            raise RuleError(*findings)
        return self


class FullMethod(StrictModel):
    """Every weight of the base learns; for models under 1B parameters."""

    kind: Literal["full"]


Method = Annotated[LoraMethod | FullMethod, Field(discriminator="kind")]


class DeepSpeedStrategy(StrictModel):
    """DeepSpeed ZeRO data parallelism. Source: arXiv:1910.02054."""

    kind: Literal["deepspeed"] = "deepspeed"
    zero_stage: Annotated[int, Field(ge=0, le=3)] = 2
    """0: plain data parallel; 1: optimizer states sharded; 2: gradients sharded too; 3: every
    weight sharded too, frozen ones as well."""
    offload: tuple[Literal["optimizer", "parameters"], ...] = ()
    """What waits in the host's memory instead of the GPU's: optimizer states (from stage 1 on), a
    worker's share of the weights (stage 3). Source: arXiv:2101.06840."""


class PlainStrategy(StrictModel):
    """Data parallel training by torch alone: nothing is sharded, gradients are averaged."""

    kind: Literal["plain"]


class FsdpStrategy(StrictModel):
    """FSDP2: weights, gradients and optimizer states are shared out. Source: arXiv:2304.11277."""

    kind: Literal["fsdp"]


class PipelineStrategy(StrictModel):
    """Every worker holds some of the layers; micro-batches follow one another through them (1F1B).

    Source: arXiv:2104.04473, sec. 2.2.
    """

    kind: Literal["pipeline"]


Strategy = Annotated[
    DeepSpeedStrategy | FsdpStrategy | PipelineStrategy | PlainStrategy,
    Field(discriminator="kind"),
]


class OptimizerSpec(StrictModel):
    """AdamW with decoupled weight decay. Source: arXiv:1711.05101, algorithm 2."""

    kind: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] = "adamw"
    """How the moments are held: in float32, in 8 bits, or so that a GPU may move them to the host.

    Source: arXiv:2110.02861; arXiv:2305.14314, sec. 3, for pages.
    """
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 2e-4
    """Peak learning rate, reached after the warm-up."""
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of a weight taken away each step, times the learning rate."""
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """Decay of the running mean of gradients."""
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    """Decay of the running mean of squared gradients."""
    epsilon: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-8
    """Added to the root of the squared mean, so that nothing is divided by zero."""
    lora_plus_ratio: Annotated[float, Field(ge=1.0, le=1000.0)] = 1.0
    """The learning rate of B over that of A (LoRA+); 1 for one rate. Source: arXiv:2402.12354."""


class ScheduleSpec(StrictModel):
    """The learning rate over the steps: linear warm-up, then `kind`."""

    kind: Literal["cosine", "linear", "constant"] = "cosine"
    """How the rate falls from its peak to its final fraction."""
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    """Steps over which the rate rises from zero to its peak."""
    final_fraction: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Learning rate at the last step over its peak; not used by `constant`."""


class BatchSpec(StrictModel):
    """Sequences a step; the worker count does not change what a step learns from."""

    global_size: Count = 16
    """Sequences an optimizer step, over all workers."""
    micro_size: Count = 1
    """Sequences a worker passes through the model at once."""


class GuardSpec(StrictModel):
    """When a run that goes wrong is set back; see `loray.train.guard` for how that is told."""

    watched_steps: Annotated[int, Field(ge=0, le=1000)] = 50
    """Divergence in so many first steps restarts the run at a tenth of the learning rate."""
    max_restarts: Annotated[int, Field(ge=0, le=5)] = 2
    """Restarts before the run ends with an error; 0: the first divergence ends it."""
    max_rollbacks: Annotated[int, Field(ge=0, le=20)] = 3
    """Later spikes that go back to the last checkpoint; further ones are noted only."""


class TrainSpec(StrictModel):
    """One training run."""

    steps: Count
    """Optimizer steps; the data is passed over as often as they need."""
    strategy: Strategy = DeepSpeedStrategy()
    """How the work is shared out between workers."""
    optimizer: OptimizerSpec = OptimizerSpec()
    """How gradients move weights."""
    schedule: ScheduleSpec = ScheduleSpec()
    """How the learning rate goes over the steps."""
    batch: BatchSpec = BatchSpec()
    """How many sequences a step learns from."""
    max_grad_norm: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    """Gradients longer than this (L2 norm over all of them) are scaled down to it."""
    guard: GuardSpec = GuardSpec()
    """What is done about divergence and spikes."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them."""
    checkpoint_every: Count = 100
    """Steps between checkpoints; the last step always makes one."""
    vitals_every: Count = 20
    """Steps between records of the weight-norm ratio and gradient statistics of every module."""

    @property
    def shares_weights(self) -> bool:
        """Whether a worker holds only a slice of every weight, frozen ones too."""
        match self.strategy:
            case DeepSpeedStrategy(zero_stage=stage):
                return stage == 3
            case FsdpStrategy():
                return True
            case PipelineStrategy() | PlainStrategy():
                return False

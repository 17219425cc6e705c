"""Peaks that others measured in training, beside what the planner says of the same setting.

`python -m tests.planner.published_peaks` prints the table of docs/measurements/memory.md.

What another program holds besides is counted in `beside` and explained; it is a closed form of the
shapes, the same for every row of its source. All of them make the logits of all positions at once,
12 bytes each where the loss goes back; loray makes a block of them at a time. Published peaks are
those of torch's allocator, so the planner's reserve is not among what is compared.

Left out, and why:
- Phi 1.5 and StableLM Alpha (LitGPT): MLPs without a gate, of which the planner refuses to count.
- PEFT's ZeRO-3 and FSDP rows of 70B: sequence lengths are not told, and FSDP there offloads.
- torchtune on Llama 3.1 8B: full training with the optimizer in the backward pass and 8-bit paged
  moments (18.9 GiB), QLoRA and LoRA with a compiled model and a chunked loss (7.4 and 30.3 GiB);
  loray has none of these. torchtune#1398 quantizes targeted projections only; loray all.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from loray.planner import activations
from loray.planner.architecture import Architecture
from loray.planner.memory import train_memory
from loray.planner.parameters import targets_of
from loray.planner.widths import tokens_per_pass
from loray.spec.run import RunSpec
from tests.planner.shapes import SHAPES, spec

UNITS = {"GB": 1e9, "GiB": 2**30}
Beside = Callable[[RunSpec, Architecture], float]


@contextmanager
def made_of_all_logits() -> Iterator[None]:
    """Plan for a loss as others make it: log-probabilities, their gradient, that of the logits."""

    def loss_bytes(run: RunSpec, shape: Architecture, in_flight: int = 1) -> float:
        return 12.0 * tokens_per_pass(run) * shape.vocabulary

    with patch.object(activations, "loss_bytes", loss_bytes):
        yield


def nothing(run: RunSpec, shape: Architecture) -> float:
    """The other program holds what loray holds."""
    return 0.0


def quantized_inputs(run: RunSpec, shape: Architecture) -> float:
    """bitsandbytes kept the input of each 4-bit product (`ctx.tensors = (A, B)`) until 2024."""
    inputs = 2 * shape.hidden + shape.intermediate  # that of o_proj is counted already
    return 2 * run.data.sequence.max_tokens * shape.layers * inputs


def shifted_logits(run: RunSpec, shape: Architecture) -> float:
    """transformers 4.3x shifted a float32 copy of all logits, and its gradient back."""
    tokens = run.train.batch.micro_size * run.data.sequence.max_tokens
    return 8 * tokens * shape.vocabulary


def float32_inputs(run: RunSpec, shape: Architecture) -> float:
    """PEFT's adapters are float32 beside a bfloat16 base; each reads a float32 copy of its own."""
    targets = targets_of(shape, run.method)
    copies = sum(4 * shape.linear_shapes[name][0] for name in targets)
    shared = 2 * shape.hidden + (2 * shape.intermediate if "down_proj" in targets else 0)
    tokens = run.train.batch.micro_size * run.data.sequence.max_tokens
    return tokens * shape.layers * (copies - shared)


@dataclass(frozen=True)
class Peak:
    """One published figure."""

    source: str
    setting: str
    model: str
    measured: float
    unit: str
    settings: dict[str, object]
    beside: Beside = nothing

    @property
    def planned(self) -> tuple[float, float]:
        """What the planner says, and what the other program holds besides; in `unit`."""
        run, shape = spec(**self.settings), SHAPES[self.model]
        own = train_memory(run, shape)
        with made_of_all_logits():
            more = train_memory(run, shape).total - own.total + self.beside(run, shape)
        of_unit = UNITS[self.unit]
        return (own.total - own.reserve) / of_unit, more / of_unit

    @property
    def error(self) -> float:
        """Both together over what was measured, minus one."""
        return sum(self.planned) / self.measured - 1.0

    @property
    def line(self) -> str:
        """Of the table."""
        own, beside = self.planned
        cells = (self.source, f"{self.model}, {self.setting}", f"{own:.2f}")
        more = f"{beside:.2f}" if beside else ""
        measured = f"{self.measured:.2f} {self.unit}"
        return f"| {' | '.join(cells)} | {more} | {measured} | {self.error:+.1%} |"


def _settings(method: str, tokens: int, micro_size: int = 1, **more: object) -> dict[str, object]:
    return {
        "method": method,
        "data__sequence__max_tokens": tokens,
        "data__sequence__packing": False,
        "train__batch__micro_size": micro_size,
        "train__batch__global_size": micro_size * int(str(more.get("resources__workers", 1))),
        "train__strategy": "{kind: plain}",
        "base_model__quantization": "none",
        "resources__gpus_per_worker": 1,
        **more,
    }


def _lora(rank: int, targets: str = "q_proj, v_proj", dropout: float = 0.0) -> str:
    return f"{{kind: lora, rank: {rank}, targets: [{targets}], dropout: {dropout}}}"


NF4 = {"base_model__quantization": "nf4"}
FLOAT32 = {**NF4, "base_model__dtype": "float32"}
"""LitGPT's QLoRA runs of 2024 take more than its bfloat16 count allows: TinyLlama's took 16.24 GB,
more than its 13.50 GB with LoRA on weights four times as large. Float32 activations explain them.
"""
RECOMPUTED = {"train__gradient_checkpointing": True}
_LITGPT = _settings(_lora(8, dropout=0.05), 1304)
_QLORA = _settings("{kind: lora, rank: 64}", 512, **NF4, **RECOMPUTED)
FSDP = {"train__strategy": "{kind: fsdp}"}
_MLP = "gate_proj, up_proj, down_proj"


def _ddp(micro_size: int) -> dict[str, object]:
    method = "{kind: lora, rank: 64}"
    return _settings(method, 2048, micro_size, **RECOMPUTED, resources__workers=2)


def _hub(micro_size: int, **more: object) -> dict[str, object]:
    return _settings(_lora(32, dropout=0.05), 512, micro_size, **more)


PEAKS = (
    # LitGPT, tutorials/resource-tables.md (2023): A100 40 GB, r=8 on q and v, dropout 0.05.
    Peak("LitGPT 2023", "r=8, 1 x 1304", "llama-2-7b", 21.30, "GB", _LITGPT),
    Peak("LitGPT 2023", "r=8, 1 x 1304", "llama-2-13b", 38.12, "GB", _LITGPT),
    Peak("LitGPT 2023", "r=8, NF4, 1 x 1304", "llama-2-7b", 13.84, "GB", _LITGPT | NF4,
         quantized_inputs),
    Peak("LitGPT 2023", "r=8, NF4, 1 x 1304", "llama-2-13b", 22.55, "GB", _LITGPT | NF4,
         quantized_inputs),
    # LitGPT, config_hub/finetune/README.md (2024): A10G, r=32 on q and v, dropout 0.05.
    Peak("LitGPT 2024", "r=32, 2 x 512", "llama-2-7b", 19.77, "GB", _hub(2)),
    Peak("LitGPT 2024", "r=32, 1 x 512", "llama-3-8b", 19.73, "GB", _hub(1)),
    Peak("LitGPT 2024", "r=32, NF4, float32, 2 x 512", "llama-2-7b", 13.68, "GB",
         _hub(2, **FLOAT32)),
    Peak("LitGPT 2024", "r=32, NF4, float32, 2 x 512", "llama-3-8b", 17.41, "GB",
         _hub(2, **FLOAT32)),
    # PEFT, method comparison on an L40S: the greatest of all steps.
    Peak("PEFT", "r=32 on q, v, 4 x 768", "llama-3.2-3b", 20.76, "GiB",
         _settings(_lora(32), 768, 4), float32_inputs),
    Peak("PEFT", "rsLoRA r=64 on q, v, 4 x 768", "llama-3.2-3b", 21.01, "GiB",
         _settings(_lora(64), 768, 4), float32_inputs),
    Peak("PEFT", "r=10 on the MLP, 4 x 768", "llama-3.2-3b", 23.00, "GiB",
         _settings(_lora(10, _MLP), 768, 4), float32_inputs),
    # AnswerDotAI/fsdp_qlora, README: two RTX 3090, activations recomputed.
    Peak("fsdp_qlora", "r=64, DDP, 4 x 2048", "llama-2-7b", 22.04, "GiB", _ddp(4), shifted_logits),
    Peak("fsdp_qlora", "r=64, FSDP, NF4, 1 x 2048", "llama-2-7b", 5.21, "GiB", _ddp(1) | FSDP | NF4,
         shifted_logits),
    Peak("fsdp_qlora", "r=64, FSDP, 1 x 2048", "llama-2-7b", 10.22, "GiB", _ddp(1) | FSDP,
         shifted_logits),
    Peak("fsdp_qlora", "r=64, FSDP, NF4, 10 x 2048", "llama-2-7b", 20.97, "GiB",
         _ddp(10) | FSDP | NF4, shifted_logits),
    Peak("fsdp_qlora", "r=64, FSDP, 6 x 2048", "llama-2-7b", 21.35, "GiB", _ddp(6) | FSDP,
         shifted_logits),
    # QLoRA paper, arXiv:2305.14314, figure 6: activations recomputed, moments paged.
    Peak("QLoRA paper", "r=64, NF4, 1 x 512", "llama-1-7b", 6.9, "GB", _QLORA),
    Peak("QLoRA paper", "r=64, NF4, 1 x 512", "llama-1-33b", 24.7, "GB", _QLORA),
)  # fmt: skip


def table() -> list[str]:
    """The lines of the table."""
    head = ["| source | setting | planned | beside | measured | error |",
            "|---|---|---:|---:|---:|---:|"]  # fmt: skip
    return head + [peak.line for peak in PEAKS]


if __name__ == "__main__":
    print("\n".join(table()))

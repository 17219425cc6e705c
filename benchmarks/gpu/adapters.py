"""Decode with many adapters in one batch: the engine beside the base alone and PEFT.

    PYTHONPATH=platform:benchmarks python benchmarks/gpu/adapters.py --quantization none

A step of `--batch` rows, `--context` tokens before each, adapters on all projections. The byte
bound is what the step must read at least: the base's weights and each adapter once, at the
bandwidth of a large copy measured in the same run.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from commit import commit
from peft import LoraConfig, get_peft_model
from shapes import build, config_of
from transformers import DynamicCache, PreTrainedModel

from loray.inference.lora import AdapterWeights, LayerWeights
from loray.inference.rows import BASE
from loray.inference.runner import ModelRunner
from loray.planner.configs import architecture_of
from loray.planner.memory import weight_bytes
from loray.planner.parameters import count_adapter
from loray.spec.train import BaseModelSpec

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass
class Result:
    """A step of one way to do it."""

    who: str
    adapters: int
    seconds: float
    rank: int | None = None


def synchronize() -> None:
    """Wait for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def median_seconds(task: Callable[[], object], rounds: int) -> float:
    """Median of `rounds` after three to warm up."""
    times = []
    for number in range(rounds + 3):
        synchronize()
        begin = time.perf_counter()
        task()
        synchronize()
        times.append(time.perf_counter() - begin)
        if number == 0:
            times.clear()
    return statistics.median(times[2:])


def bandwidth(device: str) -> float:
    """Bytes a second that a large read and write move."""
    size = 1 << (30 if device == "cuda" else 24)
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / median_seconds(lambda: target.copy_(source), 10)


def with_peft(
    base: PreTrainedModel, ids: torch.Tensor, ranks: list[int], numbers: list[int], rounds: int
) -> list[Result]:
    """The base alone, then PEFT's `adapter_names`, which is a row's own adapter."""
    rows, context = ids.shape
    position = torch.full((rows, 1), context, device=ids.device)

    def cached(model: Callable[..., object], **names: object) -> float:
        cache = DynamicCache()
        model(input_ids=ids, past_key_values=cache, logits_to_keep=1, **names)

        def task() -> None:
            model(input_ids=ids[:, -1:], past_key_values=cache, position_ids=position, **names)
            cache.crop(-1)

        return median_seconds(task, rounds)

    found = [told(Result("transformers", 0, cached(base)))]
    for rank in ranks:
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS)
        model = get_peft_model(base, config, "0")
        for number in range(1, max(numbers)):
            model.add_adapter(str(number), config)
        model.eval().to(torch.bfloat16) if ids.device.type == "cuda" else model.eval()
        for number in numbers:
            names = [str(row % number) for row in range(rows)]
            seconds = cached(model, adapter_names=names)
            found.append(told(Result("PEFT", number, seconds, rank)))
        model.unload()  # takes the adapters off `base` itself
        del model
    return found


def with_engine(
    base: PreTrainedModel, ids: torch.Tensor, ranks: list[int], numbers: list[int], rounds: int
) -> list[Result]:
    """Loray's engine."""
    rows, context = ids.shape
    last = ids[:, -1].tolist()
    found: list[Result] = []
    for rank in ranks:
        runner = ModelRunner(
            base, slots=max(numbers), max_rank=rank, max_batch=rows, max_context=2 * context
        )
        fill(runner, max(numbers), rank)
        for number in [0, *numbers]:
            slots = [row % number if number else BASE for row in range(rows)]
            runner.prefill(ids.tolist(), sorted(slots), 0)
            seconds = median_seconds(partial(runner.decode, last, [context] * rows, slots), rounds)
            found.append(told(Result("engine", number, seconds, rank)))
        runner.close()
    return found


def told(result: Result) -> Result:
    """The same, printed."""
    print(json.dumps(asdict(result)), flush=True)
    return result


def fill(runner: ModelRunner, num_slots: int, rank: int) -> None:
    """Put random adapters into all slots."""
    like = runner.lora.like
    for slot in range(num_slots):
        weights = {
            name: LayerWeights(
                like.new_empty(layer.num_inputs, rank).normal_(std=0.02),
                like.new_empty(rank, layer.num_outputs).normal_(std=0.02),
            )
            for name, layer in runner.lora.layers.items()
        }
        runner.lora.fill(slot, AdapterWeights(weights))


def main() -> None:
    """Measure, print a table, perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="8b")
    parser.add_argument("--quantization", default="none", choices=["nf4", "none"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--ranks", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 4, 8, 16, 32])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(commit(), flush=True)
    config = config_of(options.shape)
    shape = architecture_of(config.to_dict())
    spec = BaseModelSpec(path="x", quantization=options.quantization)
    with torch.inference_mode():
        rate = bandwidth(options.device)
        base = build(options.shape, options.quantization, options.device)
        ids = torch.randint(
            0, config.vocab_size, (options.batch, options.context), device=options.device
        )
        args = (ids, options.ranks, options.numbers, options.rounds)
        found = [*with_engine(base, *args), *with_peft(base, *args)]
    alone = next(row.seconds for row in found if row.who == "transformers")
    lines = []
    print(
        f"{options.shape} {options.quantization}, batch {options.batch}; "
        f"a copy moves {rate / 1e12:.2f} TB/s"
    )
    for row in found:
        read = weight_bytes(spec, shape)
        read += row.adapters * 2 * count_adapter(shape, TARGETS, row.rank or 1)
        speed, over_base = options.batch / row.seconds, row.seconds / alone
        over_bound = row.seconds * rate / read
        lines.append(
            asdict(row)
            | {"tokens_per_second": speed, "over_base": over_base, "over_byte_bound": over_bound}
        )
        print(
            f"  {row.who:13s} rank {row.rank or '-':>3} {row.adapters:3d} adapters "
            f"{1e3 * row.seconds:8.2f} ms {speed:8.0f} tokens/s "
            f"{over_base:6.2f} x base {over_bound:6.1f} x bound"
        )
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()

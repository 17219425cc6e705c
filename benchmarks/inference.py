"""Cost of adapters in a decode step and in a prefill: the engine against transformers and PEFT.

    PYTHONPATH=platform OMP_NUM_THREADS=1 python benchmarks/inference.py [--hidden 192] [--nf4]

Random weights; every line is measured in the same run, in turn, so that a busy machine slows all of
them. Times are the least of all rounds, and the median, in milliseconds; with one thread they are
the thread's own processor time, which neighbours on the machine disturb less.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from commit import commit
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    DynamicCache,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from loray.inference.request import SamplingParams
from loray.inference.rows import BASE
from loray.inference.runner import ModelRunner
from loray.inference.sampling import Sampler, choose
from loray.inference.weights import read_weights

Task = Callable[[], object]


def build(folder: Path, options: argparse.Namespace) -> PreTrainedModel:
    """Write the base model once; load it as often as asked."""
    if not folder.exists():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=4096,
            hidden_size=options.hidden,
            num_hidden_layers=options.layers,
            num_attention_heads=options.hidden // 32,
            num_key_value_heads=2,
            intermediate_size=options.hidden * 8 // 3 // 32 * 32,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, quantization_config=quantization if options.nf4 else None
    )
    model.eval()
    return model


def write_adapters(root: Path, base: PreTrainedModel, number: int, rank: int) -> list[Path]:
    """Adapters that differ in their folders only; a kernel cannot tell."""
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, task_type="CAUSAL_LM")
    model = get_peft_model(base, config)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.02)
    for i in range(number):
        model.save_pretrained(str(root / f"{i}"))
    return [root / f"{i}" for i in range(number)]


def time_all(tasks: dict[str, Task], rounds: int) -> dict[str, tuple[float, float]]:
    """Least and median milliseconds of each task, run in turn; prints the first round's times."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds):
        for name, task in tasks.items():
            task()  # a change of adapters is paid here, as it is once per batch
            begun = clock()
            task()
            times[name].append((clock() - begun) * 1e3)
            if number == 0:
                print(f"  first round: {name:34s} {times[name][0]:8.2f} ms", flush=True)
    return {name: (min(values), statistics.median(values)) for name, values in times.items()}


def decode_tasks(
    plain: PreTrainedModel, peft: PeftModel, runner: ModelRunner, options: argparse.Namespace
) -> dict[str, Task]:
    """One token for every row, `context` tokens in the cache."""
    rows, context = options.batch, options.context
    ids = torch.randint(0, 4096, (rows, context))
    last, position = ids[:, -1:], torch.full((rows, 1), context)

    def cached(model: Callable[..., object], **names: object) -> Task:
        cache = DynamicCache()
        model(input_ids=ids, past_key_values=cache, **names)

        def task() -> None:
            model(input_ids=last, past_key_values=cache, position_ids=position, **names)
            cache.crop(-1)

        return task

    def mixed(number: int) -> Task:
        slots = [i % number if number else BASE for i in range(rows)]
        runner.prefill(ids.tolist(), sorted(slots), 0)
        tokens, lengths = last[:, 0].tolist(), [context] * rows
        return lambda: runner.decode(tokens, lengths, slots)

    names = [str(i) for i in range(rows)]
    greedy = [Sampler(SamplingParams(1))] * rows
    logits = torch.randn(rows, 4096)
    return {
        "transformers, base": cached(plain),
        "PEFT adapter_names, 1 adapter": cached(peft, adapter_names=["0"] * rows),
        f"PEFT adapter_names, {rows} adapters": cached(peft, adapter_names=names),
        "engine, base": mixed(0),
        "engine, 1 adapter": mixed(1),
        "engine, 4 adapters": mixed(4),
        f"engine, {rows} adapters": mixed(rows),
        "choosing tokens and entropy": lambda: choose(logits, greedy),
    }


def prefill_tasks(
    plain: PreTrainedModel, peft: PeftModel, runner: ModelRunner, options: argparse.Namespace
) -> dict[str, Task]:
    """`batch` / 2 prompts of `context` / 2 tokens."""
    rows = options.batch // 2
    ids = torch.randint(0, 4096, (rows, options.context // 2))
    prompts, names = ids.tolist(), [str(i) for i in range(rows)]
    return {
        "transformers, base": lambda: plain.model(input_ids=ids),
        f"PEFT adapter_names, {rows} adapters": lambda: peft(
            input_ids=ids, adapter_names=names, logits_to_keep=1
        ),
        "engine, base": lambda: runner.prefill(prompts, [BASE] * rows, 0),
        "engine, 1 adapter": lambda: runner.prefill(prompts, [0] * rows, 0),
        f"engine, {rows} adapters": lambda: runner.prefill(prompts, list(range(rows)), 0),
    }


def report(title: str, times: dict[str, tuple[float, float]]) -> None:
    """Print a table, each line beside plain transformers."""
    base = times["transformers, base"][0]
    print(f"\n{title}")
    for name, (least, median) in times.items():
        print(
            f"  {name:34s} {least:8.2f} {median:8.2f}   {least / base:5.2f} x transformers, base",
            flush=True,
        )


def main() -> None:
    """Measure, print, and perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--nf4", action="store_true", help="4-bit base")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    options = parser.parse_args()
    print(commit(), flush=True)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        root = Path(folder)
        plain = build(root / "base", options)
        folders = write_adapters(root, build(root / "base", options), options.batch, options.rank)
        peft = PeftModel.from_pretrained(build(root / "base", options), folders[0], "0")
        for i, path in enumerate(folders[1:], start=1):
            peft.load_adapter(path, str(i))
        peft.eval()
        runner = ModelRunner(
            build(root / "base", options),
            slots=options.batch,
            max_rank=64,
            max_batch=options.batch,
            max_context=2 * options.context,
        )
        for i, path in enumerate(folders):
            runner.lora.fill(i, read_weights(path, runner.lora))
        shape = vars(options) | {"threads": torch.get_num_threads()}
        print(json.dumps(shape, default=str))
        decode = time_all(decode_tasks(plain, peft, runner, options), options.rounds)
        report(f"decode step, {options.batch} rows, {options.context} tokens before", decode)
        prefill = time_all(prefill_tasks(plain, peft, runner, options), max(1, options.rounds // 3))
        report(f"prefill, {options.batch // 2} prompts of {options.context // 2} tokens", prefill)
    if options.json:
        options.json.write_text(json.dumps({"decode": decode, "prefill": prefill, "of": shape},
                                           default=str, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()

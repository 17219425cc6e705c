"""Does the planner tell the truth on a CPU: planned against measured memory of a worker.

    make bench-memory      or      python benchmarks/memory.py [--only '20M | full'] [--json FILE]

Random Llamas of six shapes, stored in bfloat16; each setting in a process of its own, which
measures its largest resident size (VmHWM) while it loads, steps and saves. `--give-back`: what a
process frees it gives back at once (MALLOC_MMAP_THRESHOLD_), and nothing is planned to be kept:
this is what closed forms tell. A worker under Ray is 30 MiB larger.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from commit import commit

from loray.planner.configs import read_architecture
from loray.planner.memory import MIB
from loray.planner.moments import worker_moments
from loray.spec.run import RunSpec

HERE = Path(__file__).resolve().parent
LONGEST = 2048

SHAPES = {
    "4M": (256, 704, 4, 4, 2, 4096),
    "20M": (384, 1024, 8, 6, 2, 16384),
    "50M": (512, 1408, 12, 8, 4, 32000),
    "135M": (576, 1536, 30, 9, 3, 49152),
    "360M": (960, 2560, 32, 15, 5, 49152),
    "1.1B": (2048, 5632, 22, 32, 4, 32000),
}
"""Hidden size, intermediate size, layers, heads, heads of keys and values, vocabulary.

The last three are SmolLM2 135M and 360M, and TinyLlama 1.1B with tied embeddings."""


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    shape: str
    learns: str
    """`full`, or `r` and a rank on all projections."""
    dtype: str
    tokens: int
    micro_size: int = 1
    quantization: str = "none"
    strategy: str = "zero2"
    accumulation: int = 1
    packing: bool = False
    recompute: bool = False
    workers: int = 1
    """The largest of them is measured; but for a pipeline, one tells as much."""

    def spec(self, model: Path) -> RunSpec:
        """What `loray apply` would read."""
        method: dict[str, object] = {"kind": "full"}
        if self.learns != "full":
            rank = int(self.learns[1:])
            method = {"kind": "lora", "rank": rank, "alpha": 2 * rank}
        strategy: dict[str, object] = {"kind": self.strategy}
        if self.strategy.startswith("zero"):
            strategy = {"kind": "deepspeed", "zero_stage": int(self.strategy[-1])}
        readers = 1 if self.strategy == "pipeline" else self.workers
        size = {
            "global_size": self.micro_size * self.accumulation * readers,
            "micro_size": self.micro_size,
        }
        return RunSpec.model_validate(
            {
                "name": "memory",
                "base_model": {
                    "path": str(model),
                    "quantization": self.quantization,
                    "dtype": self.dtype,
                },
                "data": {
                    "sources": ({"kind": "jsonl", "uri": "none", "fields": {"text": "text"}},),
                    "sequence": {"max_tokens": self.tokens, "packing": self.packing},
                },
                "method": method,
                "train": {
                    "steps": 3,
                    "strategy": strategy,
                    "batch": size,
                    "gradient_checkpointing": self.recompute,
                },
                "serve": {"max_rank": 256},
                "resources": {"workers": self.workers},
            }
        )

    def __str__(self) -> str:
        base = "NF4, " if self.quantization == "nf4" else ""
        extra = [
            f"{self.strategy}, {self.micro_size} x {self.tokens}",
            *(["packed"] if self.packing else []),
            *(["recomputed"] if self.recompute else []),
            *([f"{self.accumulation} micro-batches"] if self.accumulation > 1 else []),
            *([f"{self.workers} workers"] if self.workers > 1 else []),
        ]
        return f"{self.shape} | {self.learns} | {base}{self.dtype} | {', '.join(extra)}"


SETTINGS = (
    Setting("4M", "r16", "float32", 512, 4),
    Setting("4M", "full", "bfloat16", 512, 4, accumulation=2),
    Setting("20M", "r16", "bfloat16", 512, 4, packing=True),
    Setting("20M", "r16", "float32", 512, 4, quantization="nf4", strategy="plain"),
    Setting("20M", "full", "float32", 128, strategy="zero1"),
    Setting("50M", "r256", "float32", 256, 4, accumulation=2),
    Setting("50M", "full", "float32", 256, 2, strategy="plain"),
    Setting("20M", "full", "float32", 512, 4, strategy="plain"),
    Setting("50M", "full", "bfloat16", 256, 2),
    Setting("50M", "full", "bfloat16", 512, 4),
    Setting("50M", "r16", "float32", 256, 2, strategy="plain", accumulation=4),
    Setting("50M", "r16", "float32", 256, 2, strategy="pipeline", accumulation=4, workers=2),
    Setting("50M", "full", "float32", 256, 2, strategy="pipeline", accumulation=4, workers=2),
    Setting("135M", "r16", "bfloat16", 256, 2, quantization="nf4"),
    Setting("135M", "r16", "float32", 256, 2, recompute=True),
    Setting("135M", "full", "float32", 128, strategy="plain", accumulation=2),
    Setting("360M", "r64", "bfloat16", 256, 2),
    Setting("360M", "r16", "float32", 128, strategy="plain"),
    Setting("1.1B", "r16", "bfloat16", 256, quantization="nf4"),
    Setting("1.1B", "r16", "bfloat16", 256),
    Setting("1.1B", "r16", "float32", 128, strategy="plain"),
)


def main() -> None:
    """Measure, print, and perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="settings, by the start of their names")
    parser.add_argument("--give-back", action="store_true", help="let glibc keep nothing")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    options = parser.parse_args()
    print(commit(), flush=True)
    lines = []
    with tempfile.TemporaryDirectory() as name:
        for setting in SETTINGS:
            if options.only and not str(setting).startswith(tuple(options.only)):
                continue
            model = Path(name) / setting.shape
            if not model.exists():
                write_model(model, setting.shape)
            lines.append(compare(setting, model, options.steps, give_back=options.give_back))
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")


def compare(setting: Setting, model: Path, steps: int, *, give_back: bool) -> dict[str, object]:
    """Plan and measure one setting, and print its line of the table."""
    spec = setting.spec(model)
    planned = {}
    for moment in worker_moments(spec, read_architecture(spec.base_model)):
        kept = moment.device.get("kept", 0.0) if give_back else 0.0
        planned[moment.name] = (moment.device_total - kept) / MIB
    found = measure(spec, model, steps, give_back=give_back)
    measured = {name: size / MIB for name, size in found.items()}
    planned["peak"], measured["peak"] = max(planned.values()), max(measured.values())
    error = planned["peak"] / measured["peak"] - 1.0
    cells = (f"{planned[name]:,.0f} / {measured[name]:,.0f}" for name in planned)
    print(f"| {setting} | {' | '.join(cells)} | {error:+.1%} |", flush=True)
    rounded = [{k: round(v, 1) for k, v in sizes.items()} for sizes in (planned, measured)]
    return {
        "setting": str(setting),
        "shape": SHAPES[setting.shape],
        "spec": setting.spec(Path("model")).model_dump(mode="json", exclude_unset=True),
        "planned_mib": rounded[0],
        "measured_mib": rounded[1],
    }


def measure(spec: RunSpec, folder: Path, steps: int, *, give_back: bool) -> dict[str, int]:
    """Largest resident size by moment, bytes, of the worker where it is largest."""
    file = folder / "spec.json"
    file.write_text(spec.model_dump_json(exclude_unset=True), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    if give_back:
        environment["MALLOC_MMAP_THRESHOLD_"] = "65536"
    workers = spec.resources.workers
    environment |= {"WORLD_SIZE": str(workers), "MASTER_PORT": str(29_000 + os.getpid() % 1000)}
    command = [sys.executable, str(HERE / "memory_worker.py"), str(file), str(steps)]
    with ThreadPoolExecutor(workers) as pool:
        told = pool.map(lambda at: run(command, {**environment, "RANK": str(at)}), range(workers))
        found = [json.loads(text.splitlines()[-1]) for text in told]
    return {moment: max(sizes[moment] for sizes in found) for moment in found[0]}


def write_model(folder: Path, name: str) -> None:
    """A random Llama with a tokenizer that knows single bytes, written by another process."""
    script = "import sys, memory; memory.make_model(sys.argv[1], sys.argv[2])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run([sys.executable, "-c", script, str(folder), name], environment)


def run(command: list[str], environment: dict[str, str]) -> str:
    """What a command prints; it ends this process with its errors if it fails."""
    done = subprocess.run(  # noqa: S603 (our own command)
        command, capture_output=True, check=False, text=True, cwd=HERE, env=environment
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def make_model(folder: str, name: str) -> None:
    """The same in this process."""
    import torch  # noqa: PLC0415
    from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415

    from loray.quickstart.initialise import train_tokenizer  # noqa: PLC0415

    hidden, intermediate, layers, heads, kv_heads, vocabulary = SHAPES[name]
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=LONGEST,
        tie_word_embeddings=True,
    )
    train_tokenizer(None, 300, LONGEST).save_pretrained(folder)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    LlamaForCausalLM(config).save_pretrained(folder)


if __name__ == "__main__":
    main()

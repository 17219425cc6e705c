"""Training steps without loray: a bare loop, transformers' Trainer, TRL's SFTTrainer.

Prints a line of JSON. Run by `train.py`, which made the folder: `model/`, and rows and packs.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

IGNORED = -100
WARM = 5
"""Steps that are not counted, of a run that has more."""
RATE = 2e-3
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Rows = list[dict[str, list[int]]]
Filler = Callable[[int], list[int]]
MarkedLosses = tuple[list[tuple[float, int]], list[float]]


def main() -> None:
    """Measure one contender."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contender", choices=["bare", "trainer", "trl"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--packs", type=int, required=True, help="packs a step")
    parser.add_argument("--micro", type=int, required=True, help="packs at once")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    contender = {"bare": bare, "trainer": trainer, "trl": trl}[options.contender]
    base = AutoModelForCausalLM.from_pretrained(options.folder / "model", dtype=torch.float32)
    model = get_peft_model(
        base, LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, target_modules=PROJECTIONS)
    )
    marks, losses = contender(model, options)
    found = {"tokens_per_second": speed(marks), "losses": losses, "peak_mb": peak_mb()}
    found["held_out"] = held_out(model, read(options.folder / "held_out.json"))
    print(json.dumps(found))


def read(path: Path) -> Rows:
    """Rows or packs."""
    found: Rows = json.loads(path.read_text(encoding="utf-8"))
    return found


def speed(marks: list[tuple[float, int]]) -> float:
    """Tokens a second of the median step; each mark is the time after a step, and its tokens."""
    first = warm(len(marks))
    pairs = zip(marks[first - 1 : -1], marks[first:], strict=True)
    return round(statistics.median(n / (end - begin) for (begin, _), (end, n) in pairs), 1)


def warm(steps: int) -> int:
    """Steps that are not counted: of a short run, all but the last."""
    return min(WARM, steps - 1)


def peak_mb() -> int:
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1000


def bare(model: nn.Module, options: argparse.Namespace) -> MarkedLosses:
    """What one writes without a trainer: packs, a forward pass, AdamW."""
    packs = read(options.folder / "packs.json")
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=RATE, weight_decay=0.0)
    model.train()
    marks, losses = [], []
    for step in range(options.steps):
        some = [packs[(step * options.packs + at) % len(packs)] for at in range(options.packs)]
        targets, total = sum(map(num_targets, some)), 0.0
        for at in range(0, len(some), options.micro):
            batch = padded(some[at : at + options.micro])
            loss = model(
                input_ids=batch["input_ids"],
                labels=batch["labels"],
                position_ids=batch["positions"],
                num_items_in_batch=targets,
                use_cache=False,
            ).loss
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
        marks.append((time.perf_counter(), sum(len(pack["input_ids"]) for pack in some)))
    return marks, losses


def num_targets(pack: dict[str, list[int]]) -> int:
    """Tokens that the loss counts; nothing predicts the first one."""
    return sum(label != IGNORED for label in pack["labels"][1:])


def padded(rows: Rows) -> dict[str, torch.Tensor]:
    """Rows in one batch; positions of the padding restart, so that it is a row of its own."""
    width = max(len(row["input_ids"]) for row in rows)
    fill: dict[str, Filler] = {
        "input_ids": lambda n: [0] * n,
        "labels": lambda n: [IGNORED] * n,
        "positions": lambda n: list(range(n)),
        "attention_mask": lambda n: [0] * n,
    }
    return {
        name: torch.tensor([row[name] + more(width - len(row["input_ids"])) for row in rows])
        for name, more in fill.items()
        if name in rows[0]
    }


class Marks(TrainerCallback):
    """The time after each step, the tokens of it that are no padding, and the losses."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, int]] = []
        self.losses: list[float] = []
        self._seen = 0

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,  # noqa: ANN401
    ) -> None:
        """One mark."""
        seen = int(state.num_input_tokens_seen)
        self.marks.append((time.perf_counter(), seen - self._seen))
        self._seen = seen

    def on_log(self, *_: Any, logs: Any = None, **__: Any) -> None:  # noqa: ANN401
        """The loss of a step."""
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))


def settings(options: argparse.Namespace, batch: int) -> dict[str, Any]:
    """What both trainers are told."""
    return {
        "output_dir": str(options.folder / "out"),
        "max_steps": options.steps,
        "per_device_train_batch_size": batch * options.micro // options.packs,
        "gradient_accumulation_steps": options.packs // options.micro,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "include_num_input_tokens_seen": "non_padding",
    }


def trainer(model: nn.Module, options: argparse.Namespace) -> MarkedLosses:
    """transformers.Trainer over rows, padded: it does not pack."""
    from transformers import Trainer  # noqa: PLC0415

    rows = read(options.folder / "rows.json")
    mean = sum(len(row["input_ids"]) for row in rows) / len(rows)
    batch = round(options.packs * packed_length(options.folder) / mean)
    for row in rows:
        row["attention_mask"] = [1] * len(row["input_ids"])
        del row["positions"]
    marks = Marks()
    Trainer(
        model=model,
        args=TrainingArguments(**settings(options, batch), remove_unused_columns=False),
        train_dataset=rows,
        data_collator=padded,
        callbacks=[marks],
    ).train()
    return marks.marks, marks.losses


def packed_length(folder: Path) -> float:
    """Mean tokens of a pack."""
    packs = read(folder / "packs.json")
    return sum(len(pack["input_ids"]) for pack in packs) / len(packs)


def trl(model: nn.Module, options: argparse.Namespace) -> MarkedLosses:
    """trl.SFTTrainer, packing."""
    from datasets import Dataset  # type: ignore[import-untyped] # noqa: PLC0415
    from trl import SFTConfig, SFTTrainer  # noqa: PLC0415

    rows = read(options.folder / "rows.json")
    data = Dataset.from_list(
        [
            {
                "input_ids": row["input_ids"],
                "completion_mask": [int(label != IGNORED) for label in row["labels"]],
            }
            for row in rows
        ]
    )
    marks = Marks()
    SFTTrainer(
        model=model,
        args=SFTConfig(
            **settings(options, options.packs),
            packing=True,
            max_length=max(len(pack["input_ids"]) for pack in read(options.folder / "packs.json")),
            completion_only_loss=True,
            gradient_checkpointing=False,
            bf16=False,
        ),
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(options.folder / "model"),
        callbacks=[marks],
    ).train()
    return marks.marks, marks.losses


@torch.no_grad()
def held_out(model: nn.Module, rows: Rows) -> float:
    """Mean loss on rows that nobody trained on, nats a target token."""
    model.eval()
    loss = targets = 0.0
    for row in rows:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
        logits = model(input_ids=ids).logits[:, :-1]
        loss += nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
        ).item()
        targets += int((labels[:, 1:] != IGNORED).sum())
    return round(loss / targets, 4)


if __name__ == "__main__":
    main()

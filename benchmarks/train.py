"""Tokens a second of training: loray under Ray Train beside peers, same model, same rows.

    make bench-train          or      python benchmarks/train.py [--trl install] [--rounds 3]

models/tiny, LoRA of rank 16 on all projections, float32, one thread a process; rows of 30 to 500
tokens of which about half are learned, packed by loray into 512. Peers: `bare`, a
loop of torch over the same packs; `trainer`, transformers' Trainer over padded rows; `trl`,
SFTTrainer with its own packing. Speed is of the median step, in tokens that are no padding. All
take the same number of steps of about the same tokens; the loss on rows that nobody saw says
whether they learned the same. `bare, two at once` are two bare loops that know nothing of each
other: no two workers could do more on two cores. `--trl PYTHON` names an interpreter that has TRL.
With `--rounds` all take turns so often, and each is held to the bare loop of its own round.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import Any

from commit import commit
from data_corpus import documents

from loray.data.sequences.packing import best_fit
from loray.models.chat import encode, load_tokenizer
from loray.spec.data import ChatSpec

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "models" / "tiny"
PACK_TOKENS = 512
HELD_OUT = 40
IGNORED = -100


def main() -> None:
    """Measure, print, and perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--packs", type=int, default=16, help="packs a step")
    parser.add_argument("--micro", type=int, default=4, help="packs a worker takes at once")
    parser.add_argument("--rows", type=int, default=1200, help="of them packs are made")
    parser.add_argument("--trl", help="an interpreter that has TRL, or `install`")
    parser.add_argument("--only", nargs="*", help="contenders, by the start of their names")
    parser.add_argument("--rounds", type=int, default=1, help="how often each has its turn")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    options = parser.parse_args()
    print(commit(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(MODEL, folder / "model")
        write_rows(folder, options.rows)
        entered = [
            (contender, together)
            for contender, together in commands(options, folder)
            if not options.only or contender == "bare" or contender.startswith(tuple(options.only))
        ]
        rounds: list[dict[str, Any]] = []
        for _ in range(options.rounds):
            rounds.append(found := {})
            for contender, together in entered:
                found[contender] = run(together)
                report(contender, found)
    if options.rounds > 1:
        summarise(rounds)
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=1) + "\n", encoding="utf-8")


def commands(options: argparse.Namespace, folder: Path) -> list[tuple[str, list[list[str]]]]:
    """What is run at the same time, by name."""
    how = [str(folder), "--steps", str(options.steps), "--packs", str(options.packs)]
    how += ["--micro", str(options.micro)]
    peers, ours = str(HERE / "train_peers.py"), str(HERE / "train_ours.py")
    bare, trainer = ([sys.executable, peers, name, *how] for name in ("bare", "trainer"))
    found = [("bare", [bare]), ("bare, two at once", [bare, bare]), ("trainer", [trainer])]
    if options.trl:
        found.append(("trl", [[trl_python(options.trl, folder), peers, "trl", *how]]))
    for strategy, workers in (("plain", 1), ("zero2", 1), ("plain", 2), ("zero2", 2)):
        command = [sys.executable, ours, strategy, *how, "--workers", str(workers)]
        found.append((f"loray {strategy}, {workers} worker(s)", [command]))
    return found


def run(together: list[list[str]]) -> dict[str, Any]:
    """The JSON that a command prints last; of several the first one's, with their summed speed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    started = [
        subprocess.Popen(  # noqa: S603 (our own command)
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        for command in together
    ]
    lines: list[dict[str, Any]] = []
    for command, process in zip(together, started, strict=True):
        out, errors = process.communicate()
        if process.returncode:
            sys.exit(f"{' '.join(command)}\n{errors}")
        lines.append(json.loads(out.splitlines()[-1]))
    return lines[0] | {"tokens_per_second": sum(line["tokens_per_second"] for line in lines)}


def report(contender: str, found: dict[str, dict[str, Any]]) -> None:
    """A line for a contender."""
    line = found[contender]
    times = line["tokens_per_second"] / found["bare"]["tokens_per_second"]
    last = mean(line["losses"][-5:])
    print(
        f"{contender:26s} {line['tokens_per_second']:8.0f} tokens/s {times:5.2f} x bare; "
        f"loss {last:.3f} in the last steps, {line['held_out']:.3f} held out",
        flush=True,
    )


def summarise(rounds: list[dict[str, dict[str, Any]]]) -> None:
    """Over all rounds: each contender beside the bare loop, two workers beside one."""
    for contender in rounds[0]:
        speeds = [found[contender]["tokens_per_second"] for found in rounds]
        bare = [found["bare"]["tokens_per_second"] for found in rounds]
        line = f"{contender:26s} {median(speeds):8.0f} tokens/s {in_turn(speeds, bare)} x bare"
        alone = contender.replace("2 worker", "1 worker")
        if alone != contender and alone in rounds[0]:
            of_one = [found[alone]["tokens_per_second"] for found in rounds]
            line += f", {in_turn(speeds, of_one)} x one worker"
        print(line)


def in_turn(speeds: list[float], others: list[float]) -> str:
    """The median ratio, and the least and the greatest."""
    ratios = [speed / other for speed, other in zip(speeds, others, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def write_rows(folder: Path, num_rows: int) -> None:
    """`rows.json`, the same rows in `packs.json`, and `held_out.json`."""
    draw = random.Random(0)  # noqa: S311 (no secret)
    rows = list(islice(made_rows(draw), num_rows + HELD_OUT))
    held_out, rows = rows[:HELD_OUT], rows[HELD_OUT:]
    rows.sort(key=lambda row: -len(row["input_ids"]))
    numbers = best_fit([len(row["input_ids"]) for row in rows], PACK_TOKENS)
    packs: list[dict[str, list[int]]] = [
        {"input_ids": [], "labels": [], "positions": []} for _ in range(numbers.max() + 1)
    ]
    for row, number in zip(rows, numbers, strict=True):
        for name, values in packs[number].items():
            values.extend(row[name])
    draw.shuffle(packs)
    draw.shuffle(rows)
    for name, content in (("rows", rows), ("packs", packs), ("held_out", held_out)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def made_rows(draw: random.Random) -> Iterator[dict[str, list[int]]]:
    """The first half of a text as the question, the other as the answer."""
    tokenizer = load_tokenizer(str(MODEL))
    for text in documents():
        words = text.split(" ")[: draw.randrange(16, 220)]
        cut = len(words) // 2
        turns = [
            {"role": "user", "content": " ".join(words[:cut])},
            {"role": "assistant", "content": " ".join(words[cut:])},
        ]
        row = encode(turns, tokenizer, ChatSpec())
        ids, length = row.input_ids, len(row.input_ids)
        if length > PACK_TOKENS:
            continue
        labels = [
            i if learned else IGNORED for i, learned in zip(ids, row.target_mask, strict=True)
        ]
        yield {"input_ids": ids, "labels": labels, "positions": list(range(length))}


def trl_python(given: str, folder: Path) -> str:
    """The interpreter that has TRL, installed now if it is to be."""
    if given != "install":
        return shutil.which(given) or given
    venv.create(folder / "trl", with_pip=True)
    python = str(folder / "trl" / "bin" / "python")
    import torch  # noqa: PLC0415

    same = f"torch=={torch.__version__.partition('+')[0]}"
    command = [python, "-m", "pip", "install", "--quiet", same, "trl", "peft"]
    subprocess.run(command, check=True)  # noqa: S603 (our own command)
    return python


if __name__ == "__main__":
    main()

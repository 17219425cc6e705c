"""Processor time of reading, each step and encoding, beside an earlier commit of this repository.

    git worktree add /tmp/before e0f138d
    PYTHONPATH=platform:benchmarks OMP_NUM_THREADS=1 \
        python benchmarks/data_before.py /tmp/before [--rounds 5] [--only credentials] [--json FILE]

Short and long prose, chats and code are made of what is installed (`data_corpus`), a tenth of the
rows twice with one word changed. In each round both checkouts run one after another, each kind of
text in a process of its own, and the next round begins with the other one. A ratio above 1 says
that this checkout is quicker than the earlier one. It is printed for the quickest rounds of both,
and as the median of what each round gives.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commit import commit
from data_corpus import code, documents

if TYPE_CHECKING:
    import pyarrow as pa

    from loray.data.batch import Stage

REPOSITORY = Path(__file__).resolve().parent.parent
THRESHOLD = 0.8
REPEATS = 2
"""Times that a task is done in one process; the quickest counts."""
STEPS = (
    "unicode", "whitespace", "control_tokens", "credentials", "pii", "quality", "repetition",
    "language", "toxicity", "length", "exact_duplicates",
)  # fmt: skip
SETTINGS = {"quality": {"keep_refusals": False}}
CHARS = {"code": 1500, "long code": 12000}
WORDS = {"short prose": 20, "prose": 60}
LEAST_WORDS = 0.9
"""Share of a text of prose that is letters and blanks."""
COPIES = 0.1
"""Share of the rows that come again with a word changed in each turn."""
ROWS = {
    "short prose": 8000,
    "prose": 5000,
    "long prose": 3000,
    "chats": 2000,
    "code": 2000,
    "long code": 300,
}
TITLE = "text         task                before         now   ratio  median"


def turns_of(kind: str) -> Iterator[list[str]]:
    """The turns of row after row."""
    draw = random.Random(kind)  # noqa: S311 (no secret)
    if kind in CHARS:
        yield from (["What does this do?", text] for text in code(CHARS[kind]))
        return
    for number, text in enumerate(filter(_is_prose, documents())):
        words = iter(text.split(" "))
        if kind == "long prose":
            yield [f"What does passage {number} of the handbook say?", text]
        elif kind == "chats":
            sizes = (draw.randint(4, 40) for _ in range(2 * draw.randint(1, 4)))
            turns = [" ".join(islice(words, size)) for size in sizes]
            if all(turn.strip() for turn in turns):
                yield turns
        else:
            size = WORDS[kind]
            while piece := " ".join(islice(words, size)):
                yield [piece]


def _is_prose(text: str) -> bool:
    """Whether most of a document is words; read-me files hold tables and data too."""
    return sum(map(str.isalpha, text)) + text.count(" ") > LEAST_WORDS * len(text)


def write_rows(path: Path, kind: str, number: int) -> None:
    """That many rows of turns, a tenth of them near copies of those before them."""
    draw = random.Random(kind)  # noqa: S311 (no secret)
    with path.open("w", encoding="utf-8") as file:
        for turns in islice(turns_of(kind), number):
            copies = [_changed(text, draw) for text in turns]
            for said in (turns, copies) if draw.random() < COPIES else (turns,):
                file.write(json.dumps(_row(said)) + "\n")


def _row(said: list[str]) -> dict[str, Any]:
    if len(said) == 1:
        return {"text": said[0]}
    roles = zip(said, cycle(["user", "assistant"]), strict=False)
    return {"messages": [{"role": role, "content": text} for text, role in roles]}


def _changed(text: str, draw: random.Random) -> str:
    words = text.split(" ")
    words[draw.randrange(len(words))] = "other"
    return " ".join(words)


def measure(path: Path, only: list[str]) -> dict[str, float]:
    """Processor seconds of each task, with whatever `loray` this process sees."""
    seconds = {}
    for name, task in tasks_of(path).items():
        if not only or name in only:
            seconds[name] = min(_seconds(task) for _ in range(REPEATS))
    return seconds


def _seconds(task: Callable[[], object]) -> float:
    began = time.process_time()
    task()
    return time.process_time() - began


def tasks_of(path: Path) -> dict[str, Callable[[], object]]:
    """What is measured, by name; both checkouts must have all that is called here."""
    from loray.data.sources.blocks import cut_into_blocks, read_block  # noqa: PLC0415
    from loray.data.sources.files import find_files  # noqa: PLC0415
    from loray.data.stages import encoder_of  # noqa: PLC0415
    from loray.data.steps.chain import StepSetting, stage_for  # noqa: PLC0415
    from loray.spec.run import RunSpec  # noqa: PLC0415

    spec = RunSpec.model_validate_json(json.dumps(spec_of(path)))

    def read() -> "list[pa.Table]":
        blocks = cut_into_blocks(find_files(spec.data))
        return [batch for block in blocks for batch in read_block(block)]

    batches = read()
    setting = StepSetting(0, ("<|im_start|>", "<|im_end|>"))

    def each(stage: "Stage") -> Callable[[], object]:
        return lambda: [stage(batch) for batch in batches]

    return {
        "read": read,
        **{
            step.kind: each(stage_for(step, at, setting)) for at, step in enumerate(spec.data.steps)
        },
        "near_duplicates": lambda: near_duplicates(batches),
        "encode": each(encoder_of(spec)),
    }


def spec_of(path: Path) -> dict[str, Any]:
    """A run over a file of `write_rows`."""
    with path.open(encoding="utf-8") as file:
        name = next(iter(json.loads(file.readline())))
    source = {"kind": "jsonl", "uri": str(path), "fields": {name: name}}
    return {
        "name": "before",
        "base_model": {"path": str(REPOSITORY / "models" / "tiny"), "quantization": "none"},
        "data": {
            "sources": [source],
            "steps": [{"kind": kind, **SETTINGS.get(kind, {})} for kind in STEPS],
            "sequence": {"max_tokens": 2048},
        },
        "train": {"steps": 1},
    }


def near_duplicates(batches: "list[pa.Table]") -> None:
    """From turns to the row that is kept for each."""
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    from loray.data.ids import row_numbers  # noqa: PLC0415
    from loray.data.steps import near_duplicates as step  # noqa: PLC0415
    from loray.data.steps.minhash import bands_for, put_bands  # noqa: PLC0415
    from loray.data.steps.similarity import Rule, compare_here  # noqa: PLC0415

    cut = [put_bands(batch, column="bands_0", bands=bands_for(THRESHOLD)) for batch in batches]
    rows = pa.concat_tables(table.select(["id", "bands_0"]) for table in cut)
    rows = rows.filter(pc.is_valid(rows["bands_0"])).combine_chunks().sort_by("id")
    ids = row_numbers(rows["id"])
    data = b"".join(rows["bands_0"].to_pylist())
    keys = np.frombuffer(data, dtype="<u4").reshape(len(ids), -1)
    rule = Rule(THRESHOLD, by_answers=False)
    compare: Callable[..., np.ndarray] = compare_here  # an earlier one knows no crowds

    def likeness(pairs: np.ndarray, *crowds: object) -> np.ndarray:
        return compare(lambda stage: map(stage, cut), ids, pairs, *crowds, rule)

    step.find_originals(keys, likeness)


def run_apart(checkout: Path, path: Path, only: list[str]) -> dict[str, float]:
    """Measure a checkout in a process of its own."""
    folders = [checkout / "platform", checkout, REPOSITORY / "benchmarks"]
    done = subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, __file__, str(checkout), "--run", str(path), "--only", *only],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)),
             "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_rounds(before: Path, path: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Both checkouts in each round, with the other one first in the next."""
    rounds = []
    for number in range(options.rounds):
        checkouts = {"before": before, "now": REPOSITORY}
        order = list(checkouts) if number % 2 else list(checkouts)[::-1]
        rounds.append({name: run_apart(checkouts[name], path, options.only) for name in order})
    return rounds


def report(kind: str, rounds: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Print a line a task; milliseconds and ratios by task."""
    found = {}
    for task in rounds[0]["now"]:
        times = [(each["before"][task], each["now"][task]) for each in rounds]
        least = [min(side) for side in zip(*times, strict=True)]
        median = statistics.median(one / other for one, other in times)
        found[task] = {
            "before_ms": round(1000 * least[0], 1),
            "now_ms": round(1000 * least[1], 1),
            "ratio": round(least[0] / least[1], 3),
            "median_ratio": round(median, 3),
        }
        print(
            f"{kind:12s} {task:17s} {1000 * least[0]:8.1f} ms {1000 * least[1]:8.1f} ms "
            f"{least[0] / least[1]:6.2f} {median:6.2f}",
            flush=True,
        )
    return found


def main() -> None:
    """Measure, print, and perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="a checkout of the earlier commit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual number of rows")
    parser.add_argument("--kinds", nargs="*", default=list(ROWS), choices=ROWS)
    parser.add_argument("--only", nargs="*", default=[], help="these tasks, such as credentials")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(measure(options.run, options.only)))
        return
    before = options.before.resolve()
    found: dict[str, Any] = {"commit": commit(), "before": commit(before)}
    print(f"{found['commit']} beside {found['before']}\n{TITLE}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds:
            path = Path(folder) / f"{kind}.jsonl"
            write_rows(path, kind, round(options.scale * ROWS[kind]))
            found[kind] = report(kind, run_rounds(before, path, options))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

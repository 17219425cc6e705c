"""A driver in a process of its own: joins the cluster at `RAY_ADDRESS` and trains when told to.

`python -m tests.train.drive SPEC.json DATASET OUT` prints `joined`, waits for a line, and then
prints what the run reports.
"""

import os
import sys
from pathlib import Path

import ray

from loray.spec.run import RunSpec
from loray.train.run import train_to
from tests.conftest import WORKER_ENVIRONMENT


def say(line: str) -> None:
    print(line, flush=True)


def main(spec: str, dataset: str, out: str) -> None:
    ray.init(
        address=os.environ["RAY_ADDRESS"],
        log_to_driver=False,
        logging_level="warning",
        runtime_env={"env_vars": WORKER_ENVIRONMENT},
    )
    say("joined")
    sys.stdin.readline()
    run = RunSpec.model_validate_json(Path(spec).read_text(encoding="utf-8"))
    train_to(Path(out), run, f"{dataset}/tokens", attempt=1, report=say)


if __name__ == "__main__":
    main(*sys.argv[1:])

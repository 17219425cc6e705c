"""The quickstart's `call` on a GPU: corpus, training, evaluation, registry, a question over HTTP.

PYTHONPATH=platform:benchmarks python benchmarks/gpu/end_to_end.py [--dtype bfloat16] [--json FILE]
"""

import argparse
import json
import time
from pathlib import Path

import httpx
from commit import commit

from loray.pipeline.apply import apply
from loray.pipeline.catalog import catalog_of
from loray.pipeline.cluster import cluster
from loray.quickstart.corpus import write_corpus
from loray.serve.run import proxy_environment, serve_spec, served_name
from loray.spec.load import load_run_spec

QUESTIONS = (
    "def get_close_matches(word, possibilities, n=3, cutoff=0.6)",
    "class ShoppingCart: def remove_item(self, item, *, quantity=1)",
)
PORT = 8123


def main() -> None:
    """Run it, print where the time went and what was answered."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(commit(), flush=True)
    spec = load_run_spec(
        "configs/runs/call.yaml",
        [
            f"base_model.dtype={options.dtype}",
            f"resources.gpus_per_worker={options.gpus}",
            "resources.workers=1",
        ],
    )
    begin = time.monotonic()
    write_corpus(Path("workspace/corpus"))
    found: dict[str, object] = {"commit": commit(), "corpus": time.monotonic() - begin}
    with cluster(spec.resources, environment=proxy_environment()):
        found["start"] = time.monotonic() - begin
        outcome = apply(spec, report=lambda line: print(line, flush=True))
        found |= outcome.seconds
        address = serve_spec(spec, catalog_of(spec), port=PORT)
        found["answers"] = {
            f"{model}: {question}": ask(address, model, question)
            for question in QUESTIONS
            for model in (served_name(spec.base_model), spec.name)
        }
    found["passed"] = outcome.passed
    found["scores"] = json.loads(outcome.scorecard.read_text())
    found["all"] = time.monotonic() - begin
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    print(json.dumps({k: v for k, v in found.items() if k != "scores"}, indent=1))


def ask(address: str, model: str, question: str) -> str:
    """The greedy answer."""
    reply = httpx.post(
        f"{address}/v1/chat/completions",
        json={
            "model": model,
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "max_tokens": 40,
        },
        timeout=120,
    )
    reply.raise_for_status()
    return str(reply.json()["choices"][0]["message"]["content"])


if __name__ == "__main__":
    main()

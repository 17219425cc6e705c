"""One training process on one device: loray's loss and engine over a model made in place."""

import os
import time

import torch
import torch.distributed as dist
from peft import PeftModel
from transformers import PreTrainedModel

from loray.models.adapter import attach_adapter
from loray.spec.load import parse_run_spec
from loray.spec.run import RunSpec
from loray.spec.train import LoraMethod
from loray.train.batches import Batch
from loray.train.engine import Engine
from loray.train.learner import causal_lm
from loray.train.loop import AnswerLoss, train_step
from loray.train.strategies import make_engine

METHOD = LoraMethod(rank=64, alpha=128)
SPEC = """\
name: measured
base_model: {path: measured}
data: {sources: [{kind: jsonl, uri: x, fields: {text: t}}]}
train: {steps: 1, optimizer: {learning_rate: 1.0e-4}}
resources: {gpus_per_worker: 1}
"""


def spec_of(*overrides: str) -> RunSpec:
    """The measured run's spec, with changes."""
    return parse_run_spec(SPEC, overrides=overrides)


def join_alone(device: str) -> None:
    """A process group of one."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511", "RANK": "0"}
    os.environ |= {"WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    if device == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    dist.init_process_group("gloo" if device == "cpu" else "nccl", rank=0, world_size=1)


def adapted(base: PreTrainedModel) -> PeftModel:
    """`base` with an adapter of `METHOD`, ready to train."""
    torch.manual_seed(0)
    model = attach_adapter(base, METHOD)
    model.train()
    return model


def engine_of(model: PeftModel, spec: RunSpec, device: str) -> Engine:
    """What `loray.train.worker` makes of a learner."""
    place = "cuda:0" if device == "cuda" else device
    return make_engine(AnswerLoss(causal_lm(model)), spec, workers=1, device=place)


def batch_of(vocabulary: int, *, rows: int, tokens: int, documents: int, targets: float) -> Batch:
    """Random tokens: `documents` packed in a row, the last `targets` of each are learned."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (rows, tokens), generator=generator)
    length = tokens // documents
    positions = torch.arange(tokens).remainder(length).expand(rows, tokens).clone()
    labels = torch.where(positions >= length * (1.0 - targets), ids, -100)
    return Batch(ids, labels, positions, num_tokens=rows * tokens)


def step_once(engine: Engine, batch: Batch) -> float:
    """Seconds of one optimizer step."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    begin = time.perf_counter()
    train_step(engine, [batch], learning_rate=1e-4, dropout_seed=0)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin

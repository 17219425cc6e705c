"""A few passes of a training, timed on this machine, without Ray and without data."""

import time
import warnings

import numpy as np
import torch
from transformers.utils import logging

from loray.spec.run import RunSpec
from loray.train.batches import IGNORED, Batch, collate
from loray.train.learner import Learner, begin_learner, causal_lm
from loray.train.loop import AnswerLoss

PASSES = 3
SEED = 0


def measured_sequence_seconds(spec: RunSpec, *, learned: float, passes: int = PASSES) -> float:
    """Seconds that a full sequence takes forward and back; the best of some micro-batches.

    Args:
        spec: its base is loaded, and its adapter put on; one worker computes.
        learned: share of the tokens that are learned.

    Returns:
        over all workers, if each is as fast as this one.

    Raises:
        ModelError: the base cannot be used.
    """
    device = "cuda" if spec.resources.gpus_per_worker else "cpu"
    torch.set_num_threads(spec.resources.cpus_per_worker)
    learner, _ = _quiet_learner(spec, device)
    module, model = AnswerLoss(causal_lm(learner)), causal_lm(learner)
    batch = _batch_of(spec, int(model.config.vocab_size), learned).to(device)
    spent = [_timed(module, batch) for _ in range(passes + 1)]
    return min(spent[1:]) / len(batch.input_ids) / spec.replicas


def _quiet_learner(spec: RunSpec, device: str) -> tuple[Learner, object]:
    """The learner, without the bars and warnings of the libraries that load it."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return begin_learner(spec, device=device)


def _timed(module: AnswerLoss, batch: Batch) -> float:
    began = time.perf_counter()
    loss: torch.Tensor = module(batch.input_ids, batch.labels, batch.positions)
    loss.backward()
    loss.item()  # waits for the device
    if loss.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _batch_of(spec: RunSpec, vocabulary: int, learned: float) -> Batch:
    """A full micro-batch of random tokens."""
    random = np.random.default_rng(SEED)
    length = spec.data.sequence.max_tokens

    def sequence() -> dict[str, np.ndarray]:
        ids = random.integers(0, vocabulary, length)
        labels = np.where(random.random(length) < learned, ids, IGNORED)
        return {"input_ids": ids, "labels": labels, "positions": np.arange(length)}

    return collate([sequence() for _ in range(spec.train.batch.micro_size)])

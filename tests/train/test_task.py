"""Which errors of a worker another try may mend, and what is said of the others."""

import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from ray.exceptions import ActorDiedError, NodeDiedError

from loray.errors import TrainingError
from loray.train.progress import ProgressActor
from loray.train.task import error_in_words, is_out_of_memory, mark_of, may_pass


def cuda_assert() -> RuntimeError:
    return RuntimeError(
        "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously "
        "reported\nException raised from c10_cuda_check_implementation at ...\nframe #0: c10::Err"
    )


@pytest.mark.parametrize(
    "error",
    [
        dist.DistBackendError("NCCL communicator was aborted on rank 1."),
        dist.DistNetworkError("The client socket has timed out after 600000ms"),
        dist.DistStoreError("wait timeout after 600000ms, keys: /default_pg/0//cuda//0"),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("no answer"),
        ActorDiedError(),
        NodeDiedError("the node died"),
        RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.0.0.2]:19849"),
        RuntimeError("CUDA error: uncorrectable ECC error encountered"),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}"[:40],
)
def test_what_a_peer_a_node_or_the_network_did_is_tried_again(error: Exception) -> None:
    assert may_pass(error)
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Error(s) in loading state_dict: size mismatch for q_proj.weight"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (8x64 and 100x64)"),
        cuda_assert(),
        NotImplementedError("no kernel for this type"),
        OSError(errno.ENOSPC, "No space left on device"),
        TrainingError("the gradients are not finite"),
        KeyError("labels"),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}"[:40],
)
def test_what_would_only_come_again_is_not(error: Exception) -> None:
    assert not may_pass(error)


def meet_death(rank: int, store: str, said: object) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    numbers = torch.ones(4)
    dist.all_reduce(numbers)
    if rank == 1:
        os._exit(1)
    time.sleep(0.5)
    try:
        dist.all_reduce(numbers)
    except Exception as error:  # noqa: BLE001 - whatever gloo raises is what is asked
        said.put((may_pass(error), error_in_words(error), mark_of(error)))


@pytest.mark.slow
def test_a_real_peers_death_is_tried_again(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    said = spawn.Queue()
    workers = [
        spawn.Process(target=meet_death, args=(rank, str(tmp_path / "store"), said))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    is_worth_it, words, mark = said.get(timeout=120)
    for worker in workers:
        worker.join()
    assert is_worth_it, words
    assert "Connection closed by peer" in words
    assert "]:" not in mark, "the port differs from one try to the next"


def test_an_error_is_told_whole_with_its_cause_and_without_frames() -> None:
    assert error_in_words(cuda_assert()) == (
        "RuntimeError: CUDA error: device-side assert triggered\nCUDA kernel errors might be "
        "asynchronously reported"
    )
    error = RuntimeError("the weights do not fit")
    error.__cause__ = ValueError("q_proj.weight is 100 x 64, wanted 64 x 64")
    assert error_in_words(error) == (
        "RuntimeError: the weights do not fit (from ValueError: q_proj.weight is 100 x 64, wanted "
        "64 x 64)"
    )
    assert error_in_words(KeyError()) == "KeyError"
    full = OSError(errno.ENOSPC, "No space left on device", "/shared/step-000010")
    assert error_in_words(full).startswith("the disk is full at /shared/step-000010")


def test_the_same_error_twice_at_the_same_step_ends_the_run() -> None:
    progress = ProgressActor()
    progress.note(7, 1.0, 1.0)
    progress.meet(0, "a", "the first")
    progress.meet(1, "a", "another worker's")
    progress.meet(0, "b", "another error")
    progress.meet(0, "a", "not twice in a row")
    progress.note(8, 1.0, 1.0)
    progress.meet(0, "a", "at another step")
    assert progress.failure() is None
    progress.meet(0, "a", "again", advice="look at the network")
    assert progress.failure() == "the same error twice after step 8: again; look at the network"


def test_out_of_memory_is_known_from_devices_and_hosts() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("shapes differ"))

from pathlib import Path

import pytest

from loray.machines.hardware import Gpu, Machine, products_per_second, this_machine

TWO = "echo 'NVIDIA H200, 143771'; echo 'NVIDIA H200, 143771'"


@pytest.mark.parametrize(
    ("script", "visible", "count"),
    [(TWO, None, 2), (TWO, "0", 1), (TWO, "", 0), ("exit 9", None, 0), ("echo ERR!", None, 0)],
)
def test_gpus_are_those_that_the_driver_lists_and_the_environment_leaves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, visible: str | None, count: int
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    gpus = this_machine().gpus
    assert gpus == (Gpu("NVIDIA H200", 143771 / 1024),) * count


def test_a_machine_says_what_it_has() -> None:
    here = this_machine()
    assert here.cpus >= 1
    assert 0 < here.free_gib < 10_000
    assert Machine(4, 12.4).words == "4 CPUs, 12 GiB of free memory, no GPU"
    assert Machine(4, 12.4, (Gpu("NVIDIA L4", 22.5),)).words == "1 x NVIDIA L4 of 22 GiB"


def test_the_speed_of_matrix_products_is_measured() -> None:
    assert products_per_second() > 1e8

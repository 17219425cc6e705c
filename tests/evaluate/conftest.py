"""Adapters over the tiny random model, each of which visibly changes it."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def training_dir(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of three checkpoints: random adapters of growing strength."""
    import torch

    from loray.models.adapter import adapter_tensors, attach_adapter, save_adapter
    from loray.models.load import load_base
    from tests.evaluate.evaluations import run_spec

    spec = run_spec(base=tiny_model_dir)
    training = tmp_path_factory.mktemp("training")
    torch.manual_seed(0)
    model = attach_adapter(load_base(spec.base_model), spec.method)
    for step in (10, 20, 30):
        tensors = {
            name: tensor if "lora_A" in name else torch.randn_like(tensor) * step / 60
            for name, tensor in adapter_tensors(model).items()
        }
        folder = training / "checkpoints" / f"step-{step:06d}"
        save_adapter(model.peft_config["default"], tensors, folder, base=str(tiny_model_dir))
    return training

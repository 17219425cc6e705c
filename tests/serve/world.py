"""A registry with two adapters over the tiny model, and what plain PEFT makes of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loray.models.identity import base_digest
from loray.registry import Lineage, Registry, Version
from loray.spec.run import RunSpec

NAMES = ("poet", "critic")


@dataclass(frozen=True)
class ServedWorld:
    """A run spec whose registry holds `poet@1`, `poet@2` and `critic@1`, the latest promoted."""

    spec: RunSpec
    registry: Registry
    folders: dict[str, Path]
    """By reference."""


def write_world(root: Path, model: Path, **serve: Any) -> ServedWorld:
    """Register adapters that each say something else."""
    spec = run_spec(root, model, **serve)
    registry = Registry(spec.storage.registry, spec.storage.root)
    folders = {
        f"{name}@{number}": write_adapter(root / f"{name}-{number}", model, seed)
        for seed, (name, number) in enumerate([("poet", 1), ("poet", 2), ("critic", 1)], start=1)
    }
    for ref, folder in folders.items():
        promoted(registry, ref.partition("@")[0], folder, model)
    return ServedWorld(spec, registry, folders)


def run_spec(root: Path, model: Path, **serve: Any) -> RunSpec:
    return RunSpec.model_validate(
        {
            "name": "poet",
            "base_model": {"path": str(model), "quantization": "none", "dtype": "float32"},
            "data": {"sources": ({"kind": "jsonl", "uri": "x.jsonl", "fields": {"text": "t"}},)},
            "train": {"steps": 1},
            "serve": {"max_context": 256, "max_new_tokens": 128, "max_batch": 4, **serve},
            "storage": {
                "root": str(root / "workspace"),
                "registry": f"sqlite:///{root}/workspace/registry.db",
            },
        }
    )


def promoted(registry: Registry, name: str, folder: Path, model: Path) -> Version:
    """Register an adapter and point its champion at it."""
    version = registry.register(
        name,
        folder,
        idempotency_key=f"{name}-{folder.name}",
        lineage=Lineage(base_model=str(model), base_digest=base_digest(str(model))),
        scores={},
    )
    registry.set_state(version, "evaluated")
    version = registry.set_state(version, "promotable")
    registry.promote(version)
    return version


def write_adapter(folder: Path, model: Path, seed: int) -> Path:
    """A random adapter that visibly changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])
    adapted = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in adapted.named_parameters():
            if "lora_" in name:
                weights.copy_(torch.randn(weights.shape, generator=generator) * 0.3)
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    return folder


@contextmanager
def engine_of(world: ServedWorld) -> Iterator[Any]:
    """An engine of our own over the same files; `generate` on it is what the server must say."""
    from loray.inference import Engine
    from loray.models.chat import load_tokenizer
    from loray.models.load import load_base

    path = world.spec.base_model.path
    sizes = {"slots": 3, "max_rank": 8, "max_batch": 4, "max_context": 256}
    with Engine(load_base(world.spec.base_model), load_tokenizer(path), **sizes) as engine:
        for ref, folder in world.folders.items():
            engine.load_adapter(ref, folder)
        yield engine

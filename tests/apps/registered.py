"""A spec on disk, and adapters in its registry that need no torch to make."""

import json
from pathlib import Path

from loray.registry import Lineage, Registry, Version
from tests.adapters import write_adapter

DIGEST = "b" * 64


def write_spec(folder: Path, model: str = "model") -> Path:
    """A spec in `folder`; of its base model only the config is there, unless it is elsewhere."""
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    spec = {
        "name": "poet",
        "base_model": {"path": model, "quantization": "none", "dtype": "float32"},
        "data": {"sources": [{"kind": "jsonl", "uri": "x.jsonl", "fields": {"text": "t"}}]},
        "train": {"steps": 1},
        "serve": {"max_context": 128, "max_new_tokens": 64, "max_batch": 2, "slots": 2},
        "storage": {
            "root": str(folder / "workspace"),
            "registry": f"sqlite:///{folder}/workspace/registry.db",
        },
    }
    path = folder / "spec.yaml"
    path.write_text(json.dumps(spec))  # JSON is YAML
    return path


def register(
    registry: Registry, folder: Path, name: str, *, seed: int, champion: bool, base: str = DIGEST
) -> Version:
    version = registry.register(
        name,
        write_adapter(folder / f"{name}-{seed}", seed=seed),
        idempotency_key=f"{name}-{seed}",
        lineage=Lineage(base_model="models/tiny", base_digest=base),
        scores={},
    )
    registry.set_state(version, "evaluated")
    version = registry.set_state(version, "promotable")
    if champion:
        registry.promote(version)
    return version

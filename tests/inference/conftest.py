import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory):
    """A tiny Llama and six adapters: ranks 2 to 8, rsLoRA, patterns, attention only."""
    from tests.inference.worlds import World, build_base, write_adapter

    root = tmp_path_factory.mktemp("adapters")
    kinds = {
        "a": {},
        "b": {"r": 2, "lora_alpha": 4},
        "c": {"r": 8, "lora_alpha": 8, "use_rslora": True},
        "d": {"target_modules": ["q_proj", "v_proj"], "size": 0.6},
        "e": {"rank_pattern": {"down_proj": 7}, "alpha_pattern": {"layers.1.self_attn.q_proj": 3}},
        "f": {},
    }
    adapters: dict[str, Path] = {
        name: write_adapter(root / name, build_base(), seed, **kind)
        for seed, (name, kind) in enumerate(kinds.items(), start=1)
    }
    return World("llama", adapters)


@pytest.fixture(scope="session")
def peft_model(world):
    return world.peft()


@pytest.fixture
def engine(world) -> Iterator:
    """An engine with room for every adapter of `world`, all loaded."""
    from loray.inference.engine import Engine
    from tests.inference.worlds import ByteTokenizer

    with Engine(
        world.base(), ByteTokenizer(), slots=6, max_rank=8, max_batch=8, max_context=128
    ) as engine:
        for name, folder in world.adapters.items():
            engine.load_adapter(name, folder)
        yield engine

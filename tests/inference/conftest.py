"""An engine over a tiny random Llama, and six adapters that visibly change what it says."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
KINDS: dict[str, dict[str, Any]] = {
    "a": {},
    "b": {"r": 2, "lora_alpha": 4},
    "c": {"r": 8, "lora_alpha": 8, "use_rslora": True},
    "d": {"target_modules": ["q_proj", "v_proj"], "size": 0.6},
    "e": {"rank_pattern": {"down_proj": 7}, "alpha_pattern": {"layers.1.self_attn.q_proj": 3}},
    "f": {},
}
SIZES = {"slots": 6, "max_rank": 8, "max_batch": 8, "max_context": 128}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory):
    from tests.inference.worlds import World, build_base, write_adapter

    root = tmp_path_factory.mktemp("adapters")
    adapters = {
        name: write_adapter(root / name, build_base(), seed, **kind)
        for seed, (name, kind) in enumerate(KINDS.items(), start=1)
    }
    return World("llama", adapters)


@pytest.fixture(scope="session")
def peft_model(world):
    return world.peft()


@pytest.fixture(scope="session")
def oracle(world):
    """An engine with every adapter loaded, which other engines' answers are compared with."""
    from loray.inference.engine import Engine
    from tests.inference.worlds import ByteTokenizer

    with Engine(world.base(), ByteTokenizer(), **SIZES) as engine:
        for name, folder in world.adapters.items():
            engine.load_adapter(name, folder)
        yield engine


@pytest.fixture
def new_engine(world) -> Iterator[Callable[..., Any]]:
    """Makes engines with no adapter loaded; they are closed after the test."""
    from loray.inference.engine import Engine
    from tests.inference.worlds import ByteTokenizer

    with ExitStack() as engines:

        def make(tokenizer: Any = None, model: Any = None, **sizes: int) -> Engine:
            engine = Engine(model or world.base(), tokenizer or ByteTokenizer(), **(SIZES | sizes))
            return engines.enter_context(engine)

        yield make

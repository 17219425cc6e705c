"""Fixtures that more than one room's tests need; nothing heavy is imported before it is used."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
WORKER_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": f"{REPOSITORY / 'platform'}{os.pathsep}{REPOSITORY}",
    "RAY_metrics_report_interval_ms": "1000",  # scraped by tests; 10 s when not given
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "loray.serve.edge.proxy_middlewares",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "TOKENIZERS_PARALLELISM": "false",
}
STRICT_ROOMS = ("spec", "cli", "planner", "artifacts")
"""Rooms whose tests turn every warning into an error, but where they say otherwise."""

os.environ.update({k: v for k, v in WORKER_ENVIRONMENT.items() if k != "PYTHONPATH"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        room = Path(item.path).relative_to(REPOSITORY / "tests").parts[0]
        if room in STRICT_ROOMS and item.get_closest_marker("filterwarnings") is None:
            item.add_marker(pytest.mark.filterwarnings("error"))


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local cluster for the whole run; `address="local"` never joins one that is there."""
    import ray

    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(
        address="local",
        num_cpus=4,
        object_store_memory=512 * 1024 * 1024,
        include_dashboard=True,
        log_to_driver=False,
        logging_level="warning",
        runtime_env={"env_vars": WORKER_ENVIRONMENT},
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process group of one worker, this process."""
    from tests.training_here import process_group

    with process_group(tmp_path_factory.mktemp("group") / "store"):
        yield


@pytest.fixture
def here(alone: None, ray_cluster: None) -> Iterator[None]:
    """Trainings of one worker run in this process."""
    from tests.training_here import training_here

    with training_here():
        yield


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama (hidden 64, 2 layers) with a byte-level tokenizer and a chat template."""
    from loray.quickstart.initialise import write_random_model

    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_random_model(
        folder,
        vocab_size=300,
        hidden_size=64,
        layers=2,
        heads=4,
        kv_heads=2,
        intermediate=128,
        max_positions=512,
        seed=0,
    )
    return folder


@pytest.fixture(scope="session")
def biased_model_dir(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2 (hidden 64, 2 layers), q, k and v with biases that are not zero."""
    import shutil

    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("models") / "biased"
    shutil.copytree(tiny_model_dir, folder)
    config = Qwen2Config(
        vocab_size=300,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=128,
        max_position_embeddings=512,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = Qwen2ForCausalLM(config)
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return folder

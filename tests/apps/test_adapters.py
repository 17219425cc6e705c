"""`serve_apps/adapters.py`: what it builds, and that Ray's own commands run it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml
from pydantic import ValidationError

from loray.errors import AdapterNotFoundError, SpecError
from loray.pipeline.catalog import catalog_of
from loray.registry import Registry
from tests.apps.registered import DIGEST, register, write_spec


@pytest.fixture
def registry(tmp_path) -> Registry:
    return Registry(f"sqlite:///{tmp_path}/workspace/registry.db", str(tmp_path / "workspace"))


def test_a_catalog_knows_names_aliases_and_numbers_of_its_base(tmp_path, registry, monkeypatch):
    from loray.spec.load import load_run_spec

    spec = load_run_spec(write_spec(tmp_path))
    monkeypatch.setattr("loray.pipeline.catalog.base_digest", lambda path, revision: DIGEST)
    one = register(registry, tmp_path, "poet", seed=1, champion=True)
    two = register(registry, tmp_path, "poet", seed=2, champion=False)
    register(registry, tmp_path, "stranger", seed=3, champion=True, base="c" * 64)
    catalog = catalog_of(spec)
    names = {ref: version.ref for ref, version in catalog.listing()}
    assert names == {
        "poet": "poet@1", "poet@champion": "poet@1", "poet@1": "poet@1", "poet@2": "poet@2",
    }  # fmt: skip
    assert {catalog.resolve(ref).ref for ref in ("poet", "poet@champion", "poet@1")} == {one.ref}
    assert catalog.resolve("poet@2").digest == two.digest
    for ref in ("stranger", "stranger@1", "poet@3", "poet@canary", "nobody"):
        with pytest.raises(AdapterNotFoundError):
            catalog.resolve(ref)
    folder = catalog.folder(catalog.resolve("poet"))
    assert {path.name for path in folder.iterdir()} >= {"adapter_model.safetensors"}


def test_overrides_are_quoted_as_in_a_shell(tmp_path):
    from serve_apps.adapters import AppArguments, build

    spec = str(write_spec(tmp_path))
    with pytest.raises(SpecError, match="found 'two words'"):
        build(AppArguments(spec=spec, overrides="name='two words' serve.slots=3"))
    with pytest.raises(SpecError, match="quoted as in a shell"):
        build(AppArguments(spec=spec, overrides="name='bot"))


def test_a_withdrawn_version_is_there_for_nobody(tmp_path, registry, monkeypatch):
    from loray.spec.load import load_run_spec

    monkeypatch.setattr("loray.pipeline.catalog.base_digest", lambda path, revision: DIGEST)
    version = register(registry, tmp_path, "poet", seed=1, champion=False)
    catalog = catalog_of(load_run_spec(write_spec(tmp_path)))
    assert catalog.resolve("poet@1").digest == version.digest
    registry.set_state(version, "withdrawn", reason="it swears")
    with pytest.raises(AdapterNotFoundError):
        catalog.resolve("poet@1")
    assert catalog.listing() == []


def test_arguments_are_closed():
    from serve_apps.adapters import AppArguments

    with pytest.raises(ValidationError):
        AppArguments.model_validate({"spec": "x.yaml", "sepc": "y"})
    with pytest.raises(ValidationError):
        AppArguments.model_validate({})


def test_paths_in_a_spec_start_from_the_folder_and_reach_replicas_absolute(tmp_path):
    from serve_apps.adapters import AppArguments, build

    write_spec(tmp_path, model="model")
    arguments = AppArguments(spec="spec.yaml", folder=str(tmp_path), overrides="serve.slots=3")
    ingress = build(arguments)._bound_deployment
    spec, name, catalog, engine = ingress.init_args
    assert spec.base_model.path == str(tmp_path / "model")
    assert name == "model"
    assert catalog.listing() == []
    assert spec.serve.slots == 3
    assert engine._bound_deployment.name == "engine"
    assert Path.cwd() != tmp_path


def test_overload_is_refused_and_renewal_leaves_no_gap(tmp_path):
    from serve_apps.adapters import AppArguments, build

    write_spec(tmp_path, model="model")
    ingress = build(AppArguments(spec="spec.yaml", folder=str(tmp_path)))._bound_deployment
    engine = ingress.init_args[3]._bound_deployment
    for deployment in (ingress, engine):
        config = deployment._deployment_config
        assert config.max_queued_requests == 128
        assert config.backpressure_config.status_code == 429
        assert config.max_surge_percent == 100
        assert config.graceful_shutdown_timeout_s > 60
    waiting = engine._deployment_config.max_ongoing_requests + 128
    assert ingress._deployment_config.max_ongoing_requests > waiting


def test_a_wrong_spec_is_refused_before_anything_starts(tmp_path):
    from serve_apps.adapters import AppArguments, build

    (tmp_path / "spec.yaml").write_text("name: poet\nsrve: {}\n")
    with pytest.raises(SpecError, match="did you mean"):
        build(AppArguments(spec="spec.yaml", folder=str(tmp_path)))


def test_a_context_that_the_base_model_cannot_read_is_refused_before_anything_starts(tmp_path):
    from serve_apps.adapters import AppArguments, build

    write_spec(tmp_path)
    (tmp_path / "model" / "config.json").write_text('{"max_position_embeddings": 100}')
    with pytest.raises(SpecError, match="set it to 100 or less"):
        build(AppArguments(spec="spec.yaml", folder=str(tmp_path)))


def config_files() -> list[Path]:
    return sorted((Path(__file__).parents[2] / "configs" / "serve").glob("*.yaml"))


@pytest.mark.parametrize("path", config_files(), ids=lambda path: path.name)
def test_every_serve_config_is_one_that_ray_takes(path, repository):
    from ray.serve.schema import ServeDeploySchema

    from serve_apps.adapters import AppArguments

    deploy = ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    for application in deploy.applications:
        arguments = AppArguments.model_validate(application.args)
        assert (repository / arguments.spec).is_file()
        assert application.import_path == "serve_apps.adapters:build"


@pytest.fixture
def free_port(ray_cluster):
    """A port for Serve, which is not running before or after."""
    from ray import serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    yield port
    serve.shutdown()


def environment_of(repository: Path) -> dict[str, str]:
    return {"PYTHONPATH": f"{repository / 'platform'}{os.pathsep}{repository}"}


def command(name: str, *arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("serve")), name, *arguments]


def stop(running: subprocess.Popen) -> None:
    """Ctrl-C; Ray now and then swallows it, or waits for ever for a controller that has ended."""
    from ray import serve

    running.send_signal(signal.SIGINT)
    try:
        running.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        running.kill()
        running.communicate()
    serve.shutdown()


@pytest.mark.ray
def test_serve_run_answers(free_port, tmp_path, tiny_model_dir, repository):
    import ray
    from ray import serve
    from ray.serve.config import HTTPOptions

    serve.start(http_options=HTTPOptions(port=free_port))
    write_spec(tmp_path, model=str(tiny_model_dir))
    address = ray.get_runtime_context().gcs_address
    running = subprocess.Popen(
        command(
            "run", "--address", address, "--route-prefix", "/bots", "--name", "bots",
            "serve_apps.adapters:build", "spec=spec.yaml", f"folder={tmp_path}",
        ),
        cwd=repository,
        env={**os.environ, **environment_of(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    url = f"http://127.0.0.1:{free_port}/bots/v1"
    try:
        answer = wait_for_answer(url, tiny_model_dir.name, running)
    finally:
        stop(running)
    assert answer["usage"]["completion_tokens"] == 4
    assert answer["model"] == tiny_model_dir.name


@pytest.mark.ray
def test_serve_deploy_takes_the_config_that_we_ship(
    free_port, tmp_path, tiny_model_dir, repository
):
    from ray._private.worker import get_dashboard_url

    write_spec(tmp_path, model=str(tiny_model_dir))
    config = yaml.safe_load((repository / "configs" / "serve" / "adapters.yaml").read_text())
    config["http_options"]["port"] = free_port
    (application,) = config["applications"]
    application["args"] = {"spec": "spec.yaml", "folder": str(tmp_path)}
    application["runtime_env"]["env_vars"] |= environment_of(repository)
    path = tmp_path / "serve.yaml"
    path.write_text(yaml.safe_dump(config))
    subprocess.run(
        command("deploy", str(path), "--address", f"http://{get_dashboard_url()}"),
        env={**os.environ, **environment_of(repository)},
        check=True,
        timeout=120,
    )
    answer = wait_for_answer(f"http://127.0.0.1:{free_port}/v1", tiny_model_dir.name)
    assert answer["usage"]["completion_tokens"] == 4


def wait_for_answer(url: str, model: str, running: subprocess.Popen | None = None) -> dict:
    """Ask until the application is there."""
    body = {"model": model, "prompt": "def", "max_tokens": 4, "temperature": 0, "seed": 1}
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if running and running.poll() is not None:
            pytest.fail(running.stdout.read().decode()[-3000:])
        with contextlib.suppress(httpx.TransportError):  # Serve itself may still be starting
            response = httpx.post(f"{url}/completions", json=body, timeout=60)
            if response.status_code == 200:
                return response.json()
        time.sleep(0.5)
    pytest.fail("no answer in time")

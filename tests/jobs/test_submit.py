"""`ray job submit` against a cluster that `ray start` made, with token authentication on."""

from pathlib import Path

import pytest

from tests.jobs.head import Head

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where several jobs keep what they make, so that one finds what another made."""
    return tmp_path_factory.mktemp("kept")


def stored_under(folder: Path) -> list[str]:
    return [
        f"--set=storage.root={folder}",
        f"--set=storage.registry=sqlite:///{folder / 'registry.db'}",
    ]


def ending(head: Head, job: str) -> tuple[str, int]:
    """How a job ended: its status and its driver's exit code."""
    _, found = head.get(f"/api/jobs/{job}", token=head.token)
    return found["status"], found["driver_exit_code"]


@pytest.mark.parametrize(("token", "status"), [("", 401), ("wrong", 403)])
def test_nobody_gets_in_without_the_token(head: Head, token: str, status: int):
    assert head.get("/api/jobs/", token=token or None)[0] == status
    done = head.submit("python", "-c", "print('inside')", token=token, job=f"refused-{status}")
    assert done.returncode != 0
    assert "inside" not in done.stdout
    assert head.get(f"/api/jobs/refused-{status}", token=head.token)[0] == 404


def test_driver_and_workers_import_the_loray_that_was_submitted(head: Head):
    program = (
        "import ray, loray; ray.init(log_to_driver=False);"
        "where = ray.remote(lambda: __import__('loray').__file__);"
        "print('DRIVER', loray.__file__); print('WORKER', ray.get(where.remote()));"
        "import platform; print('STDLIB', platform.system())"
    )
    done = head.submit("python", "-c", program)
    assert done.returncode == 0, done.stdout + done.stderr
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line[:1].isupper())
    for place in ("DRIVER", "WORKER"):
        assert str(head.folder) in told[place]
        assert told[place].endswith("/loray/__init__.py")
    assert told["STDLIB"] == "Linux"


def test_a_check_shows_the_nodes_and_that_they_are_ready(head, job_spec, tmp_path):
    done = head.submit(
        "python", "jobs/check.py", str(job_spec), *stored_under(tmp_path), job="ready"
    )
    assert ending(head, "ready") == ("SUCCEEDED", 0), done.stdout + done.stderr
    assert "(driver)" in done.stdout
    assert "2 nodes ready for from-a-job" in done.stdout


def test_a_relative_root_ends_the_job_before_anything_starts(head, job_spec):
    done = head.submit("python", "jobs/pipeline.py", str(job_spec), job="relative")
    assert done.returncode == 1
    assert ending(head, "relative") == ("FAILED", 2)
    assert "storage.root is 'workspace'" in done.stdout
    assert "--set storage.root=s3://bucket/loray" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_job_runs_the_whole_flow_and_the_next_one_finds_it_fresh(head, job_spec, kept):
    from loray.registry.store import Registry

    words = ["python", "jobs/pipeline.py", str(job_spec), *stored_under(kept)]
    done = head.submit(*words, job="first", timeout=400)
    assert ending(head, "first") == ("SUCCEEDED", 0), done.stdout + done.stderr
    made = [p.parent.parent.name for p in kept.glob("*/from-a-job-*/manifest.json")]
    assert sorted(made) == ["datasets", "evaluations", "trainings"]
    assert "from-a-job@1 had no gate to pass" in done.stdout

    registry = Registry(f"sqlite:///{kept / 'registry.db'}", str(kept))
    (version,) = registry.versions("from-a-job")
    assert registry.alias("from-a-job", "champion").version == version.number

    again = head.submit(*words, job="second")
    assert ending(head, "second") == ("SUCCEEDED", 0), again.stdout + again.stderr
    assert again.stdout.count("was fresh") == 3
    assert len(registry.versions("from-a-job")) == 1


def test_an_adapter_that_a_gate_refuses_fails_the_job(head, job_spec, kept, tmp_path):
    text = job_spec.read_text(encoding="utf-8")
    strict = tmp_path / "strict.yaml"
    strict.write_text(f"{text}gates: [{{metric: perplexity, at_most: 1.01}}]\n", encoding="utf-8")
    done = head.submit(
        "python", "jobs/pipeline.py", str(strict), *stored_under(kept), job="gate", timeout=400
    )
    assert ending(head, "gate") == ("FAILED", 4), done.stdout + done.stderr
    assert "was refused by a gate" in done.stdout

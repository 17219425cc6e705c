"""What `ray job submit` would carry to a cluster, made by Ray's own code."""

import re
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from ray._private.runtime_env.packaging import create_package

from tests.jobs.head import REPOSITORY

MAX_PACKED_BYTES = 12 << 20  # models/tiny and a little code; the job server takes 100 MiB


@pytest.fixture(scope="module")
def runtime_env() -> dict:
    return yaml.safe_load((REPOSITORY / "jobs" / "runtime_env.yaml").read_text(encoding="utf-8"))


def packed(folder: Path, target: Path, *, excludes: list[str], is_module: bool) -> set[str]:
    create_package(
        str(folder),
        target,
        include_gitignore=True,
        include_parent_dir=is_module,
        excludes=excludes,
    )
    assert target.stat().st_size < MAX_PACKED_BYTES
    return set(zipfile.ZipFile(target).namelist())


def test_the_working_directory_is_what_a_job_reads_and_no_more(tmp_path, runtime_env):
    names = packed(
        REPOSITORY, tmp_path / "dir.zip", excludes=runtime_env["excludes"], is_module=False
    )
    folders = {name.partition("/")[0] for name in names if "/" in name}
    assert {"jobs", "configs"} <= folders
    assert "jobs/pipeline.py" in names
    left_out = {".venv", ".git", "workspace", "dist", "platform", "tests", "docs"}
    assert folders & left_out == set()
    assert not any(name.endswith(".pyc") for name in names)


def test_the_package_is_one_top_level_module_called_loray(tmp_path, runtime_env):
    (module,) = runtime_env["py_modules"]
    names = packed(
        REPOSITORY / module, tmp_path / "py.zip", excludes=runtime_env["excludes"], is_module=True
    )
    assert {name.partition("/")[0] for name in names} == {"loray"}
    sources = (REPOSITORY / module).rglob("*.py")
    assert {f"loray/{p.relative_to(REPOSITORY / module)}" for p in sources} <= names
    assert "loray/evaluate/templates/report.html.j2" in names


def test_the_runtime_environment_holds_no_secret(runtime_env):
    assert set(runtime_env) == {"py_modules", "env_vars", "excludes"}
    forbidden = ("TOKEN", "KEY", "SECRET", "PASSWORD")
    names = [name for name in runtime_env["env_vars"] if name != "TOKENIZERS_PARALLELISM"]
    assert not any(word in name for name in names for word in forbidden)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "jobs").glob("*.py")), ids=lambda p: p.stem)
def test_every_job_says_how_it_is_submitted(path: Path):
    text = path.read_text(encoding="utf-8")
    assert "ray job submit --working-dir . --runtime-env jobs/runtime_env.yaml --" in text
    assert f"python jobs/{path.name} " in text


def test_no_job_takes_the_name_of_an_installed_module():
    # Its folder comes first on the path of the driver, and Ray hands that on to the workers.
    taken = [p.stem for p in (REPOSITORY / "jobs").glob("*.py") if find_spec(p.stem) is not None]
    assert taken == []
    assert find_spec("evaluate") is not None


def test_the_page_on_clusters_names_every_job_and_no_other():
    page = (REPOSITORY / "docs" / "concepts" / "clusters.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`jobs/(\w+)\.py`", page))
    assert named == {path.stem for path in (REPOSITORY / "jobs").glob("*.py")}

"""The rules of the house that no linter holds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import (
    MAX_FILE_LINES,
    MAX_STATEMENTS,
    REPOSITORY,
    code_files,
    functions,
    num_lines,
)

HEAVY = (
    "ray", "torch", "transformers", "peft", "deepspeed", "pyarrow", "bitsandbytes", "numpy",
    "datasets", "accelerate",
)  # fmt: skip
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "handler", "tmp", "cfg"}
TEXT_SUFFIXES = {".py", ".yaml", ".yml", ".toml", ".txt", ".sh", ".cfg", ".ipynb"}
OUR_FOLDERS = (
    "platform", "jobs", "serve_apps", "configs", "tests", "docs", "benchmarks", "notebooks", ".ci",
)  # fmt: skip
MACHINE_PATH = re.compile(
    r"(?<![\w.$}-])/(?:home/(?!ray\b)|root/|work/|Users/|opt/|mnt/(?!(?:shared|loray)\b))[a-z]"
)
"""A folder of whoever wrote the line; that of Ray's images and mounts in examples are none."""


def text_files() -> list[Path]:
    found = (p for folder in OUR_FOLDERS for p in (REPOSITORY / folder).rglob("*"))
    kept = [p for p in found if p.suffix in TEXT_SUFFIXES and "__pycache__" not in p.parts]
    return sorted(kept) + [REPOSITORY / name for name in ("Makefile", "pyproject.toml")]


def modules_after(statement: str) -> set[str]:
    """Top-level modules in `sys.modules` after `statement` ran in a fresh interpreter."""
    script = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_platform_is_a_source_root_and_not_a_package():
    assert not (REPOSITORY / "platform" / "__init__.py").exists()


def test_the_standard_librarys_platform_is_not_shadowed():
    import platform

    assert platform.system()


@pytest.mark.parametrize("path", code_files(), ids=lambda p: p.relative_to(REPOSITORY).as_posix())
def test_a_file_stays_within_the_caps(path: Path):
    assert num_lines(path) <= MAX_FILE_LINES
    wordy = [f"{f.name}: {f.statements}" for f in functions(path) if f.statements > MAX_STATEMENTS]
    assert wordy == []


@pytest.mark.parametrize(
    "statement",
    [
        "import loray",
        "import loray.errors",
        "import loray.spec.run, loray.spec.load, loray.spec.files, loray.spec.schema",
        "import loray.artifacts, loray.artifacts.manifest, loray.artifacts.store",
        "import loray.planner.report, loray.planner.memory, loray.planner.parameters",
        "import loray.cli.main",
        "import loray.registry",
    ],
)
def test_the_light_rooms_import_nothing_heavy(statement: str):
    assert modules_after(statement) & set(HEAVY) == set()


def test_every_stage_package_is_light_until_it_runs():
    stages = ("data", "train", "evaluate", "registry", "serve", "pipeline")
    statement = "".join(f"import loray.{stage}\n" for stage in stages)
    assert modules_after(statement) & {"ray", "torch", "transformers"} == set()


def test_code_and_specs_are_ascii():
    mixed = [
        f"{path.relative_to(REPOSITORY)}:{number}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if not line.isascii()
    ]
    assert mixed == []


def test_nothing_names_the_machine_it_was_written_on():
    named = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert named == []


def test_module_names_say_what_is_inside():
    vague = [p for p in code_files("platform") if p.stem in VAGUE or p.stem in _standard_library()]
    assert [p.relative_to(REPOSITORY).as_posix() for p in vague] == []


def test_jobs_are_short_enough_to_read_at_a_glance():
    long = {p.name: num_lines(p) for p in code_files("jobs") if num_lines(p) > 40}
    assert long == {}


def _standard_library() -> set[str]:
    """Names at the top of the standard library that a module of ours must not take."""
    return {name for name in sys.stdlib_module_names if not name.startswith("_")}

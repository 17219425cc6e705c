"""What every file under `jobs/` does: read a spec, apply it, end with the right exit code."""

import argparse
import sys
from pathlib import Path

from loray.artifacts.manifest import StageKind
from loray.errors import LorayError, SpecError
from loray.pipeline.apply import apply
from loray.spec.load import load_checked
from loray.spec.run import RunSpec


def run_job(*, until: StageKind | None) -> None:
    """Apply the spec named on the command line, up to and with the stage `until`.

    Exits with 0 when it passed, with 1 when a gate refused the adapter or a stage failed, and with
    2 when the spec cannot be run.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("spec", type=Path, help="a run spec, relative to the working directory")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE")
    arguments = parser.parse_args()
    try:
        spec = load_checked(arguments.spec, tuple(arguments.set))
        check_storage(spec)
        outcome = apply(spec, until=until, report=_say)
    except SpecError as error:
        _say(str(error))
        sys.exit(2)
    except LorayError as error:
        _say(f"{type(error).__name__}: {error}")
        sys.exit(1)
    sys.exit(0 if outcome.passed else 1)


def check_storage(spec: RunSpec) -> None:
    """Refuse a place that a job's end would take along.

    Raises:
        SpecError: the storage root, or a SQLite file, is relative: a job runs in a copy of the
            working directory that Ray deletes.
    """
    root, registry = spec.storage.root, spec.storage.registry
    if "://" not in root and not Path(root).is_absolute():
        raise SpecError(
            f"storage.root is {root!r}, which in a job lies in a copy of the working directory "
            "that Ray deletes; give an absolute path on storage that all nodes share, or "
            "s3://bucket/prefix: --set storage.root=/mnt/shared/loray"
        )
    if registry.startswith("sqlite:///") and not registry.startswith("sqlite:////"):
        raise SpecError(
            f"storage.registry is {registry!r}, whose file in a job lies in a copy of the working "
            "directory that Ray deletes; give an absolute path (four slashes) or PostgreSQL: "
            "--set storage.registry=sqlite:////mnt/shared/loray/registry.db"
        )


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 (a job's output is its log)

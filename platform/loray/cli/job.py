"""What every file under `jobs/` does: read a spec, look at the cluster, apply, tell how it ended.

A job's working directory is a copy that Ray deletes, so nothing may be kept in it.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, get_args

from loray.artifacts.manifest import StageKind
from loray.artifacts.store import Store
from loray.cli.endings import end_with
from loray.cli.exits import Exit
from loray.cli.looked_into import load_looked_into
from loray.cli.nodes import NodeReport, refuse_unfit, survey
from loray.cli.output import complain, say, show_table
from loray.cli.progress import Sparse, say_at_once
from loray.errors import ClusterError, SpecError
from loray.machines.room import amounts, counted, places, workers_wanted
from loray.machines.signals import interruptible
from loray.pipeline.apply import Outcome, apply
from loray.pipeline.cluster import cluster
from loray.spec.run import RunSpec

MEANINGS = {
    Exit.DONE: "done",
    Exit.FAILED: "something failed; submit again to continue",
    Exit.WRONG_SPEC: "the spec is wrong; nothing was started",
    Exit.LEASE_HELD: "another job works on the same stage",
    Exit.REFUSED_BY_GATE: "a gate refused the adapter",
    Exit.DOES_NOT_FIT: "a worker does not fit its device; nothing was started",
    Exit.INTERRUPTED: "interrupted; submit again to continue",
    Exit.TERMINATED: "told to end; submit again to continue",
}
"""What a job's last line says of its exit code, which `ray job submit` does not pass on."""


def run_job(*, until: StageKind | None) -> None:
    """Apply the spec named on the command line, up to and with the stage `until`, and exit.

    Without one the command line may name it: `--until dataset`.

    The exit codes are those of `loray apply`; any but 0 makes the job FAILED.
    """

    def work() -> Exit:
        parser = job_parser()
        if until is None:
            parser.add_argument("--until", choices=get_args(StageKind))
        spec, arguments = read_job_spec(parser)
        last = until or arguments.until
        with cluster(spec.resources):
            scratch = Store(spec.storage.root).scratch
            refuse_unfit(survey(scratch), scratch)
            outcome = apply(spec, until=last, report=Sparse(say_at_once))
        _tell(outcome)
        return Exit.DONE if outcome.passed else Exit.REFUSED_BY_GATE

    _end_as(work)


def run_check() -> None:
    """Show every node, say whether a run of the spec could use the cluster, and exit."""

    def work() -> Exit:
        spec, _ = read_job_spec(job_parser())
        scratch = Store(spec.storage.root).scratch
        with cluster(spec.resources):
            nodes = survey(scratch)
        show_nodes(nodes)
        refuse_unfit(nodes, scratch)
        refuse_small(nodes, spec)
        say(f"{counted(len(nodes), 'nodes')} ready for {spec.name}")
        return Exit.DONE

    _end_as(work)


def job_parser() -> argparse.ArgumentParser:
    """The command line that all jobs have."""
    parser = argparse.ArgumentParser()
    parser.add_argument("spec", type=Path, help="a run spec, relative to the working directory")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE")
    return parser


def read_job_spec(parser: argparse.ArgumentParser) -> tuple[RunSpec, argparse.Namespace]:
    """The spec named on the command line, overrides laid over it, fit to run as a job.

    Raises:
        SpecError: the spec is wrong, or keeps something where a job's end would take it along.
    """
    arguments = parser.parse_args()
    spec, _ = load_looked_into(arguments.spec, tuple(arguments.set))
    check_storage(spec)
    return spec, arguments


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
            "s3://bucket/prefix: --set storage.root=s3://bucket/loray"
        )
    if registry.startswith("sqlite:///") and not registry.startswith("sqlite:////"):
        raise SpecError(
            f"storage.registry is {registry!r}, whose file in a job lies in a copy of the working "
            "directory that Ray deletes; give PostgreSQL, or an absolute path (four slashes) that "
            "outlives the head: --set storage.registry=postgresql+psycopg://host/loray"
        )


def refuse_small(nodes: tuple[NodeReport, ...], spec: RunSpec) -> None:
    """Refuse a cluster whose live nodes hold fewer workers than the run needs.

    Only the check refuses: for a run, an autoscaler may still bring what is missing.

    Raises:
        ClusterError: too few CPUs or GPUs.
    """
    wanted = workers_wanted(spec.resources)
    room = places(((node.cpus, node.gpus) for node in nodes), wanted)
    if room < wanted.count:
        raise ClusterError(
            f"the live nodes have room for {counted(room, 'workers')} of "
            f"{amounts(wanted.cpus, wanted.gpus)}, {wanted.field} is {wanted.count}; "
            "lower it, add nodes, or let the autoscaler bring them"
        )


def show_nodes(nodes: tuple[NodeReport, ...]) -> None:
    """A line for each node: what it offers and what is installed there."""
    shown = ("python", "loray", "ray", "torch", "transformers", "peft", "deepspeed")
    rows = [
        [
            f"{node.address}{' (driver)' if node.is_drivers else ''}",
            node.cpus,
            node.gpus,
            "yes" if node.sees_scratch else "no",
            *(node.versions.get(name, "absent") for name in shown),
        ]
        for node in nodes
    ]
    show_table(("node", "cpus", "gpus", "shares scratch", *shown), rows)


def _tell(outcome: Outcome) -> None:
    for kind, folder in outcome.stages.items():
        took = f"{outcome.seconds[kind]:.1f} s" if kind in outcome.seconds else "was fresh"
        say(f"{kind}: {took}, {folder}")
    if outcome.published is not None:
        say(f"{outcome.published.words}; report beside {outcome.scorecard}")


def _end_as(work: Callable[[], Exit]) -> NoReturn:
    """Do the job's work and exit; the last line says how it ended, and with which code.

    `ray job stop` sends SIGTERM, and three seconds later SIGKILL.
    """
    with interruptible("interrupted; submit again to continue where it stopped") as heard:
        try:
            code = int(work())
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - told, or raised again
            code = heard.exit_code or end_with(error)
        complain(f"exit code {code}: {MEANINGS[Exit(code)]}")
    sys.exit(code)
